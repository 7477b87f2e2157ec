//! What the tests share: a server for all of them, and a namespace of its own for each.

// All of this is test code, which may panic.
#![allow(clippy::unwrap_used)]

pub mod child;
pub mod cluster;
pub mod door;
#[cfg(doctest)]
mod guide;
pub mod indexes;
pub mod linear;
pub mod proxy;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, DbBuilder};
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, Plain};

/// The address with the protocol that `SUBCONSCIOUS_TEST_PROTOCOL` asks for (`resp2` or `resp3`),
/// for a [`Db`]. Plain connections that look behind it stay as they are.
pub fn with_protocol(url: &str) -> String {
    match std::env::var("SUBCONSCIOUS_TEST_PROTOCOL") {
        Ok(protocol) if !protocol.is_empty() => {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joint}protocol={protocol}")
        }
        _ => url.to_owned(),
    }
}

/// Whether the tests run on a cluster of three masters: `SUBCONSCIOUS_TEST_CLUSTER` is set.
pub fn on_cluster() -> bool {
    std::env::var("SUBCONSCIOUS_TEST_CLUSTER").is_ok_and(|value| !value.is_empty())
}

/// The address of the server or the cluster for all tests of this process: `REDIS_URL`, or one that
/// is started and ends with the process.
pub async fn server_url() -> &'static str {
    static SERVER: OnceCell<(Option<TestServer>, Option<Cluster>, String)> = OnceCell::const_new();
    let (_, _, url) = SERVER
        .get_or_init(|| async {
            if let Ok(url) = std::env::var("REDIS_URL") {
                return (None, None, url);
            }
            if on_cluster() {
                let cluster = Cluster::start(3, false, Duration::from_secs(15)).await;
                let url = cluster.url();
                return (None, Some(cluster), url);
            }
            let server = TestServer::start().await.unwrap_or_else(|error| panic!("{error}"));
            let url = server.url().to_owned();
            (Some(server), None, url)
        })
        .await;
    url
}

/// The addresses of a server and of its read-only replica, for all tests of this process.
pub async fn replicated_urls() -> (&'static str, &'static str) {
    static PAIR: OnceCell<[TestServer; 2]> = OnceCell::const_new();
    let [primary, replica] = PAIR
        .get_or_init(|| async {
            let primary = primary().await;
            let replica = replica(&primary).await;
            [primary, replica]
        })
        .await;
    (primary.url(), replica.url())
}

/// A server that others may follow without delay.
pub async fn primary() -> TestServer {
    let server = TestServer::builder().tcp().arg("--repl-diskless-sync-delay", "0").start().await;
    server.unwrap_or_else(|error| panic!("{error}"))
}

/// A read-only replica of the server, which is one of TCP.
pub async fn replica(primary: &TestServer) -> TestServer {
    let port = primary.port().unwrap().to_string();
    let follow = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
    TestServer::builder().tcp().args(follow).start().await.unwrap_or_else(|error| panic!("{error}"))
}

/// A database with a namespace that no other test has, and a plain connection to look behind it.
pub struct Fixture {
    /// The database.
    pub db: Db,
    /// A plain connection to the same server or cluster.
    pub redis: Plain,
}

impl Fixture {
    /// Connects to the server for all tests.
    pub async fn new() -> Self {
        Self::on(server_url().await).await
    }

    /// Connects to a server whose replica answers loads and queries: see [`Fixture::replicate`].
    pub async fn replicated() -> Self {
        let (primary, replica) = replicated_urls().await;
        Self::built(Db::builder().read_from(with_protocol(replica)), primary).await
    }

    /// Waits until the replica has what was written before.
    pub async fn replicate(&self) {
        // A connection waits for its own writes, and so for those before them.
        let () = self.run(redis::cmd("SET").arg(self.key("written")).arg(1)).await;
        let replicas: u8 = self.run(redis::cmd("WAIT").arg(1).arg(10_000)).await;
        assert_eq!(replicas, 1, "the replica does not follow");
    }

    /// Connects to the server at the address.
    pub async fn on(url: &str) -> Self {
        Self::built(Db::builder(), url).await
    }

    async fn built(builder: DbBuilder, url: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The process id keeps runs against one server apart.
        let namespace = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // A busy machine stands still for seconds now and then.
        let open =
            builder.namespace(namespace).response_timeout(Duration::from_secs(30)).open(&with_protocol(url)).await;
        let db = open.unwrap_or_else(|error| panic!("{error}"));
        let nodes: Vec<String> = match url.strip_prefix("redis-cluster://") {
            Some(nodes) => nodes.split(',').map(|node| format!("redis://{node}")).collect(),
            None => vec![url.to_owned()],
        };
        Self { db, redis: Plain::open(nodes.iter().map(String::as_str)).await }
    }

    /// The key of this test's that ends with `rest`, such as `{User}:meta`.
    pub fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.db.namespace())
    }

    /// Runs a command on the plain connection.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &mut redis::Cmd) -> T {
        command.query_async(&mut self.redis.clone()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// All keys of this test, sorted, without the namespace.
    pub async fn keys(&self) -> Vec<Vec<u8>> {
        let prefix = format!("{}:", self.db.namespace());
        let mut keys: Vec<Vec<u8>> = self.run(redis::cmd("KEYS").arg(format!("{prefix}*"))).await;
        keys.sort();
        keys.into_iter().map(|key| key[prefix.len()..].to_vec()).collect()
    }
}
