//! Types of columns: two structs of one name, and columns whose type changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;
use redis::Value;
use subconscious::testing::TestServer;
use subconscious::{Db, Error, Migration, RedisModel, Result};
use subconscious_tests::{Fixture, indexes, with_protocol};

/// One crate's items.
mod shop {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Item {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) owner: String,
        pub(super) size: u16,
    }

    pub(super) fn item(id: u32) -> Item {
        Item { id, owner: format!("owner {}", id % 3), size: id as u16 }
    }
}

/// Those of another crate, with the same index.
mod game {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Item {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) owner: String,
        #[column(default = vec!["small".to_owned()])]
        pub(super) size: Vec<String>,
    }

    pub(super) fn item(id: u32) -> Item {
        Item { id, owner: "knight".into(), size: vec!["small".into(), "large".into()] }
    }
}

/// Those of a third one, with another index.
mod museum {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Item {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) artist: Option<String>,
        pub(super) size: bool,
    }
}

/// The shop's items in a later version: a column is gone, and another one came.
mod later {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Item {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) owner: String,
        pub(super) remark: Option<String>,
    }
}

/// The shop's items with a wider number.
mod wider {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Item {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) owner: String,
        pub(super) size: u64,
    }
}

/// All hashes of the items, and what is noted of the model.
async fn stored(f: &Fixture) -> Vec<(Vec<u8>, Value)> {
    let mut all = Vec::new();
    for key in f.keys().await {
        let whole = [f.key("").into_bytes(), key.clone()].concat();
        all.push((key, f.run(redis::cmd("DUMP").arg(whole)).await));
    }
    all
}

/// The error, which has to say that the schema is another one, with these words.
fn refused<T: std::fmt::Debug>(outcome: Result<T>, words: &[&str]) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Schema { model: "Item", .. }), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "no {word} in: {error}");
    }
}

#[tokio::test]
async fn two_structs_of_one_name_do_not_write_over_each_other() {
    let f = Fixture::new().await;
    let mut items: Vec<_> = (0..30).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let before = stored(&f).await;

    use game::{Item, item};
    let words = ["`size`", "u16", "list of text", "#[model(name = \"..\")]", "namespace", "`Item::migrate`"];
    let db = &f.db;
    refused(item(1).save(db).await, &words);
    refused(item(100).save(db).await, &words);
    refused(item(100).insert(db).await, &words);
    refused(item(1).update(db).await, &words);
    refused(Item::patch(db, 1u32, |i| i.owner.set("x")).await, &words);
    refused(item(1).delete(db).await, &words);
    refused(Item::take(db, 1u32).await, &words);
    refused(item(1).expire(db, std::time::Duration::from_secs(100)).await, &words);
    refused(Item::save_many(db, &mut [item(1), item(2)]).await.and_then(|report| report.into_result()), &words);
    refused(Item::delete_many(db, [1u32, 2]).await.and_then(|report| report.into_result()), &words);
    let stream = futures::stream::iter([item(1)]);
    refused(Item::save_stream(db, stream, |_| ()).await.and_then(|report| report.into_result()), &words);

    refused(Item::all().count(db).await, &words);
    refused(Item::all().fetch(db).await, &words);
    refused(Item::all().ids(db).try_collect::<Vec<_>>().await, &words);
    refused(Item::all().first(db).await, &words);
    refused(Item::all().exists(db).await, &words);
    refused(Item::all().delete(db).await, &words);
    refused(Item::all().stream(db).try_collect::<Vec<_>>().await, &words);
    refused(Item::filter_by(|i| i.owner.eq("owner 1")).count(db).await, &words);
    refused(Item::all().count_by(db, |i| i.owner).await, &words);
    refused(Item::all().select(|i| i.owner).fetch(db).await, &words);
    refused(Item::check(db).await, &words);
    refused(Item::repair(db).await, &words);
    assert_eq!(stored(&f).await, before);

    // The first struct is not kept from anything, and where it has no records, the other is at
    // home.
    items[1].save(db).await.unwrap();
    assert_eq!(shop::Item::all().delete(db).await.unwrap(), 30);
    item(1).save(db).await.unwrap();
    assert_eq!(Item::all().fetch(db).await.unwrap(), [item(1)]);
    refused(items[1].save(db).await, &["`size`", "u16", "list of text"]);
    indexes::assert_exact::<Item>(&f).await;
}

