//! Unique columns, versions, times, partial updates, and the verbs for one and for many records.

use std::collections::BTreeSet;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use futures::stream;
use subconscious::{Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Member {
    #[column(primary_key)]
    id: u32,
    #[column(unique)]
    email: Option<String>,
    #[column(unique, index, sort)]
    number: u64,
    #[column(index, sort)]
    level: u8,
    #[column(sort)]
    name: Option<String>,
    note: Option<String>,
}

fn member(id: u32) -> Member {
    Member {
        id,
        email: Some(format!("{id}@example.org")),
        number: u64::from(id) + 100,
        level: 1,
        name: Some("n".into()),
        note: None,
    }
}

fn duplicate(error: &Error) -> &'static str {
    match error {
        Error::Duplicate { model: "Member", column, .. } => column,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_unique_value_belongs_to_one_record() {
    let f = Fixture::new().await;
    let mut one = member(1);
    let mut two = member(2);
    one.save(&f.db).await.unwrap();
    two.save(&f.db).await.unwrap();
    // Its own value again.
    one.save(&f.db).await.unwrap();

    let taken = |id| Member { email: Some("1@example.org".into()), ..member(id) };
    for refused in [
        taken(2).save(&f.db).await.unwrap_err(),
        taken(3).save(&f.db).await.unwrap_err(),
        taken(3).insert(&f.db).await.unwrap_err(),
        taken(2).update(&f.db).await.unwrap_err(),
        Member::patch(&f.db, 2u32, |m| [m.level.set(9), m.email.set("1@example.org")]).await.unwrap_err(),
    ] {
        assert_eq!(duplicate(&refused), "email");
        assert!(refused.is_duplicate() && refused.to_string().contains("\"1@example.org\""), "{refused}");
    }
    assert_eq!(duplicate(&Member { number: 101, ..member(3) }.save(&f.db).await.unwrap_err()), "number");
    assert_eq!(Member::load(&f.db, 2u32).await.unwrap().unwrap(), two);
    assert!(!Member::exists(&f.db, 3u32).await.unwrap());
    indexes::assert_exact::<Member>(&f).await;

    // Null is no value; to change or clear a value frees it, and so does to delete its record.
    one.email = None;
    one.save(&f.db).await.unwrap();
    let mut three = Member { email: None, ..member(3) };
    three.save(&f.db).await.unwrap();
    taken(3).save(&f.db).await.unwrap();
    Member::patch(&f.db, 3u32, |m| [m.email.clear()]).await.unwrap();
    two.email = Some("1@example.org".into());
    two.save(&f.db).await.unwrap();
    assert!(two.delete(&f.db).await.unwrap());
    Member { email: Some("1@example.org".into()), ..member(4) }.insert(&f.db).await.unwrap();
    indexes::assert_exact::<Member>(&f).await;

    // Two records of one pipeline.
    let mut many = [member(7), Member { number: 107, ..member(8) }, member(9)];
    let report = Member::save_many(&f.db, &mut many).await.unwrap();
    assert_eq!((report.saved, report.failures), (2, 1));
    assert!(matches!(report.failed[..], [(1, Error::Duplicate { column: "number", .. })]), "{report:?}");
    indexes::assert_exact::<Member>(&f).await;
}

#[tokio::test]
async fn a_record_is_found_by_its_unique_value() {
    let f = Fixture::new().await;
    let mut all: Vec<_> = (1..=300).map(member).collect();
    Member::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let found = Member::filter_by(|m| m.email.eq("7@example.org")).first(&f.db).await.unwrap();
    assert_eq!(found, Some(member(7)));
    let some = Member::filter_by(|m| m.email.is_in(["9@example.org", "none", "4@example.org"]));
    assert_eq!(some.fetch(&f.db).await.unwrap(), [member(4), member(9)]);
    let not = Member::filter_by(|m| !m.email.eq("9@example.org") & m.level.eq(1));
    assert_eq!(not.count(&f.db).await.unwrap(), 299);
    let range = Member::filter_by(|m| m.number.between(110, 112) & !m.number.eq(111)).order_by(|m| m.number.desc());
    assert_eq!(range.fetch(&f.db).await.unwrap(), [member(12), member(10)]);
    assert_eq!(Member::filter_by(|m| m.email.eq("nobody")).count(&f.db).await.unwrap(), 0);
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Document {
    #[column(primary_key)]
    id: u32,
    text: String,
    #[column(version, sort)]
    version: u64,
    #[column(created_at, sort)]
    created: DateTime<Utc>,
    #[column(updated_at, sort)]
    updated: Option<SystemTime>,
    #[column(index)]
    tags: Vec<String>,
}

fn document(id: u32) -> Document {
    Document { id, text: "a".into(), version: 0, created: DateTime::default(), updated: None, tags: vec![] }
}

#[tokio::test]
async fn a_record_with_a_version_is_written_by_those_who_have_seen_it() {
    let f = Fixture::new().await;
    let mut mine = document(1);
    mine.save(&f.db).await.unwrap();
    assert_eq!(mine.version, 1);
    let mut theirs = Document::load(&f.db, 1u32).await.unwrap().unwrap();
    assert_eq!(theirs, mine);
    theirs.text = "b".into();
    theirs.update(&f.db).await.unwrap();
    assert_eq!(theirs.version, 2);

    let conflict = |error: Error| {
        let Error::Conflict { model: "Document", key, expected, stored, .. } = &error else { panic!("{error:?}") };
        assert!(error.is_conflict() && key.ends_with("{Document}:r:1"), "{error}");
        (expected.clone(), stored.clone())
    };
    let two = Some("2".to_owned());
    assert_eq!(conflict(mine.save(&f.db).await.unwrap_err()), ("1".into(), two.clone()));
    assert_eq!(conflict(mine.update(&f.db).await.unwrap_err()), ("1".into(), two.clone()));
    assert_eq!(conflict(mine.delete(&f.db).await.unwrap_err()), ("1".into(), two.clone()));
    assert_eq!(conflict(document(1).save(&f.db).await.unwrap_err()), ("0".into(), two.clone()));
    let patch = Document::patch(&f.db, 1u32, |d| [d.version.expected(1), d.text.set("c")]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("1".into(), two));
    assert_eq!(Document::load(&f.db, 1u32).await.unwrap().unwrap(), theirs);

    let patched = Document::patch(&f.db, 1u32, |d| [d.version.expected(2), d.text.set("c")]).await.unwrap();
    assert_eq!(patched.get(|d| d.version), Some(3));
    let patched = Document::patch(&f.db, 1u32, |d| [d.text.set("d")]).await.unwrap();
    assert_eq!(patched.get(|d| d.version), Some(4));
    mine.reload(&f.db).await.unwrap();
    assert_eq!((mine.version, mine.text.as_str()), (4, "d"));
    indexes::assert_exact::<Document>(&f).await;

    // A deleted record stays deleted, but can be inserted as a new one.
    assert!(mine.delete(&f.db).await.unwrap());
    assert_eq!(conflict(mine.save(&f.db).await.unwrap_err()), ("4".into(), None));
    assert!(mine.update(&f.db).await.unwrap_err().is_not_found());
    assert!(mine.reload(&f.db).await.unwrap_err().is_not_found());
    assert_eq!(mine.version, 4);
    mine.insert(&f.db).await.unwrap();
    assert_eq!(mine.version, 1);
}

#[tokio::test]
async fn the_server_says_when_a_record_was_made_and_changed() {
    let f = Fixture::new().await;
    let clock = async || {
        let (seconds, micros): (i64, u32) = f.run(&mut redis::cmd("TIME")).await;
        DateTime::from_timestamp(seconds, micros * 1000).unwrap()
    };
    let before = clock().await;
    let mut record = document(1);
    record.save(&f.db).await.unwrap();
    let after = clock().await;
    assert!(before <= record.created && record.created <= after, "{before} {} {after}", record.created);
    assert_eq!(record.updated, Some(record.created.into()));
    assert_eq!(Document::load(&f.db, 1u32).await.unwrap().unwrap(), record);

    // What a caller makes of them does not count.
    let created = record.created;
    record.created = DateTime::default();
    record.updated = None;
    record.save(&f.db).await.unwrap();
    assert_eq!(record.created, created);
    assert!(record.updated.unwrap() >= SystemTime::from(after));
    let saved = record.updated;
    Document::patch(&f.db, 1u32, |d| [d.text.set("z")]).await.unwrap();
    record.reload(&f.db).await.unwrap();
    assert_eq!(record.created, created);
    assert!(record.updated > saved);
    let newest = Document::all().order_by(|d| d.updated.desc()).first(&f.db).await.unwrap().unwrap();
    assert_eq!(newest, record);
    indexes::assert_exact::<Document>(&f).await;
}

#[tokio::test]
async fn lists_are_found_by_their_elements() {
    let f = Fixture::new().await;
    let tagged = |id, tags: &[&str]| Document { tags: tags.iter().map(|&tag| tag.into()).collect(), ..document(id) };
    let lists: [&[&str]; 5] = [&[], &["a"], &["a", "b", "a"], &["b", ",", "\\c", ""], &["c"]];
    for (id, tags) in lists.iter().enumerate() {
        tagged(id as u32, tags).save(&f.db).await.unwrap();
    }
    let ids = async |query: subconscious::Query<Document>| {
        query.fetch(&f.db).await.unwrap().into_iter().map(|document| document.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains("a"))).await, [1, 2]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains(","))).await, [3]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains("\\c"))).await, [3]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains(""))).await, [3]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains_any(["a", "c"]))).await, [1, 2, 4]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains_all(["a", "b"]))).await, [2]);
    assert_eq!(ids(Document::filter_by(|d| !d.tags.contains("b"))).await, [0, 1, 4]);
    assert_eq!(Document::load(&f.db, 2u32).await.unwrap().unwrap().tags, ["a", "b", "a"]);
    indexes::assert_exact::<Document>(&f).await;
    Document::patch(&f.db, 2u32, |d| [d.tags.set(vec!["c".to_owned(), "b".to_owned()])]).await.unwrap();
    Document::patch(&f.db, 3u32, |d| [d.tags.set(vec![])]).await.unwrap();
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains("a"))).await, [1]);
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains("b"))).await, [2]);
    assert!(Document::delete_by_id(&f.db, 4u32).await.unwrap());
    assert_eq!(ids(Document::filter_by(|d| d.tags.contains("c"))).await, [2]);
    indexes::assert_exact::<Document>(&f).await;
    let long = Document { tags: vec!["x".repeat(1025)], ..document(9) }.save(&f.db).await.unwrap_err();
    assert!(matches!(long, Error::BadData { column: "tags", .. }), "{long:?}");
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Sets {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    numbers: BTreeSet<u64>,
    #[column(index)]
    names: Option<Vec<String>>,
}

