//! Queries while others write.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use subconscious::RedisModel;
use subconscious::testing::TestServer;
use subconscious_tests::{Fixture, indexes};

use crate::oracle::{Item, cases, items, keys, seed, sorted, wanted};

/// Two thirds of the records stay as they are, and others come, change and go all the time. Each
/// that is delivered matches, none is delivered twice, and of those that stay none that matches is
/// missed; they come in order.
#[tokio::test]
async fn a_query_misses_nothing_that_stays_and_delivers_nothing_twice() {
    queries_meanwhile(Fixture::new().await, false).await;
}

#[tokio::test]
async fn a_query_of_a_replica_misses_nothing_that_stays_and_delivers_nothing_twice() {
    queries_meanwhile(Fixture::replicated().await, true).await;
}

async fn queries_meanwhile(f: Fixture, replicated: bool) {
    let (mut hot, mut stable): (Vec<Item>, Vec<Item>) =
        items(900).into_iter().enumerate().fold((Vec::new(), Vec::new()), |(mut hot, mut stable), (at, item)| {
            if at % 3 == 0 {
                hot.push(item)
            } else {
                stable.push(item)
            }
            (hot, stable)
        });
    // Rows in between them, so that what comes takes the rows of what goes.
    for (one, others) in hot.iter_mut().zip(stable.chunks_mut(2)) {
        one.save(&f.db).await.unwrap();
        Item::save_many(&f.db, others).await.unwrap().into_result().unwrap();
    }
    if replicated {
        f.replicate().await;
    }
    let (ended, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (db, ended, writes, hot) = (f.db.clone(), Arc::clone(&ended), Arc::clone(&writes), hot.clone());
            tokio::spawn(async move {
                let mut state = 77 + writer;
                let mut random = move |below: usize| {
                    state = (state as u64)
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407) as usize;
                    (state >> 33) % below
                };
                // A record that was deleted and is saved anew is another one, and has another id
                // here.
                let mut lives = vec![0; hot.len()];
                while !ended.load(Ordering::Relaxed) {
                    let at = random(hot.len() / 2) * 2 + writer;
                    let id = format!("{}/{}", hot[at].id, lives[at]);
                    if random(4) == 0 {
                        Item::delete_by_id(&db, id).await.unwrap();
                        lives[at] += 1;
                    } else {
                        // Another one's values, so any that there are.
                        Item { id, ..hot[random(hot.len())].clone() }.save(&db).await.unwrap();
                    }
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let seed = seed();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut runner = TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng);
    let stays: BTreeSet<String> = stable.iter().map(|item| item.id.clone()).collect();
    for case in 0..cases() / 3 {
        let wanted = wanted().new_tree(&mut runner).unwrap().current();
        let keys = keys().new_tree(&mut runner).unwrap().current();
        let db = f.db.with_query_budget(Duration::from_micros([0, 60, 300, 1_000][case as usize % 4]));
        let mut query = Item::filter_by(|_| wanted.filter());
        for key in &keys {
            query = query.order_by(|_| key.order());
        }
        let what = format!("seed {seed}, case {case}: {wanted:?} {keys:?}");
        let expected: Vec<Item> = stable.iter().filter(|item| wanted.matches(item)).cloned().collect();
        let expected: Vec<String> = sorted(expected, &keys).into_iter().map(|item| item.id).collect();

        let found = query.fetch(&db).await.unwrap();
        assert!(found.iter().all(|item| wanted.matches(item)), "{what}");
        let mut ids: Vec<String> = found.into_iter().map(|item| item.id).collect();
        check(&ids, &expected, &stays, &what);
        ids = query.ids(&db).try_collect().await.unwrap();
        check(&ids, &expected, &stays, &what);
        // By pages, each with a call of its own.
        let (mut turned, mut cursor) = (Vec::new(), None);
        loop {
            let page = query.clone().limit(150).after(cursor).select(|u| u.id).page(&db).await.unwrap();
            turned.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        turned.retain(|id| stays.contains(id));
        assert_eq!(turned, expected, "{what}");
        // One that moves along a range while it is counted may count again.
        assert!(query.count(&db).await.unwrap() >= expected.len() as u64, "{what}");
    }
    ended.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(writes.load(Ordering::Relaxed) > 500);
    indexes::assert_exact::<Item>(&f).await;
}

fn check(found: &[String], expected: &[String], stays: &BTreeSet<String>, what: &str) {
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len(), "{what}: something is delivered twice");
    let stayed: Vec<&String> = found.iter().filter(|id| stays.contains(*id)).collect();
    assert_eq!(stayed, expected.iter().collect::<Vec<_>>(), "{what}");
}

/// Without a timer or a task of its own: the request is sent while the caller takes the second half
/// of a page.
#[tokio::test]
async fn a_stream_asks_for_the_next_page_while_one_is_used() {
    let server = TestServer::start().await.unwrap();
    let mut f = Fixture::on(server.url()).await;
    // No call shall end before it is done, however busy the machine is.
    f.db = f.db.with_query_budget(Duration::from_secs(10));
    Item::save_many(&f.db, &mut items(900)).await.unwrap().into_result().unwrap();
    let calls = async || {
        let stats: String = f.run(redis::cmd("INFO").arg("commandstats")).await;
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap().to_owned();
        line.split(',').next().unwrap().parse::<u64>().unwrap()
    };
    // Once, so that the server knows the scripts.
    assert_eq!(Item::all().fetch(&f.db).await.unwrap().len(), 900);
    let before = calls().await;
    let mut stream = Item::all().stream(&f.db);
    for _ in 0..50 {
        stream.try_next().await.unwrap().unwrap();
    }
    assert_eq!(calls().await, before + 1);
    for _ in 50..60 {
        stream.try_next().await.unwrap().unwrap();
    }
    while calls().await < before + 2 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    // Nothing is asked for that is not wanted.
    let before = calls().await;
    assert_eq!(Item::all().limit(100).fetch(&f.db).await.unwrap().len(), 100);
    assert_eq!(calls().await, before + 1);
}

/// A part of an OR that has no rows is left out of the filter that a call runs. The next call may
/// have to run it, and counts the rest nevertheless.
#[tokio::test]
async fn a_count_is_whole_if_a_part_of_its_filter_gets_its_first_row() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Reading {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        place: Option<u32>,
        #[column(sort)]
        score: u32,
    }
    let f = Fixture::new().await;
    let mut all: Vec<_> = (0..4_000).map(|id| Reading { id, place: Some(id % 2), score: id }).collect();
    Reading::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    // Each call counts some of the rows.
    let db = f.db.with_query_budget(Duration::from_micros(100));
    let query = Reading::filter_by(|r| (r.score.lt(2_000) & r.place.eq(0)) | r.score.gt(9_000));
    let over = AtomicBool::new(false);
    let toggle = async {
        let mut other = Reading { id: 9_999, place: None, score: 9_999 };
        while !over.load(Ordering::Relaxed) {
            other.save(&f.db).await.unwrap();
            Reading::delete_by_id(&f.db, other.id).await.unwrap();
        }
    };
    let count = async {
        for _ in 0..100 {
            let count = query.count(&db).await.unwrap();
            assert!((1_000..=1_001).contains(&count), "{count}");
        }
        over.store(true, Ordering::Relaxed);
    };
    futures::join!(toggle, count);
}

/// A wide range is read by ranks, which move if others remove records.
#[tokio::test]
async fn groups_of_a_range_have_no_row_from_beyond_it() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Reading {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        place: u32,
        #[column(sort)]
        score: u32,
    }
    let f = Fixture::new().await;
    let reading = |id: u32| Reading { id, place: id / 5_000, score: id };
    let mut all: Vec<_> = (0..9_000).map(reading).collect();
    Reading::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let query = Reading::filter_by(|r| r.score.lt(5_000));
    let over = AtomicBool::new(false);
    let toggle = async {
        while !over.load(Ordering::Relaxed) {
            let mut some: Vec<_> = (4_900..5_000).map(reading).collect();
            let _ = Reading::delete_many(&f.db, some.iter().map(|reading| reading.id)).await.unwrap();
            Reading::save_many(&f.db, &mut some).await.unwrap().into_result().unwrap();
        }
    };
    let count = async {
        for _ in 0..50 {
            let groups = query.count_by(&f.db, |r| r.place).await.unwrap();
            let [(0, count)] = groups[..] else { panic!("{groups:?}") };
            assert!((4_900..=5_000).contains(&count), "{count}");
        }
        over.store(true, Ordering::Relaxed);
    };
    futures::join!(toggle, count);
}