#[tokio::test]
async fn with_other_indexes_too_the_types_are_told_apart() {
    let f = Fixture::new().await;
    shop::item(1).save(&f.db).await.unwrap();
    let mut other = museum::Item { id: 1, artist: None, size: true };
    let words = ["`size`", "u16", "bool", "#[model(name = \"..\")]", "`artist:text:t null index`"];
    refused(other.save(&f.db).await, &words);
    refused(museum::Item::all().fetch(&f.db).await, &words);
}

#[tokio::test]
async fn versions_whose_plain_columns_come_and_go_work_side_by_side() {
    let f = Fixture::new().await;
    let mut item = shop::item(1);
    item.save(&f.db).await.unwrap();
    // Reading, too, is a way to be the first.
    assert_eq!(later::Item::all().count(&f.db).await.unwrap(), 1);
    let mut new = later::Item { id: 2, owner: "owner 2".into(), remark: Some("good".into()) };
    for _ in 0..3 {
        new.save(&f.db).await.unwrap();
        item.save(&f.db).await.unwrap();
        later::Item::patch(&f.db, 1u32, |i| i.remark.set("better")).await.unwrap();
        shop::Item::patch(&f.db, 1u32, |i| i.size.incr(1)).await.unwrap();
        assert_eq!(shop::Item::filter_by(|i| i.owner.eq("owner 1")).count(&f.db).await.unwrap(), 1);
        assert_eq!(later::Item::filter_by(|i| i.owner.eq("owner 2")).fetch(&f.db).await.unwrap(), [new.clone()]);
    }
    // Neither has anything to migrate. Another struct is refused for a column of either.
    assert_eq!(later::Item::migrate(&f.db).await.unwrap(), Migration::default());
    assert_eq!(shop::Item::migrate(&f.db).await.unwrap(), Migration::default());
    refused(game::item(1).save(&f.db).await, &["`size`", "u16"]);
    assert!(later::Item::delete_by_id(&f.db, 1u32).await.unwrap());
    assert!(shop::Item::delete_by_id(&f.db, 2u32).await.unwrap());
}

#[tokio::test]
async fn many_calls_at_once_of_a_new_version_are_all_answered() {
    let f = Fixture::new().await;
    let mut items: Vec<_> = (0..1_200).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let new = |id| later::Item { id, owner: "new".into(), remark: None };
    let mut many: Vec<_> = (600..1_800).map(new).collect();
    assert_eq!(later::Item::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap(), 1_200);
    // Takes the leave to write from the other programs. Some records have no size.
    #[derive(Debug, RedisModel)]
    #[model(name = "Item")]
    struct Lax {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        owner: String,
        size: Option<u64>,
    }
    let strict = wider::Item::migrate(&f.db).await.unwrap_err();
    assert!(matches!(strict, Error::MissingColumn { model: "Item", column: "size", .. }), "{strict:?}");
    assert_eq!(Lax::migrate(&f.db).await.unwrap().retyped, ["size"]);
    assert_eq!(Lax::all().count(&f.db).await.unwrap(), 1_800);
    let lax = Lax::load(&f.db, 5u32).await.unwrap().unwrap();
    assert_eq!((lax.id, lax.owner.as_str(), lax.size), (5, "owner 2", Some(5)));
    // Many deletes in a pipeline are, too.
    let deleted = later::Item::delete_many(&f.db, 0..1_700u32).await.unwrap().into_result().unwrap();
    assert_eq!(deleted, 1_700);
    let found = futures::future::join_all((0..8).map(|_| async { later::Item::all().count(&f.db).await })).await;
    assert!(found.into_iter().all(|count| count.unwrap() == 100));
}

