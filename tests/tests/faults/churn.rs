//! Models that fill and empty again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use subconscious::RedisModel;
use subconscious::testing::TestServer;
use subconscious_tests::{Fixture, indexes};

use crate::{Random, rounds, seed};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Order {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(unique)]
    number: String,
    #[column(index, sort)]
    state: u8,
    #[column(index)]
    customer: Option<u32>,
    #[column(sort)]
    total: i64,
    #[column(index)]
    tags: Vec<String>,
}

/// Keys, and the bytes that they take.
async fn keys(f: &Fixture) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for key in f.keys().await {
        let key = String::from_utf8(key).unwrap();
        let bytes = f.run(redis::cmd("MEMORY").arg("USAGE").arg(f.key(&key)).arg("SAMPLES").arg(0)).await;
        sizes.insert(key, bytes);
    }
    sizes
}

/// What is emptied is as small as it was after the first time, and what is half full has the rows
/// of those that went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_come_and_go_leave_nothing() {
    const RECORDS: u64 = 1_500;
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut random = Random(seed());
    let mut emptied = None;
    let mut numbers = 0;
    for round in 0..rounds(6) {
        let mut all: Vec<Order> = (0..RECORDS)
            .map(|_| {
                numbers += 1;
                Order {
                    id: 0,
                    number: format!("n{numbers}"),
                    state: random.below(4) as u8,
                    customer: (random.below(3) > 0).then(|| random.below(700) as u32),
                    total: random.below(10_000) as i64,
                    tags: (0..random.below(3)).map(|_| format!("t{}", random.below(9))).collect(),
                }
            })
            .collect();
        Order::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
        // Some change, some go and others take their rows.
        let (one, two) = (random.below(4) as u8, random.below(9));
        for order in all.iter_mut().step_by(7) {
            order.state = (order.state + 1) % 4;
            order.customer = None;
            order.save(&f.db).await.unwrap();
        }
        let gone =
            Order::filter_by(|o| o.tags.contains(format!("t{two}")) & !o.state.eq(one)).delete(&f.db).await.unwrap();
        assert!(gone > 0);
        let mut others: Vec<Order> = (0..gone)
            .map(|at| Order { id: 0, number: format!("again {numbers} {at}"), ..all[at as usize].clone() })
            .collect();
        Order::save_many(&f.db, &mut others).await.unwrap().into_result().unwrap();
        let rows: u64 = f.run(redis::cmd("HGET").arg(f.key("{Order}:meta")).arg("rows")).await;
        assert_eq!(rows, RECORDS, "rows are used again");
        if round % 4 == 0 {
            indexes::assert_exact::<Order>(&f).await;
        }
        // Each way to empty it.
        let left = Order::all().fetch(&f.db).await.unwrap();
        let mut deleted = 0;
        for (at, some) in left.chunks(left.len().div_ceil(4)).enumerate() {
            let ids = some.iter().map(|order| order.id);
            let each = stream::iter(some);
            match at {
                0 => deleted += Order::delete_many(&f.db, ids).await.unwrap().into_result().unwrap(),
                1 => {
                    let taken = each.map(|order| Order::take(&f.db, order.id)).buffer_unordered(16);
                    deleted += taken.filter(|taken| std::future::ready(taken.as_ref().unwrap().is_some())).count().await
                        as u64;
                }
                2 => {
                    let expire = each.map(|order| order.expire(&f.db, Duration::ZERO)).buffer_unordered(16);
                    assert!(expire.all(|expired| std::future::ready(expired.is_ok())).await);
                    // Writes and queries have removed some on their way.
                    Order::purge_expired(&f.db).await.unwrap();
                    deleted += some.len() as u64;
                }
                _ => deleted += Order::all().delete(&f.db).await.unwrap(),
            }
        }
        assert_eq!(deleted, RECORDS);
        assert_eq!(Order::all().count(&f.db).await.unwrap(), 0);
        let now = keys(&f).await;
        let before = emptied.get_or_insert_with(|| now.clone());
        // A number that is one digit longer is no leak.
        let grown: Vec<_> =
            now.iter().filter(|(key, size)| before.get(*key).is_none_or(|before| **size > before + 64)).collect();
        assert!(grown.is_empty(), "{grown:?}");
    }
    assert!(Order::check(&f.db).await.unwrap().is_clean());
    println!("{:?}", emptied.unwrap());
}
