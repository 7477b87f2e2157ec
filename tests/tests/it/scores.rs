//! Ranges, orders and sums that are answered by the scores of rows, in many parts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rust_decimal::Decimal;
use subconscious::{ColumnEnum, Error, Filter, RedisModel};
use subconscious_tests::Fixture;
use subconscious_tests::indexes::{self, SEGMENT};

/// Rows of a part of scores.
const PART: u64 = 8184;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Open,
    Done,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Sale {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    state: State,
    /// Grows with the rows, for most.
    #[column(sort)]
    at: i64,
    #[column(sort)]
    total: Option<u64>,
    /// Values that share a score with others.
    #[column(sort)]
    account: i128,
    #[column(sort)]
    rate: f64,
    #[column(sort)]
    price: Decimal,
    #[column(sort)]
    paid: Option<SystemTime>,
    #[column(sort)]
    stars: Option<u8>,
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    (number ^ (number >> 29)).wrapping_mul(0xC4CE_B9FE_1A85_EC53) >> 20
}

fn sale(id: u32, turn: u64) -> Sale {
    let chance = mix(u64::from(id) + turn * 1_000_003);
    Sale {
        id,
        state: if chance.is_multiple_of(3) { State::Open } else { State::Done },
        at: i64::from(id) * 30 - if chance.is_multiple_of(20) { 5_000 } else { 0 } - 9_000,
        total: (!chance.is_multiple_of(11)).then_some(chance % 1_000),
        account: i128::from(chance % 5) * (1 << 80) + i128::from(chance % 7) - (1 << 81),
        rate: (chance % 9) as f64 * 0.25 - 1.0,
        price: Decimal::new((chance % 50) as i64 * 5 - 100, 2),
        paid: (!chance.is_multiple_of(4)).then(|| UNIX_EPOCH + Duration::from_nanos(chance % 40 * 250_000)),
        stars: (!chance.is_multiple_of(6)).then_some((chance % 5) as u8),
    }
}

/// Saves the sales in several parts of two segments, and then changes and deletes some.
async fn sales(f: &Fixture) -> Vec<Sale> {
    let mut all: Vec<Sale> = (0..1_000).map(|id| sale(id, 0)).collect();
    let begin = [0, PART - 50, 3 * PART - 100, 9 * PART, SEGMENT - 60, SEGMENT + PART - 10, SEGMENT + 2 * PART];
    for (some, row) in all.chunks_mut(145).zip(begin) {
        let () = f.run(redis::cmd("HSET").arg(f.key("{Sale}:meta")).arg("rows").arg(row)).await;
        Sale::save_many(&f.db, some).await.unwrap().into_result().unwrap();
    }
    // The number of freed rows is wrong now.
    assert!(!Sale::repair(&f.db).await.unwrap().is_clean());
    for id in (0..1_000).step_by(7) {
        all[id] = sale(id as u32, 1);
        all[id].save(&f.db).await.unwrap();
    }
    for id in (0..1_000).rev().step_by(5) {
        assert!(all.remove(id).delete(&f.db).await.unwrap());
    }
    all
}

type Test = (Filter<Sale>, fn(&Sale) -> bool);