#[tokio::test]
async fn a_plain_column_gets_a_wider_type_by_migrate() {
    let f = Fixture::new().await;
    let mut items: Vec<_> = (0..700).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let wide = |id: u32| wider::Item { id, owner: format!("owner {}", id % 3), size: u64::from(id) };
    refused(wide(1).save(&f.db).await, &["`size`", "stored as u16", "u64", "`Item::migrate`"]);
    refused(wider::Item::all().count(&f.db).await, &["`size`"]);
    // Reads by id are free.
    assert_eq!(wider::Item::load(&f.db, 1u32).await.unwrap().unwrap(), wide(1));

    let mut tried = 0;
    let done = wider::Item::migrate_with(&f.db, |migration| tried = migration.tried).await.unwrap();
    assert_eq!((done.retyped, done.tried, tried), (vec!["size".to_owned()], 700, 700));
    assert_eq!((done.built, done.dropped), (vec![], vec![]));
    assert_eq!(wider::Item::migrate(&f.db).await.unwrap(), Migration::default());
    wider::Item::patch(&f.db, 7u32, |i| i.size.set(u64::MAX)).await.unwrap();
    assert_eq!(wider::Item::filter_by(|i| i.owner.eq("owner 1")).count(&f.db).await.unwrap(), 233);

    // The older one works on, but can't load a value that is beyond its type.
    assert_eq!(shop::Item::migrate(&f.db).await.unwrap(), Migration::default());
    items[1].save(&f.db).await.unwrap();
    assert_eq!(shop::Item::load(&f.db, 8u32).await.unwrap().unwrap(), items[8]);
    let error = shop::Item::load(&f.db, 7u32).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt { model: "Item", column: Some("size"), key, .. } if key.ends_with(":r:7")));
    assert!(error.to_string().contains("18446744073709551615"), "{error}");
    wider::Item::patch(&f.db, 7u32, |i| i.size.set(7u64)).await.unwrap();
    assert_eq!(shop::Item::all().fetch(&f.db).await.unwrap().len(), 700);
    indexes::assert_exact::<shop::Item>(&f).await;
    // It is refused when the newer one says that there is none.
    assert_eq!(wider::Item::drop_unused_indexes(&f.db).await.unwrap(), Migration::default());
    refused(items[1].save(&f.db).await, &["`size`", "stored as u64", "u16"]);
    refused(shop::Item::all().fetch(&f.db).await, &["`size`"]);
    assert_eq!(shop::Item::migrate(&f.db).await.unwrap().retyped, ["size"]);
    items[1].save(&f.db).await.unwrap();
}

/// Records of a time when types were not noted go on as they are, and the first call notes the
/// types.
#[tokio::test]
async fn records_without_noted_types_go_on() {
    type Step = fn(&Db) -> futures::future::BoxFuture<'_, Result<()>>;
    let steps: [Step; 7] = [
        |db| Box::pin(async { shop::item(1).save(db).await }),
        |db| Box::pin(async { shop::item(50).insert(db).await }),
        |db| Box::pin(async { shop::Item::patch(db, 2u32, |i| i.size.incr(1)).await.map(drop) }),
        |db| Box::pin(async { shop::Item::delete_by_id(db, 3u32).await.map(drop) }),
        |db| Box::pin(async { shop::Item::delete_many(db, [4u32, 5]).await?.into_result().map(drop) }),
        |db| Box::pin(async { shop::Item::filter_by(|i| i.owner.eq("owner 1")).fetch(db).await.map(drop) }),
        |db| Box::pin(async { shop::Item::migrate(db).await.map(drop) }),
    ];
    for step in steps {
        let f = Fixture::new().await;
        let mut items: Vec<_> = (0..10).map(shop::item).collect();
        shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
        let meta = f.key("{Item}:meta");
        let fields: Vec<String> = f.run(redis::cmd("HKEYS").arg(&meta)).await;
        let of_old = ["schema", "columns", "rows", "count"];
        for field in fields.iter().filter(|field| !of_old.contains(&field.as_str())) {
            let () = f.run(redis::cmd("HDEL").arg(&meta).arg(field)).await;
        }
        let noted = async || -> Option<String> { f.run(redis::cmd("HGET").arg(&meta).arg("types")).await };
        assert_eq!(noted().await, None);
        step(&f.db).await.unwrap();
        let types = noted().await.unwrap();
        assert_eq!(types, "id:u32:i key\nowner:text:t\nsize:u16:i");
        refused(game::item(1).save(&f.db).await, &["`size`"]);
        indexes::assert_exact::<shop::Item>(&f).await;
    }
}

