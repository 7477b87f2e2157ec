//! A cluster whose slots move, and whose masters fail, while programs read and write.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use subconscious::{Db, RedisModel};
use subconscious_tests::cluster::{Cluster, ClusterNode};
use subconscious_tests::{Fixture, with_protocol};

use crate::work::{Account, Ledger, Load, Met, compare};
use crate::{Random, goes_on, rounds, seed};

/// The writer of records that nobody changes.
const NOBODY: u32 = 1_000;

/// The slot of the accounts.
async fn slot(cluster: &Cluster) -> u16 {
    cluster.nodes[0].run(redis::cmd("CLUSTER").arg("KEYSLOT").arg("{Account}:meta")).await
}

async fn open(cluster: &Cluster, namespace: &str) -> Db {
    let builder = Db::builder().namespace(namespace).response_timeout(Duration::from_secs(1)).retries(9);
    builder.open(&with_protocol(&cluster.url())).await.unwrap()
}

/// The database, and a plain connection to the node that has its keys.
fn beside(db: &Db, node: &ClusterNode) -> Fixture {
    Fixture { db: db.clone(), redis: node.redis.clone().into() }
}

/// Reads what nobody changes, and checks the indexes, until `ended` is true.
async fn read(db: &Db, ended: &AtomicBool) {
    let query = Account::filter_by(|a| a.writer.eq(NOBODY) & a.level.ge(3)).order_by(|a| a.balance.desc());
    let expected = query.fetch(db).await.unwrap();
    assert!(expected.len() > 5);
    while !ended.load(Ordering::Relaxed) {
        assert_eq!(query.fetch(db).await.unwrap(), expected);
        assert_eq!(query.count(db).await.unwrap(), expected.len() as u64);
        assert_eq!(Account::load(db, expected[0].id).await.unwrap().as_ref(), Some(&expected[0]));
        let report = Account::check(db).await.unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// Records for [`read`].
async fn prepare(db: &Db) {
    let account = |at: u32| Account {
        id: NOBODY * 1_000 + at,
        handle: Some(format!("nobody {at}")),
        writer: NOBODY,
        level: (at % 9) as u8,
        balance: i64::from(at * 7 % 100),
        tags: vec!["t1".into()],
        text: String::new(),
    };
    let mut accounts: Vec<Account> = (0..200).map(account).collect();
    Account::save_many(db, &mut accounts).await.unwrap().into_result().unwrap();
}

/// Moves the slot of the accounts around while there is a load. No call may fail.
async fn moving(usual: u64, move_slot: impl AsyncFn(&Cluster, u16, usize, usize)) {
    let cluster = Cluster::start(3, false, Duration::from_secs(5)).await;
    let (slot, mut random, mut met) = (slot(&cluster).await, Random(seed()), Met::default());
    let db = open(&cluster, "moving").await;
    prepare(&db).await;
    let mut ledgers = Ledger::some(3);
    for _ in 0..rounds(usual) {
        let load = Load::start(&db, ledgers, &mut random);
        let ended = AtomicBool::new(false);
        let moves = async {
            for _ in 0..3 {
                let from = cluster.owner_of(slot).await;
                move_slot(&cluster, slot, from, (from + 1) % 3).await;
                tokio::time::sleep(Duration::from_millis(random.below(50))).await;
            }
            ended.store(true, Ordering::Relaxed);
        };
        tokio::join!(moves, read(&db, &ended));
        ledgers = load.end(&mut met).await;
        let owner = cluster.owner_of(slot).await;
        compare(&beside(&db, &cluster.nodes[owner]), &mut ledgers).await;
    }
    println!("{met:?}");
    assert!(met.writes > 50, "{met:?}");
    assert_eq!((met.refused, met.unknown), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_while_a_slot_moves_key_by_key() {
    // A few keys at a time, so that many calls meet a slot that is on two nodes.
    moving(2, async |cluster, slot, from, to| {
        cluster.move_slot(slot, from, to, 20, async || tokio::task::yield_now().await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_while_a_slot_moves_at_once() {
    let probe = Cluster::start(1, false, Duration::from_secs(5)).await;
    let help: Vec<String> = probe.nodes[0].run(redis::cmd("CLUSTER").arg("HELP")).await;
    if !help.iter().any(|line| line.contains("MIGRATESLOTS")) {
        println!("this server moves slots only key by key");
        return;
    }
    moving(3, async |cluster, slot, from, to| {
        let mut migrate = redis::cmd("CLUSTER");
        migrate.arg("MIGRATESLOTS").arg("SLOTSRANGE").arg(slot).arg(slot).arg("NODE").arg(&cluster.nodes[to].id);
        let () = cluster.nodes[from].run(&mut migrate).await;
        while cluster.owner_of(slot).await != to {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A master fails while there is a load, and its replica takes its place. `fail` makes it fail, and
/// `after` is run when calls succeed again.
async fn failing(fail: impl AsyncFn(&mut Cluster, usize), after: impl AsyncFn(&Cluster, usize)) {
    let (mut random, mut round, mut met) = (Random(seed()), 0, Met::default());
    while goes_on(round, 1, met.refused + met.unknown > 0) {
        round += 1;
        let mut cluster = Cluster::start(3, true, Duration::from_millis(500)).await;
        let slot = slot(&cluster).await;
        let (master, before, other) =
            (cluster.owner_of(slot).await, open(&cluster, "before").await, open(&cluster, "other").await);
        let load = Load::start(&before, Ledger::some(2), &mut random);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut ledgers = load.end(&mut met).await;
        compare(&beside(&before, &cluster.nodes[master]), &mut ledgers).await;
        // What this connection writes now comes after all that, and so does what it waits for.
        let () = cluster.nodes[master].run(redis::cmd("SET").arg("{Account}").arg(1)).await;
        let replicas: u8 = cluster.nodes[master].run(redis::cmd("WAIT").arg(1).arg(10_000)).await;
        assert_eq!(replicas, 1);

        // Others write on while the master goes. What it acknowledged last may be lost with it.
        let load = Load::start(&other, Ledger::some(4), &mut random);
        tokio::time::sleep(Duration::from_millis(20 + random.below(100))).await;
        fail(&mut cluster, master).await;
        // A call waits for the new master.
        while let Err(error) = Account::delete_by_id(&before, 999_999u32).await {
            assert!(error.is_unavailable(), "{error:?}");
        }
        after(&cluster, master).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        load.end(&mut met).await;
        println!("{met:?}");
        let promoted = &cluster.nodes[cluster.masters + master];
        compare(&beside(&other, promoted), &mut []).await;
        compare(&beside(&before, promoted), &mut ledgers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_the_place_of_a_master_that_is_killed() {
    let kill = async |cluster: &mut Cluster, master: usize| {
        signal(&cluster.nodes[master], "KILL");
    };
    failing(kill, async |_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_falls_silent_is_left_and_may_come_back() {
    let stop = async |cluster: &mut Cluster, master: usize| signal(&cluster.nodes[master], "STOP");
    let wake = async |cluster: &Cluster, master: usize| {
        let old = &cluster.nodes[master];
        signal(old, "CONT");
        loop {
            let role: Vec<redis::Value> = old.run(&mut redis::cmd("ROLE")).await;
            if role[0] == redis::Value::BulkString(b"slave".to_vec()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    failing(stop, wake).await;
}

fn signal(node: &ClusterNode, signal: &str) {
    let pid = node.server.pid().to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
}
