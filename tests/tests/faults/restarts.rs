//! Servers that are killed under load and come back with what they had stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use subconscious::testing::{TestServer, TestServerBuilder};
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::Fixture;
use tempfile::TempDir;
use tokio::process::Command;

use crate::work::{Account, Ledger, Step, compare};
use crate::{Random, rounds, seed};

/// A server that keeps what it has acknowledged, at the same address after each start.
struct Durable {
    folder: TempDir,
    port: u16,
}

impl Durable {
    fn new() -> Self {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        Self { folder: tempfile::tempdir().unwrap(), port }
    }

    fn builder(&self) -> TestServerBuilder {
        let server = TestServer::builder().arg("--dir", self.folder.path()).arg("--port", self.port.to_string());
        server.arg("--appendonly", "yes").arg("--appendfsync", "always")
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

async fn kill(server: TestServer) {
    let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().await.unwrap();
    assert!(killed.success());
    server.stop().await;
}

/// Writes until it is told to stop, also while there is no server. Says how many errors it met, and how many of these left open whether
/// the write was done.
async fn write(db: Db, mut ledger: Ledger, writer: u32, seed: u64, ended: Arc<AtomicBool>) -> (Ledger, [u64; 2]) {
    let mut errors = [0, 0];
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let step = Step::new(writer, seed, number);
        match step.run(&db, writer).await {
            Ok(()) => ledger.note(&step, true),
            // A part of what takes several calls may be done in any case.
            Err(error) => {
                let loading = matches!(&error, Error::Redis(failure) if failure.code() == Some("LOADING"));
                assert!(error.is_connection() || loading, "{error:?}");
                let several = matches!(step, Step::SaveMany(_) | Step::DeleteFrom(_));
                if error.is_outcome_unknown() || several {
                    ledger.note(&step, false);
                }
                errors[usize::from(error.is_outcome_unknown())] += 1;
            }
        }
    }
    (ledger, errors)
}

/// What was acknowledged is there, what was refused is not, and of what is not known nothing is half done. The clients connect again by
/// themselves. `cargo xtask faults` kills the server a hundred times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_had_acknowledged_is_there_when_it_is_back() {
    const WRITERS: u32 = 6;
    let durable = Durable::new();
    let mut server = durable.builder().start().await.unwrap();
    let mut f = Fixture::on(&durable.url()).await;
    let mut random = Random(seed());
    let mut ledgers: Vec<Ledger> = (0..WRITERS).map(Ledger::new).collect();
    let mut errors = [0, 0];
    for _ in 0..rounds(5) {
        let ended = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (ledgers.drain(..).zip(0..))
            .map(|(ledger, writer)| {
                let seed = random.below(u64::MAX);
                tokio::spawn(write(f.db.clone(), ledger, writer, seed, Arc::clone(&ended)))
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(random.below(100_000))).await;
        kill(server).await;
        server = durable.builder().start().await.unwrap();
        // The writers' connection is made again by one of them.
        while Account::exists(&f.db, 0u32).await.is_err() {}
        tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
        ended.store(true, Ordering::Relaxed);
        for writer in writers {
            let (ledger, [failed, unknown]) = writer.await.unwrap();
            ledgers.push(ledger);
            errors[0] += failed;
            errors[1] += unknown;
        }
        // The plain connection does not recover.
        f.redis = Fixture::on(&durable.url()).await.redis;
        compare(&f, &mut ledgers).await;
    }
    let steps: u64 = ledgers.iter().map(|ledger| ledger.steps).sum();
    assert!(steps > 100 && errors[1] > 0, "{steps} {errors:?}");
    println!("{steps} writes, {} refused, {} of unknown outcome", errors[0], errors[1]);
}
