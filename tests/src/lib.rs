//! What the tests share: a server for all of them, and a namespace of its own for each.

// All of this is test code, which may panic.
#![allow(clippy::unwrap_used)]

pub mod indexes;

use std::sync::atomic::{AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use subconscious::Db;
use subconscious::testing::TestServer;
use tokio::sync::OnceCell;

/// The address of the server for all tests of this process: `REDIS_URL`, or one that is started and ends with the process.
pub async fn server_url() -> &'static str {
    static SERVER: OnceCell<(Option<TestServer>, String)> = OnceCell::const_new();
    let (_, url) = SERVER
        .get_or_init(|| async {
            if let Ok(url) = std::env::var("REDIS_URL") {
                return (None, url);
            }
            let server = TestServer::start().await.unwrap_or_else(|error| panic!("{error}"));
            let url = server.url().to_owned();
            (Some(server), url)
        })
        .await;
    url
}

/// A database with a namespace that no other test has, and a plain connection to look behind it.
pub struct Fixture {
    /// The database.
    pub db: Db,
    /// A plain connection to the same server.
    pub redis: MultiplexedConnection,
}

impl Fixture {
    /// Connects to the server for all tests.
    pub async fn new() -> Self {
        Self::on(server_url().await).await
    }

    /// Connects to the server at the address.
    pub async fn on(url: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The process id keeps runs against one server apart.
        let namespace = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let open = Db::builder().namespace(namespace).open(url).await;
        let db = open.unwrap_or_else(|error| panic!("{error}"));
        let redis = redis::Client::open(url);
        let redis = match redis {
            Ok(client) => client.get_multiplexed_async_connection().await,
            Err(error) => Err(error),
        };
        Self { db, redis: redis.unwrap_or_else(|error| panic!("{error}")) }
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

/// The README's code, which is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
