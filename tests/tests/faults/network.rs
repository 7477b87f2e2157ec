//! Connections that delay, split, cut and garble what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::door::{Door, connect};
use subconscious_tests::{Fixture, primary, replica};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::work::{Account, Ledger, Load, Met, compare};
use crate::{Random, goes_on, seed, settled};

/// Of a thousand pieces that pass, how many are met by what. A piece is what one read gave.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// Cut in pieces of a few bytes.
    split: u64,
    /// Held for up to 20 milliseconds.
    delay: u64,
    /// The connection ends in the middle of it.
    cut: u64,
    /// It gets lost, and all that follows: the connection stays silent.
    silence: u64,
}

/// Passes bytes on between clients and a server that may change.
struct Network {
    door: Door,
    server: Arc<AtomicU16>,
}

impl Network {
    async fn start(server: &TestServer, faults: Faults, seed: u64) -> Self {
        let (server, connections) = (Arc::new(AtomicU16::new(server.port().unwrap())), AtomicU64::new(0));
        let current = Arc::clone(&server);
        let door = Door::open(move |client| {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            let server = connect(current.load(Ordering::SeqCst));
            async move {
                let Ok(server) = server.await else { return };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                // One that ends, ends the other.
                tokio::select! {
                    () = pass(from_client, to_server, faults, Random(seed ^ number << 1)) => {}
                    () = pass(from_server, to_client, faults, Random(seed ^ number << 1 ^ 1)) => {}
                }
            }
        });
        Self { door: door.await, server }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.door.port)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, faults: Faults, mut random: Random) {
    let mut bytes = vec![0; 16_384];
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else { return };
        let mut piece = &bytes[..length];
        if random.below(1000) < faults.silence {
            // Reads on, so that nobody is kept from writing.
            while let Ok(1..) = from.read(&mut bytes).await {}
            return;
        }
        if random.below(1000) < faults.delay {
            tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
        }
        if random.below(1000) < faults.cut {
            let _ = to.write_all(&piece[..random.below(length as u64) as usize]).await;
            return;
        }
        let split = random.below(1000) < faults.split;
        while !piece.is_empty() {
            let some = if split { piece.len().min(1 + random.below(40) as usize) } else { piece.len() };
            if to.write_all(&piece[..some]).await.is_err() {
                return;
            }
            piece = &piece[some..];
            if split {
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn under_load(usual: u64, faults: Faults, enough: impl Fn(&Met) -> bool) -> Met {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut random = Random(seed());
    let network = Network::start(&server, faults, random.below(u64::MAX)).await;
    // Where all comes some time, that is waited for.
    let patience = if faults.cut + faults.silence > 0 { Duration::from_millis(300) } else { Duration::from_secs(30) };
    let through = Db::builder().namespace(f.db.namespace()).response_timeout(patience);
    let through = loop {
        // The first connection may fail like all others.
        match through.clone().open(&network.url()).await {
            Ok(db) => break db,
            Err(error) => assert!(error.is_connection(), "{error:?}"),
        }
    };
    let (mut ledgers, mut met, mut round) = (Ledger::some(4), Met::default(), 0);
    while goes_on(round, usual, enough(&met)) {
        round += 1;
        let load = Load::start(&through, ledgers, &mut random);
        tokio::time::sleep(Duration::from_millis(200)).await;
        ledgers = load.end(&mut met).await;
        settled(&f, 3).await;
        compare(&f, &mut ledgers).await;
    }
    println!("{met:?}");
    met
}

/// The address stays, and a replica is behind it from some moment on, as behind that of a service
/// or a proxy. What was replicated is there; what was not may be lost, as Redis says of
/// replication, but whole records with all their entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_takes_over_has_whole_writes() {
    let (mut random, mut round, mut lost) = (Random(seed()), 0, 0);
    while goes_on(round, 1, lost > 0) {
        round += 1;
        let primary = primary().await;
        let replica = replica(&primary).await;
        let network = Network::start(&primary, Faults::default(), 0).await;
        let f = Fixture::on(primary.url()).await;
        let through = Db::builder().namespace(f.db.namespace()).response_timeout(Duration::from_millis(300));
        let through = through.open(&network.url()).await.unwrap();
        let mut met = Met::default();
        let load = Load::start(&through, Ledger::some(2), &mut random);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut ledgers = load.end(&mut met).await;
        f.replicate().await;
        // Others write on while the primary goes.
        let other = through.with_namespace("other").unwrap();
        let load = Load::start(&other, Ledger::some(4), &mut random);
        tokio::time::sleep(Duration::from_millis(20 + random.below(100))).await;
        primary.stop().await;
        let mut promoted = Fixture::on(replica.url()).await;
        let () = promoted.run(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
        network.server.store(replica.port().unwrap(), Ordering::SeqCst);
        while Account::exists(&through, 0u32).await.is_err() {}
        tokio::time::sleep(Duration::from_millis(50)).await;
        load.end(&mut met).await;
        lost += met.refused + met.unknown;
        println!("{met:?}");
        promoted.db = promoted.db.with_namespace("other").unwrap();
        compare(&promoted, &mut []).await;
        promoted.db = promoted.db.with_namespace(f.db.namespace()).unwrap();
        compare(&promoted, &mut ledgers).await;
        compare(&Fixture { db: through, redis: promoted.redis }, &mut ledgers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_come_late_and_in_pieces_change_nothing() {
    let met = under_load(4, Faults { split: 300, delay: 100, ..Faults::default() }, |met| met.writes > 50).await;
    assert_eq!((met.refused, met.unknown), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_in_the_middle_are_made_again() {
    under_load(4, Faults { cut: 60, split: 200, ..Faults::default() }, |met| met.unknown > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fall_silent_are_given_up_and_made_again() {
    under_load(4, Faults { silence: 20, delay: 100, ..Faults::default() }, |met| met.unknown > 0).await;
}

/// As where an address is given to another server, and the old one goes on as its replica: nothing
/// breaks, but writes are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_became_a_replica_is_left_for_the_one_at_its_address() {
    let first = primary().await;
    let second = replica(&first).await;
    let network = Network::start(&first, Faults::default(), 0).await;
    let (f, g) = (Fixture::on(first.url()).await, Fixture::on(second.url()).await);
    let through = Db::builder().namespace(f.db.namespace()).open(&network.url()).await.unwrap();
    let mut met = Met::default();
    let mut random = Random(seed());
    let load = Load::start(&through, Ledger::some(2), &mut random);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ledgers = load.end(&mut met).await;
    f.replicate().await;
    let () = g.run(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    let () = f.run(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(second.port().unwrap())).await;
    network.server.store(second.port().unwrap(), Ordering::SeqCst);
    let mut other =
        Account { id: 9_000, writer: 9, handle: None, level: 1, balance: 0, tags: vec![], text: String::new() };
    while let Err(error) = other.save(&through).await {
        let Error::Redis(failure) = &error else { panic!("{error:?}") };
        assert_eq!(failure.code(), Some("READONLY"));
    }
    let load = Load::start(&through, ledgers, &mut random);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut ledgers = load.end(&mut met).await;
    assert_eq!((met.refused, met.unknown), (0, 0));
    compare(&Fixture { db: through, redis: g.redis }, &mut ledgers).await;
}
