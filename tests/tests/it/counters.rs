//! Numbers counted up and down in place.

use subconscious::{Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Counters {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    small: i8,
    #[column(sort)]
    signed: i64,
    #[column(sort)]
    unsigned: u64,
    wide: i128,
    widest: u128,
    maybe: Option<u32>,
    #[column(default = 40)]
    later: u16,
    text: String,
}

fn counters(id: u32) -> Counters {
    Counters { id, small: 0, signed: 0, unsigned: 0, wide: 0, widest: 0, maybe: None, later: 0, text: "t".into() }
}

#[tokio::test]
async fn integers_are_counted_exactly_to_both_ends() {
    let f = Fixture::new().await;
    let mut record = counters(1);
    record.save(&f.db).await.unwrap();
    let patched = Counters::patch(&f.db, 1u32, |c| {
        [
            c.unsigned.incr(u64::MAX),
            c.signed.incr(i64::MAX),
            c.wide.decr(i128::MAX),
            c.widest.incr(u128::MAX),
            c.small.incr(-128),
            c.maybe.incr(7),
            c.text.set("u"),
        ]
    })
    .await
    .unwrap();
    assert_eq!(patched.get(|c| c.unsigned), Some(u64::MAX));
    assert_eq!(patched.get(|c| c.signed), Some(i64::MAX));
    assert_eq!(patched.get(|c| c.wide), Some(-i128::MAX));
    assert_eq!(patched.get(|c| c.widest), Some(u128::MAX));
    assert_eq!(patched.get(|c| c.small), Some(-128));
    assert_eq!(patched.get(|c| c.maybe), Some(7));
    assert_eq!(patched.get(|c| c.text), None);
    indexes::assert_exact::<Counters>(&f).await;
    record.reload(&f.db).await.unwrap();

    // Beyond the ends nothing is written, also of the other columns.
    for (column, change) in [
        ("unsigned", Counters::columns().unsigned.incr(1)),
        ("signed", Counters::columns().signed.incr(1)),
        ("wide", Counters::columns().wide.decr(2)),
        ("widest", Counters::columns().widest.incr(1)),
        ("small", Counters::columns().small.decr(1)),
        ("maybe", Counters::columns().maybe.decr(8)),
    ] {
        let refused = Counters::patch(&f.db, 1u32, |c| [c.text.set("x"), change, c.later.incr(1)]).await.unwrap_err();
        let Error::OutOfRange { model: "Counters", column: named, key, stored, least, greatest, .. } = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!((*named, key), (column, &f.key("{Counters}:r:1")), "{refused}");
        assert!(stored == least || stored == greatest || column == "wide" || column == "maybe", "{refused}");
        assert!(refused.is_out_of_range() && refused.to_string().contains(". Change it by less"), "{refused}");
    }
    assert_eq!(Counters::load(&f.db, 1u32).await.unwrap().unwrap(), record);
    let twice = Counters::patch(&f.db, 1u32, |c| [c.small.set(1), c.small.incr(1)]).await.unwrap_err();
    assert!(matches!(twice, Error::BadData { column: "small", .. }), "{twice:?}");
    assert!(Counters::patch(&f.db, 2u32, |c| [c.small.set(1)]).await.unwrap_err().is_not_found());

    // Back from the end, through every carry; what a record lacks counts from its default.
    let key = f.key("{Counters}:r:1");
    let () = f.run(redis::cmd("HDEL").arg(&key).arg("later")).await;
    let patched = Counters::patch(&f.db, 1u32, |c| {
        [c.unsigned.decr(9_999_999_999), c.signed.decr(i64::MAX), c.wide.incr(i128::MAX), c.later.decr(1)]
    });
    let patched = patched.await.unwrap();
    assert_eq!(patched.get(|c| c.unsigned), Some(u64::MAX - 9_999_999_999));
    assert_eq!(patched.get(|c| c.signed), Some(0));
    assert_eq!(patched.get(|c| c.wide), Some(0));
    assert_eq!(patched.get(|c| c.later), Some(39));
    indexes::assert_exact::<Counters>(&f).await;

    let () = f.run(redis::cmd("HSET").arg(&key).arg("signed").arg("many")).await;
    let corrupt = Counters::patch(&f.db, 1u32, |c| [c.signed.incr(1)]).await.unwrap_err();
    assert!(matches!(&corrupt, Error::Corrupt { column: Some("signed"), .. }), "{corrupt:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    #[test]
    fn sums_are_those_of_rust(start in proptest::prelude::any::<i128>(), steps in proptest::collection::vec(proptest::prelude::any::<(i128, u8)>(), 1..12)) {
        crate::runtime().block_on(async {
            let f = Fixture::new().await;
            let mut expected = start >> 1;
            let mut record = Counters { wide: expected, ..counters(1) };
            record.save(&f.db).await.unwrap();
            for (step, shift) in steps {
                let step = step >> (shift % 127);
                let outcome = Counters::patch(&f.db, 1u32, |c| [c.wide.incr(step)]).await;
                match expected.checked_add(step) {
                    Some(sum) => {
                        expected = sum;
                        assert_eq!(outcome.unwrap().get(|c| c.wide), Some(sum));
                    }
                    None => assert!(outcome.is_err_and(|error| error.is_out_of_range())),
                }
                match (expected.checked_sub(step), Counters::patch(&f.db, 1u32, |c| [c.wide.decr(step)]).await) {
                    (Some(difference), outcome) => {
                        expected = difference;
                        assert_eq!(outcome.unwrap().get(|c| c.wide), Some(difference));
                    }
                    (None, outcome) => assert!(outcome.is_err_and(|error| error.is_out_of_range())),
                }
            }
        });
    }
}

#[tokio::test]
async fn a_number_that_a_record_lacks_is_not_counted_from_zero() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Tally {
        #[column(primary_key)]
        id: u32,
        count: u64,
    }
    let f = Fixture::new().await;
    Tally { id: 1, count: 5 }.save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("HDEL").arg(f.key("{Tally}:r:1")).arg("count")).await;
    let error = Tally::patch(&f.db, 1u32, |t| [t.count.incr(1)]).await.unwrap_err();
    assert!(matches!(&error, Error::MissingColumn { column: "count", .. }), "{error:?}");
    let fields: u64 = f.run(redis::cmd("HLEN").arg(f.key("{Tally}:r:1"))).await;
    assert_eq!(fields, 1);
}