#[tokio::test]
async fn sets_and_nullable_lists_are_kept_and_found() {
    let f = Fixture::new().await;
    let mut all = [
        Sets { id: 1, numbers: BTreeSet::from([3, u64::MAX]), names: None },
        Sets { id: 2, numbers: BTreeSet::new(), names: Some(vec![]) },
        Sets { id: 3, numbers: (0..300).collect(), names: Some(vec!["x".into()]) },
    ];
    Sets::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    assert_eq!(Sets::filter_by(|s| s.numbers.contains(u64::MAX)).fetch(&f.db).await.unwrap(), all[..1]);
    assert_eq!(Sets::filter_by(|s| s.numbers.contains(3u64)).count(&f.db).await.unwrap(), 2);
    assert_eq!(Sets::filter_by(|s| s.names.is_none()).fetch(&f.db).await.unwrap(), all[..1]);
    assert_eq!(Sets::filter_by(|s| s.names.is_some() & !s.names.contains("x")).fetch(&f.db).await.unwrap(), all[1..2]);
    all[2].names = None;
    all[2].save(&f.db).await.unwrap();
    assert_eq!(Sets::filter_by(|s| s.names.is_none()).count(&f.db).await.unwrap(), 2);
    indexes::assert_exact::<Sets>(&f).await;
}

