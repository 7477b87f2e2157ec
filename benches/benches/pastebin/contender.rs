//! A side of the comparison: a web server with a Redis of its own.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::{Server, median, processor_time};
use futures::stream;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, cmd};
use subconscious::{Db, RedisModel};

use crate::data::{self, paste};
use crate::http::{self, PATIENCE};
use crate::original::{self, Original};
use crate::paste::Paste;
use crate::program::Program;
use crate::wrk::{Wrk, one_each};
use crate::{Outcome, Page, by_hand, target};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    ByHand,
    Original,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::ByHand, Self::Original];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::ByHand => "by hand",
            Self::Original => "Python",
        }
    }

    /// Where it has a page, if it has it.
    pub(crate) fn path(self, page: Page) -> Option<String> {
        match (page, self) {
            (Page::One, Self::Original) => Some(format!("/pastes/{}", data::uuid(data::ONE))),
            (Page::One, _) => Some(format!("/{}", data::id(data::ONE))),
            (Page::Home, _) => Some("/".into()),
            (Page::List, Self::Ours) => Some("/pastes".into()),
            (Page::Rust, Self::Ours) => Some("/pastes?language=rust".into()),
            _ => None,
        }
    }
}

pub(crate) struct Contender {
    pub(crate) side: Side,
    pub(crate) program: Program,
    server: Server,
    redis: ConnectionManager,
    /// Of Redis.
    pub(crate) version: String,
    saved: u64,
}

/// What a round came to, by request.
pub(crate) struct Sample {
    /// Requests a second.
    pub(crate) rate: f64,
    /// In microseconds.
    pub(crate) p99: f64,
    /// Processor time of the web server and of Redis, in microseconds.
    pub(crate) program: f64,
    pub(crate) redis: f64,
    /// How often Redis was asked something, or several things at once.
    pub(crate) reads: f64,
    /// Calls of Redis' commands, also those of scripts.
    pub(crate) commands: BTreeMap<String, f64>,
}

impl Contender {
    pub(crate) async fn start(side: Side, original: Option<&Original>, cores: &str) -> Outcome<Self> {
        let binary = std::env::var("SUBCONSCIOUS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let server = Server::run(&binary).await;
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(PATIENCE));
        let mut redis = ConnectionManager::new_with_config(Client::open(server.url.as_str())?, config).await?;
        let command = match side {
            Side::Ours => {
                let mut command = Command::new(target()?.join("release/pastebin"));
                command.env("REDIS_URL", &server.url).env("PASTEBIN_ADDR", "127.0.0.1:0").env("RUST_LOG", "warn");
                command
            }
            Side::ByHand => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--by-hand").arg(&server.url);
                command
            }
            Side::Original => original.ok_or("nothing runs the original")?.command(&server.url),
        };
        let program = Program::start(&command, cores)?;
        let info: String = cmd("INFO").arg("server").query_async(&mut redis).await?;
        let find = |key: &str| info.lines().find_map(|line| line.strip_prefix(key));
        let version = match (find("valkey_version:"), find("redis_version:")) {
            (Some(version), _) => format!("Valkey {version}"),
            (_, version) => format!("Redis {}", version.unwrap_or("unknown")),
        };
        Ok(Self { side, program, server, redis, version, saved: 0 })
    }

    /// Saves pastes until there are so many.
    pub(crate) async fn fill(&mut self, records: u64) -> Outcome<()> {
        let from = std::mem::replace(&mut self.saved, records);
        match self.side {
            Side::Ours => {
                let db = Db::builder().response_timeout(PATIENCE).open(&self.server.url).await?;
                Paste::save_stream(&db, stream::iter((from..records).map(paste)), |_| ()).await?.into_result()?;
            }
            Side::ByHand => by_hand::fill(&mut self.redis, (from..records).map(paste)).await?,
            Side::Original => original::fill(&mut self.redis, from, records).await?,
        }
        Ok(())
    }

    /// One round.
    pub(crate) async fn sample(&mut self, wrk: &Wrk, path: &str, seconds: u64) -> Outcome<Sample> {
        let address = &self.program.address;
        let asked = Instant::now();
        let expected = http::get(address, path)?;
        let takes_long = asked.elapsed() * 10 > Duration::from_secs(seconds);
        let (before, reads) = commands(&mut self.redis).await?;
        let pid = self.server.pid().ok_or("the server is not ours")?;
        let times = || [processor_time(self.program.pid()), processor_time(pid)];
        let begin = times();
        let load = if takes_long { one_each(address, path)? } else { wrk.run(address, path, seconds, &expected)? };
        let end = times();
        let (mut commands, all_reads) = commands(&mut self.redis).await?;
        if http::get(address, path)? != expected {
            return Err(format!("{path}: the answer is not the one before").into());
        }
        for (name, calls) in &mut commands {
            *calls = (*calls - before.get(name).unwrap_or(&0.0)) / load.requests;
        }
        // Not those that are of now and then.
        commands.retain(|_, calls| *calls > 0.01);
        let each = |time: usize| (end[time] - begin[time]) / load.requests;
        Ok(Sample {
            rate: load.rate,
            p99: load.p99,
            program: each(0),
            redis: each(1),
            reads: (all_reads - reads) / load.requests,
            commands,
        })
    }
}

/// Calls of each command so far, and reads.
async fn commands(redis: &mut ConnectionManager) -> Outcome<(BTreeMap<String, f64>, f64)> {
    let info: String = cmd("INFO").arg("commandstats").arg("stats").query_async(redis).await?;
    let mut commands = BTreeMap::new();
    let mut reads = 0.0;
    for line in info.lines() {
        if let Some(number) = line.strip_prefix("total_reads_processed:") {
            reads = number.parse()?;
        } else if let Some((name, values)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) {
            let calls = values.strip_prefix("calls=").and_then(|values| values.split(',').next());
            commands.insert(name.to_owned(), calls.ok_or("no calls")?.parse()?);
        }
    }
    commands.remove("info");
    Ok((commands, reads))
}

/// The middle of some figure of all rounds.
pub(crate) fn middle(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(figure))
}
