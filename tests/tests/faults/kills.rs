//! Client processes that are killed in the middle of what they do.

use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use subconscious_tests::child::{child, told};
use subconscious_tests::{Fixture, indexes};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::work::{Ledger, Step, compare};
use crate::{Random, goes_on, rounds, seed, settled};

const WRITERS: u32 = 4;

/// Lets the process work for a while, kills it, and answers the lines that it wrote.
async fn kill(mut victim: Command, random: &mut Random) -> Vec<String> {
    let mut victim = victim.spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut written = Vec::new();
    // Some are killed before they have done anything, most at some moment after.
    if random.below(20) > 0 {
        while let Some(line) = lines.next_line().await.unwrap() {
            written.push(line);
            if written.last().is_some_and(|line| line.contains('>')) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_micros(random.below(40_000))).await;
    }
    victim.kill().await.unwrap();
    while let Some(line) = lines.next_line().await.unwrap() {
        written.push(line);
    }
    written
}

#[tokio::test]
#[ignore = "run by other tests, which kill it"]
async fn a_writer() {
    let Some(told) = told() else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let (url, namespace, writer, seed) = (told[0], told[1], told[2].parse().unwrap(), told[3].parse().unwrap());
    let db = Db::builder().namespace(namespace).open(url).await.unwrap();
    for number in 0.. {
        println!("\n>{number}");
        Step::new(writer, seed, number).run(&db, writer).await.unwrap();
        println!("<{number}");
    }
}

/// Each write that a process heard of is there, each that it was at is there or not, and nothing
/// else; the indexes are exact. `cargo xtask faults` kills two thousand processes.
#[tokio::test]
async fn what_a_killed_process_had_written_is_there_and_nothing_is_half_done() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut random = Random(seed());
    let mut ledgers = Ledger::some(WRITERS);
    let (mut killed, mut open, mut round) = (0, 0, 0);
    while goes_on(round, 5, open > 0) {
        round += 1;
        let seeds: Vec<u64> = (0..WRITERS).map(|_| random.below(u64::MAX)).collect();
        let kills = seeds.iter().zip(0..WRITERS).map(|(seed, writer)| {
            let what = format!("{} {} {writer} {seed}", server.url(), f.db.namespace());
            let mut random = Random(seed ^ round);
            async move { kill(child("kills::a_writer", &what), &mut random).await }
        });
        let journals = futures::future::join_all(kills).await;
        settled(&f, 2).await;
        for ((ledger, journal), (seed, writer)) in ledgers.iter_mut().zip(journals).zip(seeds.iter().zip(0..)) {
            killed += 1;
            let numbers = |mark| journal.iter().filter_map(move |line| line.strip_prefix(mark)?.parse::<u64>().ok());
            let (begun, done) = (numbers(">").count() as u64, numbers("<").count() as u64);
            assert!(begun - done <= 1, "{journal:?}");
            for number in 0..begun {
                ledger.note(&Step::new(writer, *seed, number), number < done);
            }
            open += begun - done;
        }
        compare(&f, &mut ledgers).await;
    }
    let steps: u64 = ledgers.iter().map(|ledger| ledger.steps).sum();
    println!("{killed} killed in {steps} writes, {open} of them at one");
}

mod old {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Task {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) kind: Option<u8>,
        #[column(sort)]
        pub(super) at: i64,
        pub(super) title: String,
    }
}

mod new {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Task {
        #[column(primary_key)]
        pub(super) id: u32,
        pub(super) kind: Option<u8>,
        #[column(index, sort)]
        pub(super) at: i64,
        #[column(unique, sort)]
        pub(super) title: String,
    }
}

#[tokio::test]
#[ignore = "run by other tests, which kill it"]
async fn a_migrator() {
    let Some(told) = told() else { return };
    let (url, namespace) = told.split_once(' ').unwrap();
    let db = Db::builder().namespace(namespace).open(url).await.unwrap();
    println!("\n>");
    loop {
        new::Task::migrate(&db).await.unwrap();
        new::Task::drop_unused_indexes(&db).await.unwrap();
        println!("<new");
        old::Task::migrate(&db).await.unwrap();
        old::Task::drop_unused_indexes(&db).await.unwrap();
        println!("<old");
    }
}

#[tokio::test]
async fn a_migration_whose_process_is_killed_goes_on_where_it_was() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut random = Random(seed());
    let task = |id: u32| old::Task {
        id,
        kind: (!id.is_multiple_of(4)).then_some((id % 4) as u8),
        at: i64::from(id % 50),
        title: format!("t{id}"),
    };
    let mut tasks: Vec<_> = (0..600).map(task).collect();
    old::Task::save_many(&f.db, &mut tasks).await.unwrap().into_result().unwrap();
    let what = format!("{} {}", server.url(), f.db.namespace());
    for round in 0..rounds(5) {
        kill(child("kills::a_migrator", &what), &mut random).await;
        settled(&f, 2).await;
        // Whatever it was at, either program can go on.
        if round % 2 == 0 {
            new::Task::migrate(&f.db).await.unwrap();
            new::Task::drop_unused_indexes(&f.db).await.unwrap();
            indexes::assert_exact::<new::Task>(&f).await;
            assert!(new::Task::check(&f.db).await.unwrap().is_clean());
            let found = new::Task::filter_by(|t| t.at.eq(7)).order_by(|t| t.title.asc()).fetch(&f.db).await.unwrap();
            let mut titles: Vec<_> = tasks.iter().filter(|task| task.at == 7).map(|task| &task.title).collect();
            titles.sort();
            assert_eq!(found.iter().map(|task| &task.title).collect::<Vec<_>>(), titles);
        } else {
            old::Task::migrate(&f.db).await.unwrap();
            old::Task::drop_unused_indexes(&f.db).await.unwrap();
            indexes::assert_exact::<old::Task>(&f).await;
            let mut found = old::Task::all().fetch(&f.db).await.unwrap();
            found.sort_by_key(|task| task.id);
            assert_eq!(found, tasks);
        }
    }
}
