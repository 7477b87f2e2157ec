//! Servers and connections that do the unexpected while clients write.

use std::time::Duration;

use futures::TryStreamExt;
use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::Fixture;

use crate::work::{Account, Ledger, Load, Met, compare};
use crate::{Random, goes_on, rounds, seed, settled};

/// How long an answer is waited for that may not come, and one that does.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

/// Does something to the server while clients write, again and again, and compares what they know
/// with what is there. A client waits so long for an answer. It does so until `enough` was met.
async fn under_load(
    usual: u64,
    patience: Duration,
    disturb: impl AsyncFn(&Fixture, &mut Random),
    enough: impl Fn(&Met) -> bool,
) -> Met {
    let server = TestServer::builder().arg("--enable-debug-command", "local").start().await.unwrap();
    let mut f = Fixture::on(server.url()).await;
    let waiting = Db::builder().namespace(f.db.namespace()).response_timeout(patience);
    let waiting = waiting.open(server.url()).await.unwrap();
    let mut random = Random(seed());
    let (mut ledgers, mut met, mut round) = (Ledger::some(4), Met::default(), 0);
    while goes_on(round, usual, enough(&met)) {
        round += 1;
        let load = Load::start(&waiting, ledgers, &mut random);
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
            disturb(&f, &mut random).await;
        }
        ledgers = load.end(&mut met).await;
        f.redis = Fixture::on(server.url()).await.redis;
        // What was given up may still be waiting to be done.
        let () = f.run(redis::cmd("CLIENT").arg("UNPAUSE")).await;
        for db in [&f.db, &waiting] {
            while Account::exists(db, 0u32).await.is_err() {}
        }
        settled(&f, 3).await;
        compare(&f, &mut ledgers).await;
    }
    println!("{met:?}");
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_are_loaded_again() {
    let met =
        under_load(4, LONG, async |f, _| f.run(redis::cmd("SCRIPT").arg("FLUSH")).await, |met| met.writes > 50).await;
    assert_eq!((met.refused, met.unknown), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_are_made_again() {
    let kill = async |f: &Fixture, _: &mut Random| {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        let _: u64 = f.run(&mut kill).await;
    };
    under_load(4, SHORT, kill, |met| met.unknown > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_pauses_or_sleeps_is_waited_for_as_long_as_was_said() {
    let pause = async |f: &Fixture, random: &mut Random| {
        let milliseconds = random.below(500);
        let what = ["WRITE", "ALL"][random.below(2) as usize];
        let () = match random.below(3) {
            0 => f.run(redis::cmd("DEBUG").arg("SLEEP").arg(milliseconds as f64 / 1000.0)).await,
            _ => f.run(redis::cmd("CLIENT").arg("PAUSE").arg(milliseconds).arg(what)).await,
        };
    };
    under_load(2, SHORT, pause, |met| met.unknown > 0).await;
}

/// Everything is gone at some moment; who writes and who reads go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_flushed_begins_anew() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut random = Random(seed());
    for _ in 0..rounds(10) {
        let load = Load::start(&f.db, Ledger::some(4), &mut random);
        let mut stream = Account::filter_by(|a| a.level.lt(8)).order_by(|a| a.balance.asc()).stream(&f.db);
        tokio::time::sleep(Duration::from_micros(random.below(30_000))).await;
        let first = stream.try_next().await.unwrap();
        let () = f.run(&mut redis::cmd("FLUSHALL")).await;
        let rest: Vec<Account> = stream.try_collect().await.unwrap();
        assert!(first.iter().chain(&rest).all(|account| account.level < 8));
        load.end(&mut Met::default()).await;
        // What was written since.
        compare(&f, &mut []).await;
    }
}

#[tokio::test]
async fn a_full_server_refuses_writes_and_still_answers_and_deletes() {
    let server = TestServer::builder().arg("--maxmemory", "8mb").start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let account = |id: u32| Account {
        id,
        handle: Some(format!("{id}")),
        writer: id % 2,
        level: (id % 9) as u8,
        balance: i64::from(id),
        tags: vec![format!("t{}", id % 5)],
        text: "x".repeat(500),
    };
    // Nearly as many as there is room for; then one by one.
    let mut saved = 3_500;
    let mut first: Vec<Account> = (0..saved).map(account).collect();
    Account::save_many(&f.db, &mut first).await.unwrap().into_result().unwrap();
    let error = loop {
        match account(saved).save(&f.db).await {
            Ok(()) => saved += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Redis(failure) if failure.code() == Some("OOM")), "{error:?}");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    // Of many, each is there or was refused.
    let mut more: Vec<Account> = (100_000..100_200).map(account).collect();
    let report = Account::save_many(&f.db, &mut more).await.unwrap();
    assert_eq!(report.failed.len() as u64 + report.saved, 200);
    let patched = Account::patch(&f.db, 7u32, |a| [a.balance.incr(1)]).await;
    assert!(matches!(&patched, Err(Error::Redis(failure)) if failure.code() == Some("OOM")), "{patched:?}");
    compare(&f, &mut []).await;

    // Reading needs no memory that is refused, nor does what frees some.
    let odd = Account::filter_by(|a| a.writer.eq(1) & !a.level.eq(3) & a.tags.contains("t2"));
    let expected = (0..saved).filter(|id| id % 2 == 1 && id % 9 != 3 && id % 5 == 2).count() as u64;
    assert_eq!(odd.clone().filter(|a| a.balance.lt(100_000)).count(&f.db).await.unwrap(), expected);
    assert_eq!(odd.clone().filter(|a| a.balance.lt(100_000)).fetch(&f.db).await.unwrap().len() as u64, expected);
    assert_eq!(odd.filter(|a| a.balance.lt(100_000)).delete(&f.db).await.unwrap(), expected);
    assert!(Account::delete_by_id(&f.db, 0u32).await.unwrap());
    assert!(Account::filter_by(|a| a.writer.eq(1)).delete(&f.db).await.unwrap() > 300);
    compare(&f, &mut []).await;
    account(0).save(&f.db).await.unwrap();
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Session {
    #[column(primary_key)]
    id: u32,
    #[column(unique)]
    token: String,
    #[column(index, sort)]
    level: u8,
    #[column(sort)]
    at: i64,
    text: String,
}

/// A server that makes room by removing records that would expire some day removes them without
/// their index entries. They are delivered no more, and a check names them.
#[tokio::test]
async fn a_record_that_was_evicted_is_not_delivered_and_repaired() {
    let server = TestServer::builder().args(["--maxmemory", "6mb", "--maxmemory-policy", "volatile-lru"]).start().await;
    let server = server.unwrap();
    let f = Fixture::on(server.url()).await;
    let session = |id: u32| Session {
        id,
        token: format!("t{id}"),
        level: (id % 5) as u8,
        at: i64::from(id),
        text: "x".repeat(1_000),
    };
    const RECORDS: u32 = 4_000;
    for first in (0..RECORDS).step_by(100) {
        let mut some: Vec<Session> = (first..first + 100).map(session).collect();
        Session::save_many(&f.db, &mut some).await.unwrap().into_result().unwrap();
        let expire = some.iter().map(|session| session.expire(&f.db, Duration::from_secs(1_000)));
        for expired in futures::future::join_all(expire).await {
            // It may be gone again already.
            assert!(expired.is_ok() || expired.is_err_and(|error| error.is_not_found()));
        }
    }
    // From here on, none is evicted.
    let () = f.run(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0)).await;
    let loaded = Session::load_many(&f.db, 0..RECORDS).await.unwrap();
    let left: Vec<Session> = loaded.into_iter().flatten().collect();
    assert!(left.len() < 3_900, "nothing was evicted");
    let listed = Session::filter_by(|s| s.level.ge(0)).order_by(|s| s.at.asc()).fetch(&f.db).await.unwrap();
    assert!(listed == left, "{} are listed, {} are left", listed.len(), left.len());
    let some =
        Session::filter_by(|s| s.level.eq(3) & s.at.gt(100)).order_by(|s| s.at.asc()).fetch(&f.db).await.unwrap();
    assert!(some.iter().eq(left.iter().filter(|session| session.level == 3 && session.at > 100)));
    // What it had is free.
    let gone = (0..RECORDS).find(|id| !left.iter().any(|session| session.id == *id)).unwrap();
    Session { id: RECORDS, ..session(gone) }.save(&f.db).await.unwrap();
    assert!(session(gone).save(&f.db).await.unwrap_err().is_duplicate());
    // Until its deadline, what is left of it counts.
    assert!(Session::all().count(&f.db).await.unwrap() > left.len() as u64 + 1);

    let report = Session::repair(&f.db).await.unwrap();
    assert!(!report.is_clean());
    assert!(Session::check(&f.db).await.unwrap().is_clean());
    let left = Session::all().fetch(&f.db).await.unwrap().len() as u64;
    assert_eq!(Session::all().count(&f.db).await.unwrap(), left);
}

/// Not only when the next request wants another.
#[tokio::test]
async fn a_connection_that_is_given_up_is_closed() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let impatient = Db::builder().response_timeout(Duration::from_millis(50)).open(server.url()).await.unwrap();
    let () = f.run(redis::cmd("CLIENT").arg(&["PAUSE", "300", "ALL"])).await;
    assert!(Account::exists(&impatient, 1u32).await.unwrap_err().is_connection());
    settled(&f, 2).await;
    assert!(!Account::exists(&impatient, 1u32).await.unwrap());
}