/// Who may not write can't have its types noted. It is answered all the same, if they are those
/// that are stored.
#[tokio::test]
async fn a_reader_that_may_not_write_is_answered_or_refused_by_its_types() {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut items: Vec<_> = (0..300).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let rights = include_str!("../../../docs/src/rights.md");
    let line = rights.lines().find(|line| line.starts_with("ACL SETUSER reader ")).unwrap();
    let mut command = redis::Cmd::new();
    for word in line.split(' ') {
        command.arg(word.replace("shop:{User}:", &f.key("{Item}:")));
    }
    let () = f.run(&mut command).await;
    let host = server.url().strip_prefix("redis://").unwrap();
    let reader = Db::builder().namespace(f.db.namespace());
    let reader = reader.open(&with_protocol(&format!("redis://reader:password@{host}"))).await.unwrap();
    as_a_reader(&f, &reader).await;
}

#[tokio::test]
async fn a_replica_answers_or_refuses_by_the_types() {
    let f = Fixture::replicated().await;
    let mut items: Vec<_> = (0..300).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    f.replicate().await;
    as_a_reader(&f, &f.db).await;
}

async fn as_a_reader(f: &Fixture, reader: &Db) {
    let before = stored(f).await;
    for _ in 0..2 {
        let some = later::Item::filter_by(|i| i.owner.eq("owner 1") | i.owner.eq("owner 2"));
        assert_eq!(some.clone().count(reader).await.unwrap(), 200);
        assert_eq!(some.clone().fetch(reader).await.unwrap().len(), 200);
        assert_eq!(some.clone().limit(5).fetch(reader).await.unwrap().len(), 5);
        assert_eq!(some.count_by(reader, |i| i.owner).await.unwrap().len(), 2);
        refused(game::Item::all().count(reader).await, &["`size`", "u16", "list of text"]);
        refused(game::Item::filter_by(|i| !i.owner.eq("owner 1")).fetch(reader).await, &["`size`"]);
    }
    assert_eq!(stored(f).await, before);
}