/// A column of few values is ordered by its values' numbers, which Redis counts here.
#[tokio::test]
async fn counted_values_of_eight_bits_are_in_order() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Tally {
        #[column(primary_key)]
        id: u32,
        #[column(version, index, sort)]
        version: u8,
        #[column(index, sort)]
        points: i8,
    }
    let f = Fixture::new().await;
    for id in 0..4 {
        let mut tally = Tally { id, version: 0, points: 0 };
        if id == 3 {
            tally.version = 200;
            tally.insert(&f.db).await.unwrap();
        }
        for _ in 0..=id {
            tally.save(&f.db).await.unwrap();
        }
    }
    let mut many = [Tally { id: 4, version: 0, points: 7 }];
    Tally::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap();
    Tally::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap();
    Tally::patch(&f.db, 0u32, |t| t.points.decr(100)).await.unwrap();
    Tally::patch(&f.db, 1u32, |t| t.points.incr(100)).await.unwrap();
    Tally::patch(&f.db, 1u32, |t| [t.points.decr(90), t.version.expected(3)]).await.unwrap();

    indexes::assert_exact::<Tally>(&f).await;
    let by_points = Tally::all().order_by(|t| t.points.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(by_points.iter().map(|t| t.points).collect::<Vec<_>>(), [-100, 0, 0, 7, 10]);
    let by_version = Tally::all().order_by(|t| t.version.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(by_version.iter().map(|t| t.version).collect::<Vec<_>>(), [2, 2, 3, 4, 5]);
    assert_eq!(Tally::filter_by(|t| t.version.ge(4)).count(&f.db).await.unwrap(), 2);
    assert_eq!(Tally::filter_by(|t| t.points.lt(0)).count(&f.db).await.unwrap(), 1);
}

/// A patch that only adds to columns without index has a script of its own. It does what a longer
/// patch does, also where something else stored what is no number of ours.
#[tokio::test]
async fn a_patch_that_only_counts_is_answered_as_any_other() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Tally {
        #[column(primary_key)]
        id: u32,
        byte: u8,
        signed: i64,
        unsigned: u64,
        maybe: Option<i16>,
        #[column(default = 40)]
        later: u16,
        text: String,
    }
    let f = Fixture::new().await;
    let fields = ["byte", "signed", "unsigned", "maybe", "later"];
    let stored = [
        "0",
        "1",
        "-1",
        "255",
        "-128",
        "-0",
        "007",
        "+5",
        "",
        "x",
        "1.5",
        "1e3",
        " 1",
        "999999999999999",
        "1000000000000000",
        "-999999999999999",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999",
    ];
    for id in 1..=2 {
        Tally { id, byte: 0, signed: 0, unsigned: 0, maybe: None, later: 0, text: "t".into() }
            .save(&f.db)
            .await
            .unwrap();
    }
    let keys = [1, 2].map(|id| f.key(&format!("{{Tally}}:r:{id}")));
    for (turn, stored) in stored.into_iter().map(Some).chain([None]).enumerate() {
        for step in [0_i16, 1, -1, 255, -256, i16::MAX] {
            for key in &keys {
                for field in fields {
                    let () = match stored {
                        Some(stored) => f.run(redis::cmd("HSET").arg(key).arg(field).arg(stored)).await,
                        None => f.run(redis::cmd("HDEL").arg(key).arg(field)).await,
                    };
                }
            }
            for (at, field) in fields.into_iter().enumerate() {
                let change = |c: <Tally as RedisModel>::Columns| match at {
                    0 => c.byte.incr(step.rem_euclid(256) as u8),
                    1 => c.signed.incr(i64::from(step)),
                    2 => c.unsigned.decr(step.unsigned_abs().into()),
                    3 => c.maybe.incr(step),
                    _ => c.later.incr(step.unsigned_abs()),
                };
                let short = Tally::patch(&f.db, 1u32, change).await;
                let long = Tally::patch(&f.db, 2u32, |c| [change(c), c.text.set("t")]).await;
                let shown = |outcome: Result<_, Error>| match outcome {
                    Ok(patched) => format!("{patched:?}"),
                    Err(error) => error.to_string().replace(":r:2", ":r:1"),
                };
                let (short, long) = (shown(short), shown(long));
                assert_eq!(short, long, "{stored:?}, turn {turn}, {field} by {step}");
            }
            let [mut one, mut other] = keys.each_ref().map(|key| redis::cmd("HGETALL").arg(key).clone());
            let one: std::collections::BTreeMap<String, String> = f.run(&mut one).await;
            let mut other: std::collections::BTreeMap<String, String> = f.run(&mut other).await;
            other.insert("#".into(), one["#"].clone());
            assert_eq!(one, other);
        }
    }
    assert!(Tally::patch(&f.db, 3u32, |c| c.byte.incr(1)).await.unwrap_err().is_not_found());
    let nothing = Tally::patch(&f.db, 1u32, |_| []).await.unwrap();
    assert_eq!(nothing.get(|c| c.byte), None);
    // A hash that is no record is not changed either.
    let () = f.run(redis::cmd("HSET").arg(f.key("{Tally}:r:4")).arg("byte").arg(1)).await;
    assert!(Tally::patch(&f.db, 4u32, |c| c.byte.incr(1)).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn many_who_count_at_the_same_time_lose_nothing() {
    let f = Fixture::new().await;
    counters(1).save(&f.db).await.unwrap();
    let count = |_| async {
        for _ in 0..50 {
            Counters::patch(&f.db, 1u32, |c| [c.widest.incr(1), c.wide.decr(2)]).await.unwrap();
        }
    };
    futures::future::join_all((0..20).map(count)).await;
    let record = Counters::load(&f.db, 1u32).await.unwrap().unwrap();
    assert_eq!((record.widest, record.wide), (1_000, -2_000));
}
