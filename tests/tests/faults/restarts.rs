//! Servers that are killed under load and come back with what they had stored.

use std::fs;
use std::time::Duration;

use subconscious::RedisModel;
use subconscious::testing::{TestServer, TestServerBuilder};
use subconscious_tests::Fixture;
use tempfile::TempDir;
use tokio::process::Command;

use crate::work::{Account, Ledger, Load, Met, compare};
use crate::{Random, goes_on, seed};

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

    /// Cuts off what the killed server had not written whole, as `redis-check-aof --fix` does. Most
    /// servers leave the first commands of such a step in the file, and apply them at the start
    /// after the next one: see docs/src/reliability.md.
    fn mend(&self) {
        for entry in fs::read_dir(self.folder.path().join("appendonlydir")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let last = |command: &[u8]| bytes.windows(command.len()).rposition(|bytes| bytes == command);
            if let Some(begin) = last(b"*1\r\n$5\r\nMULTI\r\n")
                && last(b"*1\r\n$4\r\nEXEC\r\n").is_none_or(|end| end < begin)
            {
                fs::File::options().write(true).open(&path).unwrap().set_len(begin as u64).unwrap();
            }
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Durable {
    /// What a server had stored when a test failed tells how it came to that.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            println!("the files of the server are left in {}", self.folder.path().display());
        }
    }
}

async fn kill(server: TestServer) {
    let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().await.unwrap();
    assert!(killed.success());
    server.stop().await;
}

/// What was acknowledged is there, what was refused is not, and of what is not known nothing is
/// half done. The clients connect again by themselves. `cargo xtask faults` kills the server a
/// hundred times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_had_acknowledged_is_there_when_it_is_back() {
    let durable = Durable::new();
    let mut server = durable.builder().start().await.unwrap();
    let mut f = Fixture::on(&durable.url()).await;
    let mut random = Random(seed());
    let mut ledgers = Ledger::some(6);
    let (mut met, mut round) = (Met::default(), 0);
    while goes_on(round, 3, met.unknown > 0) {
        round += 1;
        let load = Load::start(&f.db, ledgers, &mut random);
        tokio::time::sleep(Duration::from_micros(random.below(100_000))).await;
        kill(server).await;
        durable.mend();
        server = durable.builder().start().await.unwrap();
        // The writers' connection is made again by one of them.
        while Account::exists(&f.db, 0u32).await.is_err() {}
        tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
        ledgers = load.end(&mut met).await;
        // The plain connection does not recover.
        f.redis = Fixture::on(&durable.url()).await.redis;
        compare(&f, &mut ledgers).await;
    }
    println!("{met:?}");
}
