//! A primary that fails, and sentinels that say which of its replicas has taken its place.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use subconscious_tests::{Fixture, primary, replica, with_protocol};

use crate::work::{Account, Ledger, Load, Met, compare};
use crate::{Random, goes_on, scripted, seed};

/// Sentinels that watch one primary.
struct Sentinels(Vec<(TestServer, MultiplexedConnection)>);

impl Sentinels {
    async fn watch(primary: &TestServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A sentinel writes its settings to a file, which it wants to be there. Its socket is in a
        // folder of its own.
        let start = ": >\"$2.conf\"\nexec \"$server\" \"$2.conf\" --sentinel \"$@\"";
        let builder = scripted(folder.path(), start).tcp();
        let mut sentinels = Self(Vec::new());
        for _ in 0..3 {
            let sentinel = builder.clone().start().await.unwrap();
            let client = redis::Client::open(sentinel.url()).unwrap();
            sentinels.0.push((sentinel, client.get_multiplexed_async_connection().await.unwrap()));
        }
        let port = primary.port().unwrap().to_string();
        sentinels.ask::<()>(&["MONITOR", "main", "127.0.0.1", &port, "2"]).await;
        sentinels.ask::<()>(&["SET", "main", "down-after-milliseconds", "400", "failover-timeout", "4000"]).await;
        sentinels
    }

    async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> Vec<T> {
        let mut answers = Vec::new();
        for (_, connection) in &mut self.0 {
            answers.push(redis::cmd("SENTINEL").arg(words).query_async(connection).await.unwrap());
        }
        answers
    }

    /// Waits until each knows the others and a replica.
    async fn know_all(&mut self) {
        loop {
            let known = self.ask::<BTreeMap<String, String>>(&["MASTER", "main"]).await;
            if known.iter().all(|of| of["num-other-sentinels"] == "2" && of["num-slaves"] != "0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(server, _)| server.url())
    }
}

/// What was replicated before is there, and whatever writers did meanwhile is there as a whole or
/// not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_sentinels_have_chosen_is_found_by_itself() {
    let (mut random, mut round, mut met) = (Random(seed()), 0, Met::default());
    while goes_on(round, 1, met.refused + met.unknown > 0) {
        round += 1;
        let primary = primary().await;
        let replica = replica(&primary).await;
        let mut sentinels = Sentinels::watch(&primary).await;
        sentinels.know_all().await;
        let f = Fixture::on(primary.url()).await;
        let builder = Db::builder().namespace(f.db.namespace()).sentinels(sentinels.urls());
        let db = builder.read_from("redis://main/").open(&with_protocol("redis://main/")).await.unwrap();
        let load = Load::start(&db, Ledger::some(2), &mut random);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut ledgers = load.end(&mut met).await;
        f.replicate().await;
        ledgers[0].compare(&db).await;
        let asked: String = Fixture::on(replica.url()).await.run(redis::cmd("INFO").arg("commandstats")).await;
        assert!(asked.contains("cmdstat_hmget:"), "loads go to the replica");

        // Others write on while the primary goes.
        let other = db.with_namespace("other").unwrap();
        let load = Load::start(&other, Ledger::some(4), &mut random);
        tokio::time::sleep(Duration::from_millis(20 + random.below(100))).await;
        primary.stop().await;
        while let Err(error) = Account::delete_by_id(&db, 999_999u32).await {
            assert!(error.is_connection(), "{error:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        load.end(&mut met).await;
        println!("{met:?}");
        let mut promoted = Fixture::on(replica.url()).await;
        promoted.db = promoted.db.with_namespace("other").unwrap();
        compare(&promoted, &mut []).await;
        promoted.db = promoted.db.with_namespace(f.db.namespace()).unwrap();
        compare(&promoted, &mut ledgers).await;
        // No replica is left, so loads and queries go to the new primary.
        while Account::exists(&db, 0u32).await.is_err() {}
        compare(&Fixture { db, redis: promoted.redis }, &mut ledgers).await;
    }
}

#[tokio::test]
async fn what_sentinels_do_not_know_is_told() {
    let primary = primary().await;
    let sentinels = Sentinels::watch(&primary).await;
    let open = async |sentinels: &[&str], url| {
        let builder = Db::builder().retries(0).sentinels(sentinels.iter().copied());
        builder.open(url).await.map(|_| ()).map_err(|error| error.to_string())
    };
    let urls: Vec<_> = sentinels.urls().collect();
    assert_eq!(open(&urls, "redis://main/").await, Ok(()));
    // Some may be down.
    assert_eq!(open(&["redis://127.0.0.1:1/", urls[0]], "redis://main/").await, Ok(()));
    let refused: [(&[&str], _, _); 6] = [
        (
            &urls,
            "redis://other/",
            "the sentinels know no primary of that name that is up. Check the name in the address",
        ),
        (&["redis://127.0.0.1:1/"], "redis://main/", "by the sentinels: no server answers. See whether it is running"),
        (&[primary.url()], "redis://main/", "Address does not point to a sentinel node"),
        (
            &urls,
            "redis+unix:///main",
            "the address has no host. With sentinels, write the name by which they know the primary",
        ),
        (
            &["redis://:a@h/", "redis://:b@h/"],
            "redis://main/",
            "the sentinels' addresses differ in user or password. Give all of them the same",
        ),
        (&["h:26379"], "redis://main/", "the address begins in no way that is known. Write redis://"),
    ];
    for (sentinels, url, reason) in refused {
        let said = open(sentinels, url).await.unwrap_err();
        assert!(said.starts_with(reason), "{said}");
    }
}
