//! Versions of a program side by side, where one has stopped in the middle of a change of indexes.

use std::pin::pin;

use subconscious::{Error, RedisModel, Result};
use subconscious_tests::Fixture;

/// A module with a version of a model.
macro_rules! version {
    ($name:ident, $model:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        mod $name {
            #[derive(Debug, Clone, PartialEq, subconscious::RedisModel)]
            pub(super) struct $model {
                #[column(primary_key)]
                pub(super) id: u32,
                $($(#[$attribute])* pub(super) $field: $type,)*
            }
        }
    };
}

/// Runs a change of indexes until it has begun `dropping` or `building` some, and stops it there.
async fn stop<T: std::fmt::Debug>(f: &Fixture, meta: &str, begun: &str, change: impl Future<Output = Result<T>>) {
    let mut change = pin!(change);
    let mut exists = redis::cmd("HEXISTS");
    exists.arg(f.key(meta)).arg(begun);
    loop {
        tokio::select! {
            biased;
            done = &mut change => panic!("it was not stopped: {done:?}"),
            begun = f.run::<bool>(&mut exists) => if begun {
                return;
            },
        }
    }
}

version!(plain, Item { name: String });
version!(
    of_number,
    Item {
        name: String,
        #[column(sort, default = 0)]
        price: u32
    }
);
version!(
    of_text,
    Item {
        name: String,
        #[column(sort, default = "0".to_owned())]
        price: String
    }
);

#[tokio::test]
async fn a_column_of_others_stays_as_it_is_while_its_index_is_dropped() {
    let f = Fixture::new().await;
    for id in 0..5 {
        of_number::Item { id, name: "n".into(), price: 100 + id }.save(&f.db).await.unwrap();
    }
    // An order of numbers is dropped, and one of texts is built.
    stop(&f, "{Item}:meta", "dropping", of_text::Item::migrate(&f.db)).await;
    plain::Item { id: 3, name: "new".into() }.save(&f.db).await.unwrap();
    plain::Item::save_many(&f.db, &mut [plain::Item { id: 4, name: "new".into() }])
        .await
        .unwrap()
        .into_result()
        .unwrap();
    of_text::Item::migrate(&f.db).await.unwrap();
    let stored = of_text::Item::load_many(&f.db, [3, 4]).await.unwrap();
    let expected = |id: u32, price: &str| Some(of_text::Item { id, name: "new".into(), price: price.into() });
    assert_eq!(stored, [expected(3, "103"), expected(4, "104")]);
    let ordered = of_text::Item::filter_by(|i| i.price.ge("103")).count(&f.db).await.unwrap();
    assert_eq!(ordered, 2);
}

version!(without, Seat { x: Option<u32> });
version!(indexed, Seat { #[column(index)] x: Option<u32> });
version!(ordered, Seat { #[column(sort)] x: Option<u32> });

#[tokio::test]
async fn nulls_that_nobody_maintained_are_not_used_again() {
    let f = Fixture::new().await;
    for id in 0..3 {
        indexed::Seat { id, x: None }.save(&f.db).await.unwrap();
    }
    stop(&f, "{Seat}:meta", "dropping", without::Seat::drop_unused_indexes(&f.db)).await;
    without::Seat { id: 1, x: Some(7) }.save(&f.db).await.unwrap();
    ordered::Seat::migrate(&f.db).await.unwrap();
    assert_eq!(ordered::Seat::filter_by(|s| s.x.is_none()).count(&f.db).await.unwrap(), 2);
    let found = ordered::Seat::all().order_by(|s| s.x.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(found.iter().map(|seat| (seat.id, seat.x)).collect::<Vec<_>>(), [(1, Some(7)), (0, None), (2, None)]);
    let report = ordered::Seat::check(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

version!(
    few,
    Level {
        #[column(sort)]
        level: u8
    }
);
version!(
    listed,
    Level {
        #[column(index)]
        level: u8
    }
);

#[tokio::test]
async fn an_index_that_serves_this_program_is_not_unused() {
    let f = Fixture::new().await;
    for id in 0..3 {
        few::Level { id, level: 1 }.save(&f.db).await.unwrap();
    }
    let ones = listed::Level::filter_by(|l| l.level.eq(1));
    assert_eq!(ones.count(&f.db).await.unwrap(), 3);
    listed::Level::drop_unused_indexes(&f.db).await.unwrap();
    assert_eq!(ones.count(&f.db).await.unwrap(), 3);
    assert!(listed::Level::check(&f.db).await.unwrap().is_clean());
    // The order is gone.
    assert!(matches!(few::Level::all().order_by(|l| l.level.asc()).fetch(&f.db).await, Err(Error::Schema { .. })));
}

version!(
    short,
    Note {
        #[column(index)]
        text: String
    }
);
version!(any, Note { text: String });

#[tokio::test]
async fn a_patch_of_all_that_no_record_can_take_says_why() {
    let f = Fixture::new().await;
    short::Note { id: 1, text: "a".into() }.save(&f.db).await.unwrap();
    let long = "x".repeat(2_000);
    let refused = any::Note::all().patch(&f.db, |n| [n.text.set(long.as_str())]).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "text", .. }), "{refused:?}");
    assert_eq!(any::Note::load(&f.db, 1).await.unwrap().unwrap().text, "a");
}

version!(
    ranked,
    Level {
        #[column(index, sort)]
        level: u8
    }
);

#[tokio::test]
async fn processes_that_migrate_at_the_same_time_share_the_work() {
    for _ in 0..5 {
        let f = Fixture::new().await;
        let mut levels: Vec<listed::Level> = (0..300).map(|id| listed::Level { id, level: id as u8 % 50 }).collect();
        listed::Level::save_many(&f.db, &mut levels).await.unwrap().into_result().unwrap();
        let calls = (0..5).map(|_| ranked::Level::migrate(&f.db));
        for migrated in futures::future::join_all(calls).await {
            migrated.unwrap();
        }
        let greatest = ranked::Level::all().order_by(|l| l.level.desc()).first(&f.db).await.unwrap();
        assert_eq!(greatest.map(|found| found.level), Some(49));
        assert!(ranked::Level::check(&f.db).await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn a_model_that_was_emptied_in_the_middle_of_a_drop_can_be_queried() {
    let f = Fixture::new().await;
    for id in 0..3 {
        indexed::Seat { id, x: Some(id) }.save(&f.db).await.unwrap();
    }
    stop(&f, "{Seat}:meta", "dropping", without::Seat::drop_unused_indexes(&f.db)).await;
    without::Seat::all().delete(&f.db).await.unwrap();
    indexed::Seat::migrate(&f.db).await.unwrap();
    indexed::Seat { id: 9, x: Some(1) }.save(&f.db).await.unwrap();
    assert_eq!(indexed::Seat::filter_by(|s| s.x.eq(1)).count(&f.db).await.unwrap(), 1);
    assert!(indexed::Seat::check(&f.db).await.unwrap().is_clean());
}

version!(wide, Step { level: u16 });
version!(
    small,
    Step {
        #[column(sort)]
        level: u8
    }
);
version!(
    signed,
    Step {
        #[column(sort)]
        level: i8
    }
);

#[tokio::test]
async fn an_order_of_few_values_takes_no_values_of_another_type() {
    let f = Fixture::new().await;
    for id in 0..3 {
        wide::Step { id, level: 1 }.save(&f.db).await.unwrap();
    }
    small::Step::migrate(&f.db).await.unwrap();
    // The order has the numbers of the smaller type, which the older program does not know.
    let refused = wide::Step { id: 0, level: 7 }.save(&f.db).await.unwrap_err();
    let why = "`level` is u16 in this program, which the index `level:u8:v sort` does not take";
    assert!(refused.to_string().contains(why), "{refused}");
    let refused = wide::Step::migrate(&f.db).await.unwrap_err();
    let why = "the index of `level` is one of u8 by now, which is not that of u16, and this program is an older one";
    assert!(refused.to_string().contains(why), "{refused}");
    assert!(matches!(wide::Step::repair(&f.db).await, Err(Error::Schema { .. })));
    assert_eq!(wide::Step::load(&f.db, 1).await.unwrap().map(|step| step.level), Some(1));

    // Another order of as few values: it is built anew, and the other program is refused from then on.
    signed::Step::migrate(&f.db).await.unwrap();
    signed::Step { id: 9, level: -1 }.save(&f.db).await.unwrap();
    assert!(matches!(small::Step { id: 1, level: 2 }.save(&f.db).await, Err(Error::Schema { .. })));
    assert_eq!(signed::Step::filter_by(|s| s.level.ge(0)).count(&f.db).await.unwrap(), 3);
    assert!(signed::Step::check(&f.db).await.unwrap().is_clean());
}

version!(few_unindexed, Rank { level: u8 });
version!(
    many,
    Rank {
        #[column(index, sort)]
        level: u32
    }
);

#[tokio::test]
async fn an_order_of_a_wider_type_takes_the_values_of_an_older_program() {
    let f = Fixture::new().await;
    for id in 0..3 {
        few_unindexed::Rank { id, level: 5 }.save(&f.db).await.unwrap();
    }
    many::Rank::migrate(&f.db).await.unwrap();
    few_unindexed::Rank { id: 1, level: 200 }.save(&f.db).await.unwrap();
    few_unindexed::Rank::patch(&f.db, 2, |r| r.level.set(100)).await.unwrap();
    // Both programs see the same indexes.
    let report = few_unindexed::Rank::check(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(few_unindexed::Rank::repair(&f.db).await.unwrap().found, 0);
    many::Rank { id: 3, level: 1_000 }.save(&f.db).await.unwrap();
    let ordered = many::Rank::all().order_by(|r| r.level.desc()).fetch(&f.db).await.unwrap();
    assert_eq!(ordered.iter().map(|rank| rank.level).collect::<Vec<_>>(), [1_000, 200, 100, 5]);
    assert!(many::Rank::check(&f.db).await.unwrap().is_clean());
}

version!(maybe, Plan { #[column(index, sort)] tariff: Option<u32> });
version!(
    always,
    Plan {
        #[column(index, sort, default = 7)]
        tariff: u32
    }
);

#[tokio::test]
async fn a_default_takes_the_place_of_null_in_an_index_and_old_programs_write_no_null() {
    let f = Fixture::new().await;
    for id in 0..6 {
        maybe::Plan { id, tariff: (id % 2 == 0).then_some(id) }.save(&f.db).await.unwrap();
    }
    let sevens = always::Plan::filter_by(|p| p.tariff.eq(7));
    let refused = sevens.count(&f.db).await.unwrap_err();
    let why = "`tariff` has a default in this program, and null in its index";
    assert!(refused.to_string().contains(why), "{refused}");
    assert_eq!(always::Plan::migrate(&f.db).await.unwrap().built, ["tariff"]);
    assert_eq!(sevens.count(&f.db).await.unwrap(), 3);
    let ordered = always::Plan::all().order_by(|p| p.tariff.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(ordered.iter().map(|plan| plan.tariff).collect::<Vec<_>>(), [0, 2, 4, 7, 7, 7]);
    assert!(always::Plan::check(&f.db).await.unwrap().is_clean());

    // The older program goes on, but for null.
    assert_eq!(maybe::Plan::filter_by(|p| p.tariff.is_none()).count(&f.db).await.unwrap(), 0);
    maybe::Plan { id: 1, tariff: Some(1) }.save(&f.db).await.unwrap();
    let mut none = maybe::Plan { id: 3, tariff: None };
    for refused in [
        none.save(&f.db).await.unwrap_err(),
        maybe::Plan::patch(&f.db, 3, |p| p.tariff.clear()).await.unwrap_err(),
        maybe::Plan::all().patch(&f.db, |p| [p.tariff.clear()]).await.unwrap_err(),
        maybe::Plan::save_many(&f.db, &mut [none.clone()]).await.unwrap().into_result().unwrap_err(),
    ] {
        let why = "null is no value any more";
        assert!(refused.to_string().contains(why) && refused.to_string().contains("tariff"), "{refused}");
    }
    maybe::Plan::migrate(&f.db).await.unwrap();
    assert!(none.save(&f.db).await.is_err());
    assert_eq!(sevens.count(&f.db).await.unwrap(), 2);

    // If it stays alone, it has nulls again, and the other one is refused.
    maybe::Plan::drop_unused_indexes(&f.db).await.unwrap();
    none.save(&f.db).await.unwrap();
    assert!(matches!(sevens.count(&f.db).await, Err(Error::Schema { .. })));
    assert_eq!(maybe::Plan::filter_by(|p| p.tariff.is_none()).count(&f.db).await.unwrap(), 1);
    assert!(maybe::Plan::check(&f.db).await.unwrap().is_clean());
}

version!(nullable, Tag { tag: Option<String> });
version!(
    owned,
    Tag {
        #[column(unique, default = "none".to_owned())]
        tag: String
    }
);

#[tokio::test]
async fn two_records_that_get_one_default_in_a_unique_column_are_told_before_anything_changes() {
    let f = Fixture::new().await;
    for id in 0..3 {
        nullable::Tag { id, tag: (id == 0).then(|| "a".to_owned()) }.save(&f.db).await.unwrap();
    }
    let refused = owned::Tag::migrate(&f.db).await.unwrap_err();
    let Error::Duplicate { column: "tag", value, records, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!((value.as_str(), records.len()), ("\"none\"", 2));
    nullable::Tag { id: 2, tag: None }.save(&f.db).await.unwrap();
}

version!(
    text,
    Seen {
        #[column(index)]
        at: String
    }
);
version!(
    number,
    Seen {
        #[column(index, sort)]
        at: u32
    }
);

#[tokio::test]
async fn a_struct_whose_types_were_not_tried_drops_nothing() {
    let f = Fixture::new().await;
    text::Seen { id: 1, at: "dawn".into() }.save(&f.db).await.unwrap();
    let refused = number::Seen::drop_unused_indexes(&f.db).await.unwrap_err();
    let why = "nothing was dropped, as `at` is stored as text, and is u32 in this program";
    assert!(refused.to_string().contains(why), "{refused}");
    assert!(matches!(number::Seen { id: 1, at: 3 }.save(&f.db).await, Err(Error::Schema { .. })));
    assert_eq!(text::Seen::filter_by(|s| s.at.eq("dawn")).count(&f.db).await.unwrap(), 1);
}

#[tokio::test]
async fn versions_work_side_by_side_in_a_model_that_is_empty_at_times() {
    let f = Fixture::new().await;
    few_unindexed::Rank { id: 1, level: 5 }.save(&f.db).await.unwrap();
    few_unindexed::Rank::delete_by_id(&f.db, 1).await.unwrap();
    many::Rank::migrate(&f.db).await.unwrap();
    few_unindexed::Rank { id: 1, level: 5 }.save(&f.db).await.unwrap();
    assert_eq!(many::Rank::filter_by(|r| r.level.ge(5)).count(&f.db).await.unwrap(), 1);
}

version!(
    staged,
    Deal {
        #[column(index, sort)]
        stage: u8,
        #[column(index)]
        town: String
    }
);
version!(
    located,
    Deal {
        #[column(index)]
        town: String
    }
);
version!(unlocated, Deal { stage: u8, town: String });

#[tokio::test]
async fn an_unfinished_index_that_a_program_does_not_need_is_left_to_others() {
    let f = Fixture::new().await;
    for id in 0..2_000 {
        unlocated::Deal { id, stage: (id % 5) as u8, town: "Bern".into() }.save(&f.db).await.unwrap();
    }
    located::Deal::migrate(&f.db).await.unwrap();
    stop(&f, "{Deal}:meta", "building", staged::Deal::migrate(&f.db)).await;
    located::Deal::migrate(&f.db).await.unwrap();
    located::Deal { id: 7, town: "Basel".into() }.save(&f.db).await.unwrap();
    assert_eq!(located::Deal::filter_by(|d| d.town.eq("Basel")).count(&f.db).await.unwrap(), 1);
    let refused = located::Deal::check(&f.db).await.unwrap_err();
    let why = "the index of stage is still being built, which this program does not need";
    assert!(refused.to_string().contains(why), "{refused}");
    let lacking = unlocated::Deal::check(&f.db).await.unwrap_err();
    assert!(lacking.to_string().contains("drop_unused_indexes"), "{lacking}");
    staged::Deal::migrate(&f.db).await.unwrap();
    assert!(located::Deal::check(&f.db).await.unwrap().is_clean());
    stop(&f, "{Deal}:meta", "dropping", unlocated::Deal::drop_unused_indexes(&f.db)).await;
    let refused = unlocated::Deal::check(&f.db).await.unwrap_err();
    assert!(refused.to_string().contains("unused indexes are still being dropped"), "{refused}");
}

#[tokio::test]
async fn records_after_one_that_fails_are_saved_though_the_schema_was_not_known() {
    let f = Fixture::new().await;
    f.run::<()>(redis::cmd("SET").arg(f.key("{Rank}:r:0")).arg("no record")).await;
    for level in [1, 2] {
        // The second time, another program has changed the schema.
        let mut ranks: Vec<_> = (0..3).map(|id| few_unindexed::Rank { id, level }).collect();
        let saved = few_unindexed::Rank::save_many(&f.db, &mut ranks).await.unwrap();
        assert_eq!(saved.failed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0]);
        assert!(matches!(saved.failed[0].1, Error::Corrupt { .. }), "{:?}", saved.failed);
        many::Rank::migrate(&f.db).await.unwrap();
        assert_eq!(many::Rank::filter_by(|r| r.level.eq(u32::from(level))).count(&f.db).await.unwrap(), 2);
    }
}

version!(
    wide_default,
    Phase {
        #[column(sort, default = 3)]
        level: u16
    }
);
version!(small_default, Phase { #[column(sort)] level: Option<u8> });
version!(no_level, Phase {});

#[tokio::test]
async fn a_default_has_its_place_in_an_order_of_another_type() {
    let f = Fixture::new().await;
    wide_default::Phase { id: 0, level: 5 }.save(&f.db).await.unwrap();
    small_default::Phase::migrate(&f.db).await.unwrap();
    no_level::Phase { id: 1 }.save(&f.db).await.unwrap();
    let ordered = small_default::Phase::all().order_by(|p| p.level.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(ordered.iter().map(|phase| phase.level).collect::<Vec<_>>(), [Some(3), Some(5)]);
    let report = small_default::Phase::check(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
