//! Values that other programs stored, which are no values of their columns: the record can still be
//! saved over, deleted, checked, repaired and removed when it expires.

use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;
use subconscious::testing::TestServer;
use subconscious::{Fault, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Reading {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    count: i64,
    #[column(index, sort)]
    large: u128,
    #[column(index, sort)]
    rate: f64,
    #[column(index, sort)]
    at: SystemTime,
    #[column(index, sort)]
    price: Decimal,
    #[column(index, sort)]
    name: String,
    #[column(index, sort)]
    level: u8,
    #[column(index)]
    tags: Vec<String>,
    #[column(unique)]
    code: i64,
    #[column(unique)]
    cost: Decimal,
}

const COLUMNS: [&str; 10] = ["count", "large", "rate", "at", "price", "name", "level", "tags", "code", "cost"];

fn reading(id: u32) -> Reading {
    Reading {
        id,
        count: 7,
        large: u128::MAX,
        rate: -1.5,
        at: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567),
        price: Decimal::new(1250, 2),
        name: "seven".into(),
        level: 3,
        tags: vec!["a".into(), "b,c".into()],
        code: i64::from(id),
        cost: Decimal::new(i64::from(id), 1),
    }
}

fn strange() -> Vec<Vec<u8>> {
    let digits = |count: usize| "1234567890".repeat(count / 10 + 1).into_bytes()[..count].to_vec();
    let mut values: Vec<Vec<u8>> = [
        "",
        "-",
        ".",
        "-.",
        "-.0",
        "+1",
        "007",
        "-0",
        "1e5",
        "1e400",
        "0x10",
        " 1",
        "inf",
        "nan",
        "-nan",
        "no number",
        "1..",
        "a,b",
        "a\\",
        "\0",
        "1\x001",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.push(b"\xFF\xFE".to_vec());
    for count in [127, 128, 129, 400] {
        values.extend([digits(count), [b"-", &digits(count)[..]].concat(), [&digits(count)[..], b".5"].concat()]);
    }
    // What a pattern with two ways to read it would take minutes for.
    values.push([&b"0".repeat(20_000)[..], b"x"].concat());
    values
}

async fn damage(f: &Fixture, id: u32, value: &[u8]) {
    let mut command = redis::cmd("HSET");
    command.arg(f.key(&format!("{{Reading}}:r:{id}")));
    for column in COLUMNS {
        command.arg(column).arg(value);
    }
    let () = f.run(&mut command).await;
}

#[tokio::test]
async fn a_record_with_strange_values_can_be_checked_repaired_saved_deleted_and_removed() {
    // Of its own, as a check goes through all keys of a server.
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    for (id, value) in (1..).zip(strange()) {
        let shown = value[..value.len().min(60)].escape_ascii().to_string();
        let all = async || {
            reading(id).save(&f.db).await.unwrap();
            damage(&f, id, &value).await;
        };
        all().await;
        reading(id).save(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        all().await;
        assert!(reading(id).delete(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}")));
        // What was stored before the damage has left its entries, which nothing but a repair can
        // find.
        let repaired = Reading::repair(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(repaired.found, repaired.repaired, "{shown}: {repaired}");

        all().await;
        Reading::check(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        Reading::repair(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let left = Reading::check(&f.db).await.unwrap();
        let of_index = left.issues.iter().filter(|issue| issue.fault != Fault::UnreadableRecord);
        assert_eq!(of_index.map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{shown}");
        reading(id).save(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(indexes::assert_exact::<Reading>(&f).await.0, 1, "{shown}");

        damage(&f, id, &value).await;
        Reading::repair(&f.db).await.unwrap();
        // The values that the record had at its end are kept for its removal.
        reading(id).expire_at(&f.db, SystemTime::UNIX_EPOCH).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let removed = Reading::purge_expired(&f.db).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(removed, 1, "{shown}");
        assert_eq!(indexes::assert_exact::<Reading>(&f).await.0, 0, "{shown}");
    }
}
