//! What the benchmarks share: a pinned server, and two ways to do the same job measured in turn.

use std::future::Future;
use std::process::{Command, Stdio};
use std::time::Instant;

use futures::StreamExt;
use redis::aio::ConnectionManager;
use subconscious::testing::TestServer;

mod asked;
mod figures;
mod measured;
mod mixing;

pub use asked::{Asked, Outcome, ROUND};
pub use figures::{Run, median, number, processor_time, whole};
pub use measured::{Measured, MeasuredServer, PATIENCE, SLOW, Sample};
pub use mixing::{mix, scatter};

/// A server for the benchmark; pinned to the first core, where `taskset` can. It ends with this
/// process, however that ends.
#[derive(Debug)]
pub struct Server {
    own: Option<TestServer>,
    /// Its address.
    pub url: String,
    /// What to say about the machine.
    pub note: String,
}

impl Server {
    /// Uses the server at `REDIS_URL`, or starts `SUBCONSCIOUS_SERVER` or `redis-server` as
    /// [`run`](Self::run) does.
    ///
    /// # Panics
    ///
    /// If no server can be started.
    pub async fn start() -> Self {
        if let Ok(url) = std::env::var("REDIS_URL") {
            return Self { own: None, url, note: "server at REDIS_URL, not pinned".into() };
        }
        Self::run(&std::env::var("SUBCONSCIOUS_SERVER").unwrap_or_else(|_| "redis-server".into())).await
    }

    /// Starts a server and pins it to core 0 and this process to core 1.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    pub async fn run(binary: &str) -> Self {
        let own = TestServer::builder().binary(binary).start().await.unwrap_or_else(|error| panic!("{error}"));
        let pin = |core: &str, pid: u32| {
            let status =
                Command::new("taskset").args(["-a", "-c", "-p", core, &pid.to_string()]).stdout(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        let pinned = pin("0", own.pid()) && pin("1", std::process::id());
        let note = if pinned { "server on core 0, client on core 1" } else { "not pinned: expect noise" };
        Self { url: own.url().into(), own: Some(own), note: note.into() }
    }

    /// The process, if it is ours.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(TestServer::pid)
    }
}

/// Runs the job for each number, so many at a time on the one connection.
pub async fn flight<F: Future<Output = ()>>(numbers: impl Iterator<Item = u64>, width: usize, job: impl Fn(u64) -> F) {
    futures::stream::iter(numbers).map(job).buffer_unordered(width).collect::<()>().await;
}

/// One workload, done by two sides in turn.
#[derive(Debug)]
pub struct Duel {
    name: String,
    /// Seconds of each round.
    ours: Vec<f64>,
    by_hand: Vec<f64>,
    operations: usize,
    server: [f64; 2],
}

impl Duel {
    /// Runs both sides `rounds` times in turn after one round that does not count, and prints a row
    /// of the table. Each side gets the number of the round, and is measured as a whole;
    /// `operations` are done in one round. Nothing is done if the command line has a word that is
    /// not in the name.
    pub async fn run<A, B>(
        name: &str,
        rounds: usize,
        operations: usize,
        connection: &mut ConnectionManager,
        mut ours: impl FnMut(usize) -> A,
        mut by_hand: impl FnMut(usize) -> B,
    ) where
        A: Future<Output = ()>,
        B: Future<Output = ()>,
    {
        if std::env::args()
            .skip(1)
            .any(|word| word.parse::<u64>().is_err() && !word.starts_with('-') && !name.contains(&word))
        {
            return;
        }
        let mut duel = Self { name: name.into(), ours: vec![], by_hand: vec![], operations, server: [0.0; 2] };
        for round in 0..=rounds {
            for side in 0..2 {
                let before = server_time(connection).await;
                let begin = Instant::now();
                if side == 0 {
                    ours(round).await
                } else {
                    by_hand(round).await
                }
                let seconds = begin.elapsed().as_secs_f64();
                let after = server_time(connection).await;
                if round > 0 {
                    [&mut duel.ours, &mut duel.by_hand][side].push(seconds);
                    let kind = usize::from(after[0].1 == before[0].1);
                    let (time, calls) = (after[kind].0 - before[kind].0, after[kind].1 - before[kind].1);
                    duel.server[side] += time / calls.max(1.0) / rounds as f64;
                }
            }
        }
        println!("{}", duel.row());
    }

    fn row(&self) -> String {
        let mut ratios: Vec<f64> = self.ours.iter().zip(&self.by_hand).map(|(ours, by_hand)| by_hand / ours).collect();
        let rate = |seconds: &[f64]| {
            let mut sorted = seconds.to_vec();
            sorted.sort_by(f64::total_cmp);
            self.operations as f64 / sorted[sorted.len() / 2]
        };
        ratios.sort_by(f64::total_cmp);
        let (median, last) = (ratios[ratios.len() / 2], ratios.len() - 1);
        format!(
            "| {} | {:.0} | {:.0} | **{median:.2}** ({:.2}..{:.2}) | {:.1} / {:.1} |",
            self.name,
            rate(&self.ours),
            rate(&self.by_hand),
            ratios[0],
            ratios[last],
            self.server[0],
            self.server[1],
        )
    }
}

/// The head of the table.
pub const HEAD: &str = "| workload | ours/s | by hand/s | ratio (least..greatest) | server us a command, ours / by hand |\n| --- | --- | --- | --- | --- |";

/// Microseconds and calls so far of scripts, and of the plain commands that load. What a script
/// calls counts for both.
async fn server_time(connection: &mut ConnectionManager) -> [(f64, f64); 2] {
    let stats: String =
        redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap_or_else(|error| panic!("{error}"));
    let mut sums = [(0.0, 0.0); 2];
    for line in stats.lines() {
        let Some((name, values)) = line.split_once(':') else { continue };
        let sum = match name {
            "cmdstat_evalsha" => &mut sums[0],
            "cmdstat_hmget" | "cmdstat_hgetall" => &mut sums[1],
            _ => continue,
        };
        for value in values.split(',') {
            match value.split_once('=') {
                Some(("usec", number)) => sum.0 += number.parse().unwrap_or(0.0),
                Some(("calls", number)) => sum.1 += number.parse().unwrap_or(0.0),
                _ => {}
            }
        }
    }
    sums
}