#[tokio::test]
async fn a_patch_sends_and_changes_only_its_columns() {
    let f = Fixture::new().await;
    member(1).save(&f.db).await.unwrap();
    // Another program changes what this one does not name.
    let key = f.key("{Member}:r:1");
    let () = f.run(redis::cmd("HSET").arg(&key).arg("note").arg("theirs").arg("extra").arg("kept")).await;
    Member::patch(&f.db, 1u32, |m| [m.level.set(3), m.name.set_or_clear(Some("new".into()))]).await.unwrap();
    assert_eq!(Member::load(&f.db, 1u32).await.unwrap().unwrap().name.as_deref(), Some("new"));
    Member::patch(&f.db, 1u32, |m| m.name.set_or_clear(None)).await.unwrap();
    let loaded = Member::load(&f.db, 1u32).await.unwrap().unwrap();
    assert_eq!(loaded, Member { level: 3, name: None, note: Some("theirs".into()), ..member(1) });
    let extra: String = f.run(redis::cmd("HGET").arg(&key).arg("extra")).await;
    assert_eq!(extra, "kept");
    assert_eq!(Member::filter_by(|m| m.level.eq(3)).count(&f.db).await.unwrap(), 1);
    indexes::assert_exact::<Member>(&f).await;
    let nothing: [subconscious::ColumnChange<Member>; 0] = [];
    Member::patch(&f.db, 1u32, |_| nothing).await.unwrap();
    let refused = Member::patch(&f.db, 1u32, |m| [m.email.set("x".repeat(2000))]).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "email", .. }), "{refused:?}");
}

