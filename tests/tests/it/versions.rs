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

/// Runs a change of indexes until it has begun to drop some, and stops it there.
async fn stop_in_drop<T: std::fmt::Debug>(f: &Fixture, meta: &str, change: impl Future<Output = Result<T>>) {
    let mut change = pin!(change);
    let mut dropping = redis::cmd("HEXISTS");
    dropping.arg(f.key(meta)).arg("dropping");
    loop {
        tokio::select! {
            biased;
            done = &mut change => panic!("it was not stopped: {done:?}"),
            begun = f.run::<bool>(&mut dropping) => if begun {
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
    stop_in_drop(&f, "{Item}:meta", of_text::Item::migrate(&f.db)).await;
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
    stop_in_drop(&f, "{Seat}:meta", without::Seat::drop_unused_indexes(&f.db)).await;
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
    stop_in_drop(&f, "{Seat}:meta", without::Seat::drop_unused_indexes(&f.db)).await;
    without::Seat::all().delete(&f.db).await.unwrap();
    indexed::Seat::migrate(&f.db).await.unwrap();
    indexed::Seat { id: 9, x: Some(1) }.save(&f.db).await.unwrap();
    assert_eq!(indexed::Seat::filter_by(|s| s.x.eq(1)).count(&f.db).await.unwrap(), 1);
    assert!(indexed::Seat::check(&f.db).await.unwrap().is_clean());
}