/// Filters with wide ranges, alone and with all else.
fn filters() -> Vec<Test> {
    let u = Sale::columns();
    let time = |micros: u64| UNIX_EPOCH + Duration::from_micros(micros);
    vec![
        (u.total.between(200, 600), |s| s.total.is_some_and(|total| (200..=600).contains(&total))),
        (u.total.gt(20) & u.state.eq(State::Open), |s| s.total > Some(20) && s.state == State::Open),
        (u.at.ge(10_000) & u.state.eq(State::Done), |s| s.at >= 10_000 && s.state == State::Done),
        (u.at.lt(10_000) & u.total.le(700), |s| s.at < 10_000 && s.total.is_some_and(|total| total <= 700)),
        (u.account.ge((1 << 80) + 3 - (1 << 81)), |s| s.account >= (1 << 80) + 3 - (1 << 81)),
        (u.account.lt(2) & u.total.gt(100), |s| s.account < 2 && s.total > Some(100)),
        (u.rate.gt(-0.0) & u.state.eq(State::Done), |s| s.rate > 0.0 && s.state == State::Done),
        (u.rate.le(0.0) & u.at.gt(0), |s| s.rate <= 0.0 && s.at > 0),
        (u.price.between(Decimal::new(-50, 2), Decimal::new(100, 2)), |s| {
            (Decimal::new(-50, 2)..=Decimal::new(100, 2)).contains(&s.price)
        }),
        (u.paid.ge(time(2_250)) & u.state.eq(State::Done), |s| {
            s.paid >= Some(UNIX_EPOCH + Duration::from_micros(2_250)) && s.state == State::Done
        }),
        (u.paid.lt(time(5_750)) & u.total.ge(1), |s| {
            s.paid.is_some_and(|paid| paid < UNIX_EPOCH + Duration::from_micros(5_750)) && s.total >= Some(1)
        }),
        (!u.total.between(200, 600) & u.at.gt(1_000), |s| {
            !s.total.is_some_and(|total| (200..=600).contains(&total)) && s.at > 1_000
        }),
        ((u.total.lt(300) | u.state.eq(State::Open)) & u.at.gt(1_000), |s| {
            (s.total.is_some_and(|total| total < 300) || s.state == State::Open) && s.at > 1_000
        }),
        (u.total.gt(5_000) & u.at.gt(0), |_| false),
        (u.at.ge(i64::MIN), |_| true),
    ]
}

/// With budgets from none to plenty, so that ranges of any length are compared by scores.
#[tokio::test]
async fn wide_ranges_are_answered_like_a_list() {
    let f = Fixture::new().await;
    let all = sales(&f).await;
    indexes::assert_exact::<Sale>(&f).await;
    for budget in [0, 150, 1_000] {
        let db = f.db.with_query_budget(Duration::from_micros(budget));
        for (at, (filter, matches)) in filters().into_iter().enumerate() {
            let wanted: Vec<&Sale> = all.iter().filter(|sale| matches(sale)).collect();
            let query = Sale::filter_by(|_| filter);
            let what = format!("filter {at}, budget {budget}");
            assert_eq!(query.count(&db).await.unwrap(), wanted.len() as u64, "{what}");
            let mut found = query.fetch(&db).await.unwrap();
            found.sort_by_key(|sale| sale.id);
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{what}");

            let total: u64 = wanted.iter().filter_map(|sale| sale.total).sum();
            assert_eq!(query.sum(&db, |u| u.total).await.unwrap(), i128::from(total), "{what}");
            let account: i128 = wanted.iter().map(|sale| sale.account).sum();
            assert_eq!(query.sum(&db, |u| u.account).await.unwrap(), account, "{what}");
            // Quarters are exact in any order.
            let rate: f64 = wanted.iter().map(|sale| sale.rate).sum();
            assert_eq!(query.sum(&db, |u| u.rate).await.unwrap(), rate, "{what}");
            let price: Decimal = wanted.iter().map(|sale| sale.price).sum();
            assert_eq!(query.sum(&db, |u| u.price).await.unwrap(), price, "{what}");
            let stars: Vec<u8> = wanted.iter().filter_map(|sale| sale.stars).collect();
            let sum: i128 = stars.iter().map(|stars| i128::from(*stars)).sum();
            assert_eq!(query.sum(&db, |u| u.stars).await.unwrap(), sum, "{what}");
            let mean = (!stars.is_empty()).then(|| sum as f64 / stars.len() as f64);
            assert_eq!(query.avg(&db, |u| u.stars).await.unwrap(), mean, "{what}");
            let mean = (!wanted.is_empty()).then(|| price / Decimal::from(wanted.len()));
            assert_eq!(query.avg(&db, |u| u.price).await.unwrap(), mean, "{what}");
        }
    }
}