#[tokio::test]
async fn a_record_is_taken_once() {
    let f = Fixture::new().await;
    member(1).save(&f.db).await.unwrap();
    let takers = (0..20).map(|_| Member::take(&f.db, 1u32));
    let taken: Vec<_> = futures::future::join_all(takers).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken, [member(1)]);
    assert_eq!(f.keys().await, [b"{Member}:meta"]);
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Bare {
    #[column(primary_key)]
    id: String,
}

#[tokio::test]
async fn a_record_of_nothing_but_its_key_is_taken() {
    let f = Fixture::new().await;
    Bare { id: "a".into() }.save(&f.db).await.unwrap();
    assert_eq!(Bare::take(&f.db, "a").await.unwrap(), Some(Bare { id: "a".into() }));
    assert_eq!(Bare::take(&f.db, "a").await.unwrap(), None);
}

#[tokio::test]
async fn many_records_are_saved_from_a_stream_and_deleted() {
    let f = Fixture::new().await;
    let mut steps = Vec::new();
    // One in a thousand has the number of another one.
    let records = (0..5_000).map(|id| if id % 1000 == 999 { Member { number: 100, ..member(id) } } else { member(id) });
    let report =
        Member::save_stream(&f.db, stream::iter(records), |report| steps.push(report.saved + report.failures)).await;
    let report = report.unwrap();
    assert_eq!((report.saved, report.failures), (4_995, 5));
    let failed: Vec<usize> = report.failed.iter().map(|(at, _)| *at).collect();
    assert_eq!(failed, [999, 1999, 2999, 3999, 4999]);
    assert!(report.failed.iter().all(|(_, error)| duplicate(error) == "number"));
    assert_eq!(steps, (1..=10).map(|step| step * 500).collect::<Vec<_>>());
    assert_eq!(Member::all().count(&f.db).await.unwrap(), 4_995);

    let report = Member::delete_many(&f.db, (0..5_000).filter(|id| id % 2 == 0).chain([999, 6_000])).await.unwrap();
    assert_eq!((report.deleted, report.missing, report.failures), (2_500, 2, 0));
    assert_eq!(Member::all().count(&f.db).await.unwrap(), 2_495);
    indexes::assert_exact::<Member>(&f).await;
    let long = Bare::delete_many(&f.db, ["a".to_owned(), "x".repeat(2000)]).await.unwrap();
    assert_eq!((long.missing, long.failures), (1, 1));
    assert!(matches!(long.failed[..], [(1, Error::BadData { .. })]), "{long:?}");
}

