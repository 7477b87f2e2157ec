//! Damages that others do to a model's keys: each is found, by name, and repaired or left to the
//! user.

use std::time::Duration;

use redis::Cmd;
use subconscious::testing::TestServer;
use subconscious::{CheckReport, ColumnEnum, Error, Fault, RedisModel};
use subconscious_tests::{Fixture, indexes};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum Size {
    Small,
    Medium,
    Large,
}

const SIZES: [Size; 3] = [Size::Small, Size::Medium, Size::Large];

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Shirt {
    // Such ids have different widths.
    #[column(primary_key)]
    id: u128,
    #[column(index)]
    color: Option<String>,
    #[column(sort)]
    size: Size,
    #[column(sort)]
    price: Option<i64>,
    #[column(unique)]
    code: Option<String>,
    #[column(index)]
    tags: Vec<String>,
    note: u8,
}

/// With ids of one width.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Item {
    #[column(primary_key)]
    id: Uuid,
    #[column(index)]
    group: u8,
}

/// With ids of one width that have signs.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Label {
    #[column(primary_key)]
    id: i64,
    #[column(index)]
    group: u8,
}

fn shirt(id: u32) -> Shirt {
    Shirt {
        id: id.into(),
        color: (!id.is_multiple_of(4)).then(|| ["red", "green", "blue"][id as usize % 3].into()),
        size: SIZES[id as usize % 3],
        price: (!id.is_multiple_of(5)).then(|| i64::from(id) * 10),
        code: (id % 2 == 1).then(|| format!("c{id}")),
        tags: (0..id % 3).map(|at| format!("t,{at}")).collect(),
        note: 0,
    }
}

async fn shirts(f: &Fixture, count: u32) -> Vec<Shirt> {
    let mut shirts: Vec<_> = (0..count).map(shirt).collect();
    Shirt::save_many(&f.db, &mut shirts).await.unwrap().into_result().unwrap();
    shirts
}

/// What was found, as fault, key without the namespace, and record without what all have.
fn found(f: &Fixture, report: &CheckReport) -> Vec<(Fault, String, String)> {
    assert_eq!(report.found, report.issues.len() as u64);
    let namespace = f.key("");
    let strip = |key: &str| key.strip_prefix(&namespace).unwrap().trim_start_matches("{Shirt}:").to_owned();
    let line = |issue: &subconscious::Issue| {
        (issue.fault, strip(&issue.key), issue.record.as_deref().map(strip).unwrap_or_default())
    };
    report.issues.iter().map(line).collect()
}

/// Runs commands, of which each word that begins with `@` is a key of the model.
async fn run(f: &Fixture, commands: &[&str]) {
    for line in commands {
        let mut words = line.split(' ');
        let mut command = Cmd::new();
        command.arg(words.next().unwrap());
        for word in words {
            match word.strip_prefix('@') {
                Some(key) => command.arg(f.key(&format!("{{Shirt}}:{key}"))),
                None => command.arg(word),
            };
        }
        let _: redis::Value = f.run(&mut command).await;
    }
}

/// What has to be found: fault, key and record, "" for any.
type Wanted = (Fault, &'static str, &'static str);