/// The first rows of an order, page by page in both directions.
#[tokio::test]
async fn the_first_of_an_order_are_found_by_zones() {
    let f = Fixture::new().await;
    let all = sales(&f).await;
    for budget in [0, 1_000] {
        let db = f.db.with_query_budget(Duration::from_micros(budget));
        for (at, (filter, matches)) in filters().into_iter().enumerate() {
            let wanted: Vec<&Sale> = all.iter().filter(|sale| matches(sale)).collect();
            let query = Sale::filter_by(|_| filter);
            let mut by_time = wanted.clone();
            by_time.sort_by_key(|sale| sale.at);
            let mut by_account = wanted.clone();
            by_account.sort_by_key(|sale| sale.account);
            let mut by_total: Vec<&Sale> = wanted.clone();
            by_total.sort_by_key(|sale| sale.total);
            for backwards in [false, true] {
                let what = format!("filter {at}, budget {budget}, backwards {backwards}");
                let (times, accounts) = if backwards {
                    by_time.reverse();
                    by_account.reverse();
                    (query.clone().order_by(|u| u.at.desc()), query.clone().order_by(|u| u.account.desc()))
                } else {
                    (query.clone().order_by(|u| u.at.asc()), query.clone().order_by(|u| u.account.asc()))
                };
                for (query, wanted, key) in [
                    (times, &by_time, (|sale: &Sale| i128::from(sale.at)) as fn(&Sale) -> i128),
                    (accounts, &by_account, |sale: &Sale| sale.account),
                ] {
                    let wanted: Vec<i128> = wanted.iter().map(|sale| key(sale)).collect();
                    let first = query.clone().offset(3).limit(20).fetch(&db).await.unwrap();
                    let first: Vec<i128> = first.iter().map(key).collect();
                    assert_eq!(first, wanted.iter().copied().skip(3).take(20).collect::<Vec<_>>(), "{what}");
                    let (mut found, mut cursor) = (Vec::new(), None);
                    loop {
                        let page = query.clone().limit(61).after(cursor).page(&db).await.unwrap();
                        found.extend(page.items);
                        cursor = page.next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    assert_eq!(found.iter().map(key).collect::<Vec<_>>(), wanted, "{what}");
                    let mut ids: Vec<u32> = found.iter().map(|sale| sale.id).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    assert_eq!(ids.len(), wanted.len(), "{what}");
                }
            }
        }
    }
}

/// Zones that became too wide are narrowed by a repair, and answers stay the same.
#[tokio::test]
async fn a_repair_narrows_zones() {
    let f = Fixture::new().await;
    let all = sales(&f).await;
    let zone = async || {
        let bytes: Vec<u8> = f.run(redis::cmd("GETRANGE").arg(f.key("{Sale}:c:total:0")).arg(0).arg(15)).await;
        let (least, greatest) = bytes.split_at(8);
        [least, greatest].map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
    };
    Sale { total: Some(1_000_000), ..all[0].clone() }.save(&f.db).await.unwrap();
    Sale { total: Some(5), ..all[0].clone() }.save(&f.db).await.unwrap();
    assert!(zone().await[1] >= 1_000_000.0);
    assert!(Sale::check(&f.db).await.unwrap().is_clean());
    let report = Sale::repair(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(zone().await[1] < 1_000.0, "{:?}", zone().await);
    indexes::assert_exact::<Sale>(&f).await;
}

#[tokio::test]
async fn a_sum_beyond_its_type_is_an_error() {
    let f = Fixture::new().await;
    for id in 0..3 {
        Sale { account: i128::MAX / 2, ..sale(id, 0) }.save(&f.db).await.unwrap();
    }
    let error = Sale::all().sum(&f.db, |u| u.account).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidQuery { model: "Sale", .. }), "{error:?}");
    assert!(error.to_string().contains("`account`"), "{error}");
    assert_eq!(Sale::all().avg(&f.db, |u| u.at).await.unwrap().map(|mean| mean < 0.0), Some(true));
    assert_eq!(Sale::filter_by(|u| u.at.gt(i64::MAX - 1)).avg(&f.db, |u| u.at).await.unwrap(), None);
}