/// A migration of two versions at the same time: each new column registers, also while indexes are
/// built.
#[tokio::test]
async fn a_version_with_another_plain_column_comes_while_indexes_are_built() {
    mod newer {
        use super::*;

        #[derive(Debug, RedisModel)]
        pub(super) struct Item {
            #[column(primary_key)]
            pub(super) id: u32,
            #[column(index)]
            pub(super) owner: String,
            #[column(index)]
            pub(super) size: u16,
        }

        pub(super) mod newest {
            use super::*;

            #[derive(Debug, RedisModel)]
            pub(in super::super) struct Item {
                #[column(primary_key)]
                pub(in super::super) id: u32,
                #[column(index)]
                pub(in super::super) owner: String,
                #[column(index)]
                pub(in super::super) size: u16,
                pub(in super::super) remark: Option<String>,
            }
        }
    }
    let f = Fixture::new().await;
    let mut items: Vec<_> = (0..300).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let done = std::sync::atomic::AtomicU64::new(0);
    let half = async {
        while done.load(std::sync::atomic::Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
    };
    let report = |migration: &Migration| done.store(migration.done, std::sync::atomic::Ordering::Relaxed);
    tokio::select! {
        _ = newer::Item::migrate_with(&f.db, report) => panic!("not stopped"),
        () = half => {}
    }
    use newer::newest;
    let mut new = newest::Item { id: 7, owner: "owner 7".into(), size: 1_000, remark: Some("new".into()) };
    new.save(&f.db).await.unwrap();
    assert!(newest::Item::delete_by_id(&f.db, 290u32).await.unwrap());
    refused(newest::Item::filter_by(|i| i.size.eq(7)).count(&f.db).await, &["size is still being built"]);
    refused(newer::Item::filter_by(|i| i.size.eq(7)).count(&f.db).await, &["size is still being built"]);
    assert_eq!(newest::Item::filter_by(|i| i.owner.eq("owner 7")).count(&f.db).await.unwrap(), 1);
    items[1].save(&f.db).await.unwrap();
    newest::Item::migrate(&f.db).await.unwrap();
    assert_eq!(newest::Item::filter_by(|i| i.size.eq(1_000)).count(&f.db).await.unwrap(), 1);
    let patched = newer::Item::patch(&f.db, 8u32, |i| i.size.set(1_000)).await;
    patched.unwrap();
    indexes::assert_exact::<newer::Item>(&f).await;
    let _ = (new.id, new.owner, new.size, new.remark);
    let _ = newer::Item { id: 0, owner: String::new(), size: 0 };
}

/// Items with one column of a type, and the others as they are stored.
macro_rules! tried {
    ($($module:ident: $(#[$index:meta])? $column:ident: $type:ty;)*) => {$(
        mod $module {
            #![allow(dead_code)]
            use super::*;

            #[derive(Debug, RedisModel)]
            pub(super) struct Thing {
                #[column(primary_key)]
                id: u32,
                $(#[$index])?
                $column: $type,
            }
        }
    )*};
}
tried! {
    list: text: Vec<String>;
    flag: text: bool;
    unique_id: text: uuid::Uuid;
    byte: text: u8;
    positive: number: u32;
    indexed_list: #[column(index)] text: Vec<String>;
    indexed_flag: #[column(index, sort)] text: Option<bool>;
    indexed_byte: #[column(sort)] text: u8;
    indexed_number: #[column(index, sort)] number: Option<u32>;
    in_order: #[column(sort)] broken: i64;
    floats: #[column(sort)] text: f64;
    long: #[column(index)] long: String;
    long_in_list: #[column(index)] list: Vec<String>;
    plain: tag: u8;
    gone: #[column(index)] missing: String;
    nothing: #[column(index)] nullable: String;
}

/// What all of these were.
#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(name = "Thing")]
struct Everything {
    #[column(primary_key)]
    id: u32,
    text: String,
    number: i32,
    broken: i64,
    long: String,
    list: Vec<String>,
    #[column(index)]
    tag: String,
    nullable: Option<String>,
}

/// What a migration was refused for: nothing may have changed. The error names column, key and
/// value.
async fn tried<M: RedisModel>(f: &Fixture, column: &str, value: &str) {
    let before = stored(f).await;
    let error = M::migrate(&f.db).await.unwrap_err();
    assert_eq!(stored(f).await, before, "{error}");
    let text = error.to_string();
    for part in [&format!("Thing.{column}: "), value, ":{Thing}:r:612"] {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    let expected = matches!(error, Error::Corrupt { .. } | Error::BadData { .. } | Error::MissingColumn { .. });
    assert!(expected, "{error:?}");
}

#[tokio::test]
async fn a_migration_to_a_type_that_cannot_read_what_is_stored_changes_nothing() {
    let f = Fixture::new().await;
    let thing = |id: u32| Everything {
        id,
        text: String::new(),
        number: 1,
        broken: 0,
        long: String::new(),
        list: vec![],
        tag: "1".into(),
        nullable: Some(String::new()),
    };
    // All of it could be read as any of the types but for one record.
    let texts = ["", "true", "00000000-0000-0000-0000-000000000000", "1", "1.0"];
    for text in texts {
        let mut things: Vec<_> = (0..700).map(|id| Everything { text: text.into(), ..thing(id) }).collect();
        things[612] = Everything {
            text: "x".into(),
            number: -1,
            long: "l".repeat(1_025),
            list: vec!["l".repeat(1_025)],
            tag: "much".into(),
            nullable: None,
            ..thing(612)
        };
        Everything::save_many(&f.db, &mut things).await.unwrap().into_result().unwrap();
        let () = f.run(redis::cmd("HSET").arg(f.key("{Thing}:r:612")).arg("broken").arg("many")).await;
        let quoted = "\"x\"";
        match text {
            "" => {
                tried::<list::Thing>(&f, "text", quoted).await;
                tried::<indexed_list::Thing>(&f, "text", quoted).await;
            }
            "true" => {
                tried::<flag::Thing>(&f, "text", quoted).await;
                tried::<indexed_flag::Thing>(&f, "text", quoted).await;
            }
            "1" => {
                tried::<byte::Thing>(&f, "text", quoted).await;
                tried::<indexed_byte::Thing>(&f, "text", quoted).await;
            }
            "1.0" => tried::<floats::Thing>(&f, "text", quoted).await,
            _ => tried::<unique_id::Thing>(&f, "text", quoted).await,
        }
    }
    tried::<positive::Thing>(&f, "number", "\"-1\"").await;
    tried::<indexed_number::Thing>(&f, "number", "\"-1\"").await;
    tried::<in_order::Thing>(&f, "broken", "\"many\"").await;
    tried::<long::Thing>(&f, "long", "1025").await;
    tried::<long_in_list::Thing>(&f, "list", "1025").await;
    tried::<plain::Thing>(&f, "tag", "\"much\"").await;
    tried::<nothing::Thing>(&f, "nullable", "").await;
    let none = gone::Thing::migrate(&f.db).await.unwrap_err();
    assert!(matches!(none, Error::MissingColumn { column: "missing", .. }), "{none:?}");

    // The older program works on, mends the record, and what fits goes through.
    Everything::patch(&f.db, 612u32, |t| [t.text.set("1.0"), t.number.set(7)]).await.unwrap();
    assert_eq!(Everything::filter_by(|t| t.tag.eq("much")).count(&f.db).await.unwrap(), 1);
    let done = floats::Thing::migrate(&f.db).await.unwrap();
    assert_eq!((done.retyped, done.built, done.tried), (vec!["text".into()], vec!["text".into()], 700));
    assert!(floats::Thing::check(&f.db).await.unwrap().is_clean());
    assert_eq!(floats::Thing::filter_by(|t| t.text.between(1.0, 1.0)).fetch(&f.db).await.unwrap().len(), 700);
    let done = positive::Thing::migrate(&f.db).await.unwrap();
    assert_eq!((done.retyped, done.dropped), (vec!["number".into()], vec![]));
    assert_eq!(positive::Thing::all().fetch(&f.db).await.unwrap().len(), 700);
}

/// Programs of the older type notice nothing of the change, each in the middle of its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_the_older_type_go_on() {
    let f = Fixture::new().await;
    let mut items: Vec<_> = (0..2_000).map(shop::item).collect();
    shop::Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let (db, stop) = (f.db.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let id = (written * 4 + writer) % 2_000;
                    shop::Item::patch(&db, id, |i| i.size.set(u16::MAX)).await.unwrap();
                    written += 1;
                }
            })
        })
        .collect();
    let written = async || {
        let all = wider::Item::load_many(&f.db, 0..8u32).await.unwrap();
        all.iter().flatten().filter(|item| item.size == u64::from(u16::MAX)).count()
    };
    while written().await < 8 {}
    assert_eq!(wider::Item::migrate(&f.db).await.unwrap().retyped, ["size"]);
    wider::Item::patch(&f.db, 3u32, |i| i.size.set(u64::from(u16::MAX))).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(wider::Item::all().fetch(&f.db).await.unwrap().len(), 2_000);
    indexes::assert_exact::<wider::Item>(&f).await;
}