#[tokio::test]
async fn each_issue_is_found_and_repaired() {
    use Fault::{
        MissingEntry, RecordWithoutRow, RowWithoutRecord, SplitContainer, StaleEntry, UnusedKey, WrongCount,
        WrongExpiry, WrongKeyType,
    };
    // Of its own, as it is flushed.
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    shirts(&f, 200).await;
    assert_eq!(Shirt::check(&f.db).await.unwrap().records, 200);
    let soon = Duration::from_secs(1000);
    shirt(9).expire(&f.db, soon).await.unwrap();
    // Rows are 0.. in the order of saves, so that row and id are the same. Of the colors, red has a
    // posting list of 50 rows; the tag `t,0` is divided, with a bitmap.
    let cases: &[(&[&str], &[Wanted])] = &[
        (&["SREM @l:color:red 3"], &[(MissingEntry, "l:color:red", "r:3")]),
        (&["SREM @l:color 8"], &[(MissingEntry, "l:color", "r:8")]),
        (&["SREM @l:tags:t,1 5"], &[(MissingEntry, "l:tags:t,1", "r:5")]),
        (&["SETBIT @b:tags:0:t,0 4 0"], &[(MissingEntry, "b:tags:0:t,0", "r:4")]),
        (&["SETBIT @b:tags:0:t,0 3 1"], &[(StaleEntry, "b:tags:0:t,0", "")]),
        (&["ZREM @s:price \x00\x00\x00\x07"], &[(MissingEntry, "s:price", "r:7")]),
        (&["ZADD @s:price 71 \x00\x00\x00\x07"], &[(MissingEntry, "s:price", "r:7")]),
        // The least score of the segment's zone is 496.
        (&["SETRANGE @c:price:0 16 \x00\x00\x00\x00\x00\x00\x7f\x40"], &[(WrongCount, "c:price:0", "")]),
        (&["SETRANGE @c:price:0 88 xxxxxxxx"], &[(MissingEntry, "c:price:0", "r:7")]),
        (&["SETRANGE @c:price:0 88 \x00\x00\x00\x00\x00\x00\x00\x00"], &[(MissingEntry, "c:price:0", "r:7")]),
        // The least score of the zone is 496.
        (&["SETRANGE @c:price:0 0 \x00\x00\x00\x00\x00\x00\x7f\x40"], &[(WrongCount, "c:price:0", "")]),
        (&["SETRANGE @c:price:0 72 xxxxxxxx"], &[(StaleEntry, "c:price:0", "")]),
        (&["SETRANGE @c:price:7 32 xxxxxxxx"], &[(StaleEntry, "c:price:7", "")]),
        (&["SETRANGE @c:note:0 32 x"], &[(UnusedKey, "c:note:0", "")]),
        (&["HDEL @u:code c11"], &[(MissingEntry, "u:code", "r:11")]),
        (&["DEL @l:size:Small"], &[(StaleEntry, "v:size", ""), (MissingEntry, "l:size:Small", "")]),
        (&["ZREM @v:size Medium"], &[(MissingEntry, "v:size", "")]),
        (&["ZINCRBY @v:size 1 Medium"], &[(MissingEntry, "v:size", "")]),
        (&["HINCRBY @n:tags :t,0 1"], &[(WrongCount, "n:tags", "")]),
        (&["HDEL @n:tags :t,0"], &[(WrongCount, "n:tags", "")]),
        (&["HSET @n:color  1"], &[(WrongCount, "n:color", "")]),
        (&["HSET @n:color :red x"], &[(WrongCount, "n:color", "")]),
        (&["ZADD @v:size 9 Huge"], &[(StaleEntry, "v:size", "")]),
        (&["SADD @l:color:red 4"], &[(StaleEntry, "l:color:red", "")]),
        (&["SADD @l:color:red nonsense"], &[(StaleEntry, "l:color:red", "")]),
        (&["SADD @l:color:pink 4"], &[(StaleEntry, "l:color:pink", "")]),
        (&["SADD @i:color:0:pink 4"], &[(StaleEntry, "i:color:0:pink", "")]),
        (&["SADD @i:color:7:red 4"], &[(StaleEntry, "i:color:7:red", "")]),
        (&["SADD @l:tags:t,1 4"], &[(StaleEntry, "l:tags:t,1", "")]),
        (&["SADD @l:tags 5"], &[(StaleEntry, "l:tags", "")]),
        (&["SETBIT @b:color:0:pink 4 1"], &[(StaleEntry, "b:color:0:pink", "")]),
        (&["ZADD @s:price 5 \x00\x00\x00\x05"], &[(StaleEntry, "s:price", "")]),
        (&["ZADD @s:price 5 x"], &[(StaleEntry, "s:price", "")]),
        (&["HSET @u:code c4 4"], &[(StaleEntry, "u:code", "")]),
        (&["HSET @u:code c999 x"], &[(StaleEntry, "u:code", "")]),
        // A set beside the bitmap, with a row that is right and one that is not.
        (&["SADD @i:tags:0:t,0 5 6"], &[(SplitContainer, "i:tags:0:t,0", "")]),
        // A bitmap and a set beside a posting list.
        (
            &["SETBIT @b:color:0:red 3 1", "SETBIT @b:color:0:red 4 1"],
            &[(StaleEntry, "b:color:0:red", ""), (SplitContainer, "l:color:red", "")],
        ),
        (&["SADD @i:color:0:red 3"], &[(SplitContainer, "l:color:red", "")]),
        (&["SADD @l:note:7 1"], &[(UnusedKey, "l:note:7", "")]),
        (&["HSET @n:code :c1 1"], &[(UnusedKey, "n:code", "")]),
        (&["SADD @i:note:0:7 1"], &[(UnusedKey, "i:note:0:7", "")]),
        (&["ZADD @s:color 1 x"], &[(UnusedKey, "s:color", "")]),
        (&["HSET @u:note 1 1"], &[(UnusedKey, "u:note", "")]),
        (&["ZADD @v:price 1 1"], &[(UnusedKey, "v:price", "")]),
        (&["SET @t:3 x"], &[(UnusedKey, "t:3", "")]),
        // Redis knows of no such row, or of a record that is gone.
        (&["DEL @r:12"], &[(RowWithoutRecord, "live:0", "r:12")]),
        (&["HDEL @d:0 12"], &[(RecordWithoutRow, "r:12", "r:12"), (RowWithoutRecord, "live:0", "")]),
        (&["HSET @d:0 12 13"], &[(RecordWithoutRow, "r:12", "r:12"), (RowWithoutRecord, "live:0", "r:13")]),
        (&["HDEL @r:12 #"], &[(RecordWithoutRow, "r:12", "r:12"), (RowWithoutRecord, "live:0", "r:12")]),
        (&["HSET @r:12 # 13"], &[(RecordWithoutRow, "r:12", "r:12"), (RowWithoutRecord, "live:0", "r:12")]),
        (&["HSET @r:12 # 1e99"], &[(RecordWithoutRow, "r:12", "r:12"), (RowWithoutRecord, "live:0", "r:12")]),
        (&["HSET @r:5000 # 40 color red size Large tags  note 1"], &[(RecordWithoutRow, "r:5000", "r:5000")]),
        (
            &["SETBIT @live:0 12 0"],
            &[(RecordWithoutRow, "r:12", "r:12"), (WrongCount, "meta", ""), (WrongCount, "free", "")],
        ),
        (&["SETBIT @live:0 5000 1"], &[(WrongCount, "live:0", "")]),
        (&["SETBIT @live:2 5 1"], &[(WrongCount, "live:2", "")]),
        (&["HSET @d:40 3 x"], &[(StaleEntry, "d:40", "")]),
        (&["HINCRBY @meta count 1"], &[(WrongCount, "meta", "")]),
        (&["ZADD @free 3 0"], &[(WrongCount, "free", "")]),
        (&["PERSIST @r:9"], &[(WrongExpiry, "ttl", "r:9")]),
        (&["PEXPIRE @r:10 1000000"], &[(WrongExpiry, "ttl", "r:10")]),
        (&["ZADD @ttl 99999999999999 9"], &[(WrongExpiry, "ttl", "r:9")]),
        (&["HDEL @x:0 9"], &[(WrongExpiry, "ttl", "r:9")]),
        (&["HSET @x:0 9 nonsense"], &[(WrongExpiry, "ttl", "r:9")]),
        (&["HDEL @meta due"], &[(WrongCount, "meta", "")]),
        (&["ZADD @ttl 99999999999999 9999"], &[(StaleEntry, "ttl", "")]),
        (&["HSET @x:1 3 x"], &[(StaleEntry, "x:1", "")]),
        (&["DEL @s:price", "SET @s:price x"], &[(WrongKeyType, "s:price", "")]),
        (&["DEL @c:price:0", "SADD @c:price:0 x"], &[(WrongKeyType, "c:price:0", "")]),
        (&["DEL @u:code", "SET @u:code x"], &[(WrongKeyType, "u:code", "")]),
        (&["DEL @l:color:red", "SET @l:color:red x"], &[(WrongKeyType, "l:color:red", "")]),
        (&["DEL @n:tags", "SET @n:tags x"], &[(WrongKeyType, "n:tags", "")]),
        (&["DEL @v:size", "SET @v:size x"], &[(WrongKeyType, "v:size", "")]),
        (&["DEL @free", "SET @free x"], &[(WrongKeyType, "free", "")]),
    ];
    for (damage, wanted) in cases {
        // Row and id are the same again, and the record 9 expires.
        let () = f.run(redis::cmd("FLUSHALL").arg("SYNC")).await;
        shirts(&f, 200).await;
        shirt(9).expire(&f.db, soon).await.unwrap();
        run(&f, damage).await;
        let report = Shirt::check(&f.db).await.unwrap_or_else(|error| panic!("{damage:?}: {error}"));
        assert!(report.found > 0 && report.repaired == 0, "{damage:?}: {report}");
        let found = found(&f, &report);
        for (fault, key, record) in *wanted {
            let is_it =
                |(a, b, c): &(Fault, String, String)| a == fault && b == key && (record.is_empty() || c == record);
            assert!(found.iter().any(is_it), "{damage:?}: no {fault:?} of {key} {record} in {report}");
        }
        let repaired = Shirt::repair(&f.db).await.unwrap_or_else(|error| panic!("{damage:?}: {error}"));
        assert!(repaired.found > 0 && repaired.repaired == repaired.found, "{damage:?}: {repaired}");
        indexes::assert_exact::<Shirt>(&f).await;
    }
}