#[tokio::test]
async fn large_values_and_many_fields_are_written_with_as_many_calls_as_small_ones() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Blob {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        kind: String,
        data: Vec<u8>,
    }
    let server = subconscious::testing::TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let calls = async || {
        let info: String = f.run(redis::cmd("INFO").arg("commandstats")).await;
        let count = |line: &str| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok();
        let inner = info.lines().filter(|line| !line.contains("info") && !line.contains("script"));
        inner.filter_map(count).sum::<u64>()
    };
    let blob = |id, size: usize| Blob { id, kind: "k".into(), data: vec![0xC3; size] };
    blob(1, 1).save(&f.db).await.unwrap();
    let before = calls().await;
    blob(2, 1).save(&f.db).await.unwrap();
    let small = calls().await - before;
    let mut large = blob(3, 1 << 20);
    let before = calls().await;
    large.save(&f.db).await.unwrap();
    assert_eq!(calls().await - before, small);
    assert_eq!(Blob::load(&f.db, 3u32).await.unwrap().unwrap(), large);
    Blob::patch(&f.db, 3u32, |b| [b.data.set(vec![1; 1 << 20])]).await.unwrap();
    assert_eq!(Blob::take(&f.db, 3u32).await.unwrap().unwrap().data, vec![1; 1 << 20]);

    // Fields of another version of the program are many; they are left alone and cost no call.
    let key = f.key("{Blob}:r:2");
    let mut fill = redis::cmd("HSET");
    fill.arg(&key);
    for at in 0..10_000 {
        fill.arg(format!("field {at}")).arg("x".repeat(20));
    }
    let () = f.run(&mut fill).await;
    let before = calls().await;
    Blob { kind: "other".into(), ..blob(2, 5) }.save(&f.db).await.unwrap();
    // A change touches two containers, where an insert touches one and the row's keys.
    assert!(calls().await - before <= small + 2);
    let fields: u64 = f.run(redis::cmd("HLEN").arg(&key)).await;
    assert_eq!(fields, 10_003);
}

/// A model of 5,000 columns, as no derive would be asked for.
mod wide {
    use std::sync::LazyLock;

    use subconscious::__private::{ColumnSchema, ModelSchema, RecordReader, RecordWriter};
    use subconscious::{RedisModel, Result};

    pub(super) const COLUMNS: usize = 5_000;

    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Wide {
        pub(super) id: u32,
        pub(super) values: Vec<Option<String>>,
    }

    impl RedisModel for Wide {
        type Id = u32;
        type Columns = ();

        fn schema() -> &'static ModelSchema {
            static SCHEMA: LazyLock<ModelSchema> = LazyLock::new(|| {
                let name = |at: usize| -> &'static str { Box::leak(format!("column {at}").into_boxed_str()) };
                let mut columns = vec![ColumnSchema::new::<u32>("id").key::<u32>()];
                columns.push(ColumnSchema::new::<Option<String>>(name(0)).index::<Option<String>>());
                columns.extend((1..COLUMNS).map(|at| ColumnSchema::new::<Option<String>>(name(at))));
                ModelSchema::new("Wide", columns)
            });
            &SCHEMA
        }

        fn columns() -> Self::Columns {}

        fn id(&self) -> u32 {
            self.id
        }

        fn write(&self, record: &mut RecordWriter) -> Result<()> {
            record.column::<u32>(&self.id)?;
            self.values.iter().try_for_each(|value| record.column::<Option<String>>(value))
        }

