//! A server that one side of a comparison has for itself, and what its work cost.

use std::future::Future;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Value, cmd};
use serde_json::json;

use crate::{Server, median, processor_time};

/// Calls of a server that take longer are counted as slow, in microseconds.
pub const SLOW: u64 = 2_000;
/// Some questions take some sides this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A server with a connection for questions about it.
#[derive(Debug)]
pub struct MeasuredServer {
    /// The process.
    pub server: Server,
    /// Waits for an answer as long as [`PATIENCE`].
    pub connection: ConnectionManager,
    /// What it is, as in `Redis 7.4.1 with RediSearch 2.10.5`.
    pub version: String,
}

impl MeasuredServer {
    /// Starts what the variable names for RediSearch, or for all others. `None` if there is no
    /// server with RediSearch.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub async fn start(search: bool) -> Option<Self> {
        let binary = if search {
            std::env::var("SUBCONSCIOUS_SEARCH_SERVER").ok()?
        } else {
            std::env::var("SUBCONSCIOUS_SERVER").unwrap_or_else(|_| "redis-server".into())
        };
        let server = Server::run(&binary).await;
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(PATIENCE));
        let client = Client::open(server.url.as_str()).unwrap_or_else(|error| panic!("{error}"));
        let connection =
            ConnectionManager::new_with_config(client, config).await.unwrap_or_else(|error| panic!("{error}"));
        let mut this = Self { server, connection, version: String::new() };
        this.version = version(&this.info("everything").await);
        Some(this)
    }

    /// A section of what the server says about itself.
    ///
    /// # Panics
    ///
    /// As all calls here do, if the server does not answer.
    pub async fn info(&self, section: &str) -> String {
        self.call(&["INFO", section]).await
    }

    /// A number in a section; the key ends in a colon.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub async fn number(&self, section: &str, key: &str) -> f64 {
        let info = self.info(section).await;
        let value = info.lines().find_map(|line| line.strip_prefix(key)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {key} in {section}"))
    }

    async fn call<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection.clone()).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Times the server's processor was given to it, in microseconds.
    fn cpu(&self) -> f64 {
        self.server.pid().map_or(f64::NAN, processor_time)
    }

    /// Runs the job, which says how many operations it did and how many rows they had.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn sample<F: Future<Output = (u64, u64)>>(&self, job: impl FnOnce() -> F) -> Sample {
        let reads = self.number("stats", "total_reads_processed:").await;
        let cpu = self.cpu();
        let begin = Instant::now();
        let (operations, rows) = job().await;
        let seconds = begin.elapsed().as_secs_f64();
        let cpu = self.cpu() - cpu;
        let reads = self.number("stats", "total_reads_processed:").await - reads - 1.0;
        let each = operations as f64;
        Sample { rate: each / seconds, rows: rows as f64 / seconds, cpu: cpu / each, reads: reads / each }
    }

    /// From now on, slow calls are noted.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn note_slow_calls(&self) {
        for (name, value) in [("slowlog-log-slower-than", SLOW), ("slowlog-max-len", 1_000_000)] {
            let () = self.call(&["CONFIG", "SET", name, &value.to_string()]).await;
        }
    }

    /// How many calls since the last time were slow, and the longest, in microseconds.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn slow_calls(&self) -> (u64, u64) {
        let log: Vec<Vec<Value>> = self.call(&["SLOWLOG", "GET", "-1"]).await;
        let () = self.call(&["SLOWLOG", "RESET"]).await;
        let times = log.iter().map(|entry| if let Some(Value::Int(time)) = entry.get(2) { *time as u64 } else { 0 });
        (log.len() as u64, times.max().unwrap_or(0))
    }
}

fn version(info: &str) -> String {
    let find = |key: &str| info.lines().find_map(|line| line.strip_prefix(key));
    let mut version = match find("valkey_version:") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", find("redis_version:").unwrap_or("of an unknown version")),
    };
    let search = info.split_once("name=search,ver=").and_then(|(_, rest)| rest.split(',').next()?.parse::<u32>().ok());
    if let Some(number) = search {
        version += &format!(" with RediSearch {}.{}.{}", number / 10_000, number / 100 % 100, number % 100);
    }
    version
}

/// What one round cost.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Operations a second.
    pub rate: f64,
    /// Rows a second.
    pub rows: f64,
    /// The server's microseconds for an operation.
    pub cpu: f64,
    /// How often the server read from the connection for an operation.
    pub reads: f64,
}

/// What the rounds of a workload say of one side.
#[derive(Debug)]
pub struct Measured {
    /// Of each round; none if no answer was right.
    pub rates: Vec<f64>,
    /// The median of the server's microseconds for an operation.
    pub server_us: f64,
    /// The median of the server's reads for an operation.
    pub reads: f64,
    /// How it was done.
    pub form: Option<String>,
    /// What other forms did.
    pub notes: Vec<String>,
}

impl Measured {
    /// Of all rounds, in rows or in operations a second.
    #[must_use]
    pub fn of(samples: &[Sample], rows: bool, form: Option<&str>, notes: Vec<String>) -> Self {
        Self {
            rates: samples.iter().map(|sample| if rows { sample.rows } else { sample.rate }).collect(),
            server_us: median(samples.iter().map(|sample| sample.cpu)),
            reads: median(samples.iter().map(|sample| sample.reads)),
            form: form.map(String::from),
            notes,
        }
    }

    /// The median of the rounds; not a number if there were none.
    #[must_use]
    pub fn rate(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    /// All of it.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({
            "per_second": self.rate(), "rounds": self.rates, "server_us": self.server_us, "reads": self.reads,
            "form": self.form, "forms": self.notes,
        })
    }
}