/// The first call of a new version may meet records that expired.
#[tokio::test]
async fn a_new_version_registers_where_records_have_expired() {
    #[derive(Debug, RedisModel)]
    #[model(name = "Visit", ttl = "1h")]
    struct Old {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        page: String,
    }
    #[derive(Debug, RedisModel)]
    #[model(name = "Visit", ttl = "1h")]
    struct New {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        page: String,
        referrer: Option<String>,
    }
    let f = Fixture::new().await;
    for id in 0..100 {
        let mut visit = Old { id, page: "start".into() };
        visit.save(&f.db).await.unwrap();
        if id < 90 {
            visit.expire_at(&f.db, std::time::UNIX_EPOCH).await.unwrap();
        }
    }
    assert_eq!(New::filter_by(|v| v.page.eq("start")).count(&f.db).await.unwrap(), 10);
    let mut visits = New::all().fetch(&f.db).await.unwrap();
    assert_eq!(visits.len(), 10);
    visits[0].referrer = Some("elsewhere".into());
    visits[0].save(&f.db).await.unwrap();
    let read = New::load(&f.db, visits[0].id).await.unwrap().unwrap();
    assert_eq!((read.page, read.referrer), ("start".into(), Some("elsewhere".into())));
    indexes::assert_exact::<New>(&f).await;
}