        fn read(record: &mut RecordReader<'_>) -> Result<Self> {
            let id = record.column::<u32>()?;
            let values = (0..COLUMNS).map(|_| record.column::<Option<String>>()).collect::<Result<_>>()?;
            Ok(Self { id, values })
        }
    }
}

#[tokio::test]
async fn a_record_of_5_000_columns_is_saved_changed_and_taken() {
    use wide::{COLUMNS, Wide};
    let f = Fixture::new().await;
    let full: Vec<_> = (0..COLUMNS).map(|at| Some(format!("value {at}"))).collect();
    let mut records: Vec<_> = (0..3).map(|id| Wide { id, values: full.clone() }).collect();
    records[0].save(&f.db).await.unwrap();
    Wide::save_many(&f.db, &mut records[1..]).await.unwrap().into_result().unwrap();
    // From all to one, to none, and to all.
    for keep in [1, 0, COLUMNS] {
        records[1].values = (0..COLUMNS).map(|at| (at < keep).then(|| format!("new {at}"))).collect();
        records[1].save(&f.db).await.unwrap();
        assert_eq!(Wide::load(&f.db, 1u32).await.unwrap().unwrap(), records[1]);
        let fields: usize = f.run(redis::cmd("HLEN").arg(f.key("{Wide}:r:1"))).await;
        assert_eq!(fields, keep + 1);
    }
    indexes::assert_exact::<Wide>(&f).await;
    for record in &records {
        assert_eq!(Wide::take(&f.db, record.id).await.unwrap().as_ref(), Some(record));
    }
    assert_eq!(indexes::assert_exact::<Wide>(&f).await.0, 0);
}

/// One script call saves several records; what fails for one is that one's failure.
#[tokio::test]
async fn a_key_of_another_type_fails_the_records_that_need_it_and_no_other() {
    let f = Fixture::new().await;
    let mut members: Vec<_> = (0..40).map(member).collect();
    let () = f.run(redis::cmd("RPUSH").arg(f.key("{Member}:l:name")).arg("x")).await;
    let (mut failing, mut expected) = (0, 0);
    for (at, member) in members.iter_mut().enumerate() {
        member.name = (at % 7 != 3).then(|| "one".into());
        expected += usize::from(at % 7 == 3);
    }
    let report = Member::save_many(&f.db, &mut members).await.unwrap();
    for (at, error) in &report.failed {
        assert!(at % 7 == 3 && matches!(error, Error::Corrupt { .. }), "{at}: {error}");
        failing += 1;
    }
    assert_eq!((failing, report.saved), (expected, 40 - expected as u64));
    let () = f.run(redis::cmd("DEL").arg(f.key("{Member}:l:name"))).await;
    assert_eq!(indexes::assert_exact::<Member>(&f).await.0, 40 - expected);
}

#[tokio::test]
async fn equal_decimals_are_one_unique_value() {
    use rust_decimal::Decimal;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Price {
        #[column(primary_key)]
        id: u32,
        #[column(unique)]
        amount: Decimal,
    }
    let f = Fixture::new().await;
    let price = |id, text: &str| Price { id, amount: text.parse().unwrap() };
    price(1, "1.50").save(&f.db).await.unwrap();
    for text in ["1.5", "1.500", "1.50"] {
        let error = price(2, text).save(&f.db).await.unwrap_err();
        assert!(error.is_duplicate(), "{text}: {error}");
        let found = Price::filter_by(|p| p.amount.eq(text.parse::<Decimal>().unwrap())).first(&f.db).await.unwrap();
        assert_eq!(found.unwrap().amount.to_string(), "1.50");
    }
    // Its own value in another form is no duplicate, and frees the other.
    price(1, "1.5").save(&f.db).await.unwrap();
    price(1, "-0").save(&f.db).await.unwrap();
    assert!(price(2, "0.00").save(&f.db).await.unwrap_err().is_duplicate());
    price(2, "1.50").save(&f.db).await.unwrap();
    indexes::assert_exact::<Price>(&f).await;
}