#[tokio::test]
async fn what_cannot_be_repaired_is_named_and_left_alone() {
    let f = Fixture::new().await;
    shirts(&f, 30).await;
    run(
        &f,
        &[
            "HSET @r:2 code c1",
            "HSET @r:3 price much",
            "HDEL @r:4 note",
            "HSET @r:x # 5",
            "DEL @r:6",
            "SET @r:6 x",
            "SET @other x",
            "SET @i:color x",
        ],
    )
    .await;
    let wanted = [
        (Fault::DuplicateValue, "u:code", "r:2"),
        (Fault::UnreadableRecord, "r:3", ""),
        (Fault::UnreadableRecord, "r:4", ""),
        (Fault::UnreadableRecord, "r:x", ""),
        (Fault::WrongKeyType, "r:6", ""),
        (Fault::UnknownKey, "other", ""),
        (Fault::UnknownKey, "i:color", ""),
    ];
    for repair in [false, true] {
        let report = if repair { Shirt::repair(&f.db).await.unwrap() } else { Shirt::check(&f.db).await.unwrap() };
        let found = found(&f, &report);
        for (fault, key, record) in wanted {
            assert!(found.contains(&(fault, key.into(), record.into())), "no {fault:?} of {key} in {report}");
        }
        let left = report.issues.iter().filter(|issue| !issue.repaired).count();
        assert!(!repair || left == wanted.len(), "{report}");
        assert!(report.complete);
    }
    // It is left alone, with no other record affected, and what was repaired stays so.
    let again = Shirt::check(&f.db).await.unwrap();
    assert_eq!(again.found, wanted.len() as u64, "{again}");
    assert_eq!(f.run::<String>(redis::cmd("GET").arg(f.key("{Shirt}:other"))).await, "x");
    assert_eq!(Shirt::load(&f.db, 1u128).await.unwrap().unwrap(), shirt(1));
    assert_eq!(Shirt::filter_by(|s| s.code.eq("c1")).first(&f.db).await.unwrap().unwrap(), shirt(1));
    let text = again.to_string();
    for part in
        ["price: \"much\" is not", "note is missing", "two records have a value that is to be unique: \"c1\"", ":r:2)"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // The user mends it.
    run(&f, &["HDEL @r:2 code", "HSET @r:3 price 30", "HSET @r:4 note 0", "DEL @r:x @r:6 @other @i:color"]).await;
    let last = Shirt::repair(&f.db).await.unwrap();
    assert!(last.repaired == last.found, "{last}");
    indexes::assert_exact::<Shirt>(&f).await;
}

#[tokio::test]
async fn a_key_of_another_type_where_rows_are_makes_the_check_incomplete() {
    for key in ["meta", "live:0", "d:0"] {
        let f = Fixture::new().await;
        shirts(&f, 3).await;
        let key = f.key(&format!("{{Shirt}}:{key}"));
        let () = f.run(redis::cmd("DEL").arg(&key)).await;
        let () = f.run(redis::cmd("LPUSH").arg(&key).arg("x")).await;
        let report = Shirt::repair(&f.db).await;
        if key.ends_with("meta") {
            assert!(matches!(&report, Err(Error::Corrupt { .. })), "{report:?}");
        }
        for report in [Shirt::check(&f.db).await.unwrap()].into_iter().chain(report) {
            assert!(!report.complete && !report.is_clean() && report.repaired == 0);
            assert!(
                matches!(&report.issues[..], [issue] if issue.fault == Fault::WrongKeyType && issue.detail == "list" && issue.key == key),
                "{report}"
            );
        }
    }
}

/// Evicted records free their rows, their unique values and their places.
#[tokio::test]
async fn lost_records_leave_nothing_behind() {
    let f = Fixture::new().await;
    shirts(&f, 150).await;
    let mut items: Vec<_> = (0..150).map(|at| Item { id: Uuid::from_u128(at), group: (at % 3) as u8 }).collect();
    Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    for id in 0..150u32 {
        if id % 3 > 0 {
            run(&f, &[&format!("DEL @r:{id}")]).await;
            let () = f.run(redis::cmd("DEL").arg(f.key(&format!("{{Item}}:r:{}", items[id as usize].id)))).await;
        }
    }
    let lost = Shirt::check(&f.db).await.unwrap();
    assert_eq!(
        (lost.records, lost.issues.iter().filter(|issue| issue.fault == Fault::RowWithoutRecord).count()),
        (50, 100)
    );
    for report in [Shirt::repair(&f.db).await.unwrap(), Item::repair(&f.db).await.unwrap()] {
        assert!(report.found == report.repaired && report.found >= 100, "{report}");
    }
    assert_eq!(indexes::assert_exact::<Shirt>(&f).await.0, 50);
    assert_eq!(indexes::assert_exact::<Item>(&f).await.0, 50);
    Shirt { code: Some("c1".into()), ..shirt(700) }.insert(&f.db).await.unwrap();
    assert_eq!(Shirt::all().count(&f.db).await.unwrap(), 51);
}

/// Nothing but the records is left, as after a restore of some keys.
#[tokio::test]
async fn indexes_are_rebuilt_from_the_records_alone() {
    let f = Fixture::new().await;
    shirts(&f, 300).await;
    shirt(1).expire(&f.db, Duration::from_secs(1000)).await.unwrap();
    let mut items: Vec<_> = (0..300).map(|at| Item { id: Uuid::from_u128(at), group: (at % 3) as u8 }).collect();
    Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    let ids = (-100..100).chain([i64::MIN, i64::MAX]);
    let mut labels: Vec<_> = ids.map(|id| Label { id, group: id.rem_euclid(3) as u8 }).collect();
    Label::save_many(&f.db, &mut labels).await.unwrap().into_result().unwrap();
    for key in f.keys().await.into_iter().filter(|key| !key.windows(3).any(|part| part == b":r:")) {
        let () = f.run(redis::cmd("DEL").arg([f.key("").as_bytes(), &key].concat())).await;
    }
    assert_eq!(Shirt::all().count(&f.db).await.unwrap(), 0);
    assert_eq!(Shirt::check(&f.db).await.unwrap().found, 300);
    Shirt::repair(&f.db).await.unwrap();
    Item::repair(&f.db).await.unwrap();
    Label::repair(&f.db).await.unwrap();
    let mut found = Label::all().fetch(&f.db).await.unwrap();
    found.sort_by_key(|label| label.id);
    labels.sort_by_key(|label| label.id);
    assert_eq!(found, labels);
    assert_eq!(indexes::assert_exact::<Label>(&f).await.0, labels.len());
    assert_eq!(indexes::assert_exact::<Shirt>(&f).await.0, 300);
    assert_eq!(indexes::assert_exact::<Item>(&f).await.0, 300);
    assert_eq!(
        Shirt::filter_by(|s| s.color.eq("red")).order_by(|s| s.price.desc()).first(&f.db).await.unwrap().unwrap().id,
        297
    );
    assert!(Shirt::ttl(&f.db, 1u128).await.unwrap().is_some());
}

#[tokio::test]
async fn another_schema_is_not_checked() {
    mod other {
        use subconscious::RedisModel;

        #[derive(Debug, RedisModel)]
        pub(super) struct Shirt {
            #[column(primary_key)]
            pub(super) id: u32,
        }
    }
    let f = Fixture::new().await;
    assert!(Shirt::check(&f.db).await.unwrap().is_clean());
    assert!(Shirt::repair(&f.db).await.unwrap().is_clean());
    shirts(&f, 3).await;
    for error in [other::Shirt::check(&f.db).await.unwrap_err(), other::Shirt::repair(&f.db).await.unwrap_err()] {
        assert!(matches!(error, Error::Schema { .. }), "{error}");
    }
    assert_eq!(other::Shirt { id: 1 }.id(), 1);
}