#[tokio::test]
async fn times_of_creation_and_update_have_the_precision_of_their_types() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Timed {
        #[column(primary_key)]
        id: u32,
        #[column(created_at, sort)]
        created: jiff::Timestamp,
        #[column(updated_at, sort)]
        updated: time::UtcDateTime,
        label: String,
    }
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Counted {
        #[column(primary_key)]
        id: u32,
        #[column(created_at)]
        created: u64,
        #[column(updated_at)]
        updated: SystemTime,
    }
    let f = Fixture::new().await;
    let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i128;
    let before = nanos(SystemTime::now());
    let mut timed =
        Timed { id: 1, created: jiff::Timestamp::MIN, updated: time::UtcDateTime::MIN, label: String::new() };
    timed.save(&f.db).await.unwrap();
    let after = nanos(SystemTime::now());
    // Redis counts microseconds.
    let created = timed.created.as_nanosecond();
    assert!(before / 1000 * 1000 <= created && created <= after, "{before} {created} {after}");
    assert_eq!(timed.updated.unix_timestamp_nanos(), created);
    assert_eq!(created % 1000, 0);
    let first = timed.clone();
    timed.label = "x".into();
    timed.save(&f.db).await.unwrap();
    assert_eq!(timed.created, first.created);
    assert!(timed.updated > first.updated);
    Timed::patch(&f.db, 1u32, |t| [t.label.set("y")]).await.unwrap();
    let patched = Timed::load(&f.db, 1u32).await.unwrap().unwrap();
    assert!(patched.updated > timed.updated && patched.created == first.created);

    let mut counted = Counted { id: 1, created: 0, updated: SystemTime::UNIX_EPOCH };
    counted.save(&f.db).await.unwrap();
    let created = i128::from(counted.created);
    assert_eq!(created, nanos(counted.updated) / 1_000_000);
    indexes::assert_exact::<Timed>(&f).await;
}

#[tokio::test]
async fn a_version_ends_with_its_type() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Short {
        #[column(primary_key)]
        id: u32,
        #[column(version)]
        version: u8,
        count: u64,
    }
    let f = Fixture::new().await;
    Short { id: 1, version: 0, count: 0 }.save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("HSET").arg(f.key("{Short}:r:1")).arg("version").arg(254)).await;
    let mut short = Short::load(&f.db, 1u32).await.unwrap().unwrap();
    short.save(&f.db).await.unwrap();
    assert_eq!(short.version, 255);
    short.count = 7;
    let error = short.save(&f.db).await.unwrap_err();
    let Error::OutOfRange { column: "version", stored, least, greatest, .. } = &error else { panic!("{error:?}") };
    assert_eq!((&stored[..], &least[..], &greatest[..]), ("255", "0", "255"), "{error}");
    let error = Short::patch(&f.db, 1u32, |s| [s.count.set(7)]).await.unwrap_err();
    let Error::OutOfRange { column: "version", stored, least, greatest, .. } = &error else { panic!("{error:?}") };
    assert_eq!((&stored[..], &least[..], &greatest[..]), ("255", "0", "255"), "{error}");
    assert_eq!(Short::load(&f.db, 1u32).await.unwrap().unwrap(), Short { id: 1, version: 255, count: 0 });
}

/// The first records of a model, saved by many at once: whoever is told to store the schema first
/// makes no record twice.
#[tokio::test]
async fn the_first_records_are_saved_once_each() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Ticket {
        #[column(primary_key, auto_increment)]
        number: u64,
        #[column(index)]
        who: u8,
    }
    for _ in 0..10 {
        let f = Fixture::new().await;
        let save = async |who| {
            let mut tickets = vec![Ticket { number: 0, who }; 60];
            Ticket::save_many(&f.db, &mut tickets).await.unwrap().into_result().unwrap();
            tickets
        };
        let saved = futures::future::join_all((0..8).map(save)).await.concat();
        let numbers: BTreeSet<u64> = saved.iter().map(|ticket| ticket.number).collect();
        assert_eq!(numbers.len(), 480);
        assert_eq!(indexes::assert_exact::<Ticket>(&f).await.0, 480);
    }
}
