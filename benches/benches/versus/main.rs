//! The library beside what else one could do: plain commands by hand, Lua by hand, and RediSearch. All on the same data, with
//! answers checked against a plain `Vec` before anything is measured.
//!
//! `cargo bench -p benches --bench versus -- [--records 100000,1000000] [--rounds 7] [--only part of a workload's name]
//! [--sides ours,plain,lua,redisearch] [--json FILE] [--svg FILE] [--markdown FILE]`
//!
//! Each side has a server process of its own, and only one is busy at a time. A side that could go about a workload in several
//! ways is measured in the fastest one whose answers are right. RediSearch takes part if `SUBCONSCIOUS_SEARCH_SERVER` is
//! the path of a server that has it.

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

mod chart;
mod data;
mod lua;
mod ours;
mod plain;
mod report;
mod search;

use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use benches::{Server, flight};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Value, cmd};
use subconscious::Db;

use crate::data::{Answer, Job, Task, User, Workload, user};
use crate::report::{Measured, Report, Row, Size};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "versus", about = "The library beside code by hand and RediSearch")]
struct Arguments {
    /// Sizes, each measured from an empty server on.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    records: Vec<u64>,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only workloads with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = SIDES.map(String::from), value_parser = PossibleValuesParser::new(SIDES))]
    sides: Vec<String>,
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long)]
    svg: Option<PathBuf>,
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

const SIDES: [&str; 4] = ["ours", "plain", "lua", "redisearch"];
/// How long a round goes on at least, and a trial of a form at least.
const ROUND: Duration = Duration::from_millis(300);
const TRIAL: Duration = Duration::from_millis(200);
/// Queries of a server that take longer are counted, in microseconds.
const SLOW: u64 = 2_000;
/// A workload of one filling is measured in so many parts.
const PARTS: u64 = 10;

enum Side {
    Ours(ours::Ours),
    Plain(plain::Plain),
    Lua(lua::Lua),
    Search(search::Search),
}

impl Side {
    fn forms(&self, job: &Job) -> Vec<&'static str> {
        match self {
            Self::Ours(_) => ours::Ours::forms(job),
            Self::Plain(_) => plain::Plain::forms(job),
            Self::Lua(_) => lua::Lua::forms(job),
            Self::Search(_) => search::Search::forms(job),
        }
    }

    async fn run(&self, job: &Job, form: &str) -> Outcome<Answer> {
        match self {
            Self::Ours(side) => side.run(job).await,
            Self::Plain(side) => side.run(job, form).await,
            Self::Lua(side) => side.run(job, form).await,
            Self::Search(side) => side.run(job, form).await,
        }
    }

    async fn load(&self, uuid: uuid::Uuid) -> Outcome<User> {
        match self {
            Self::Ours(side) => side.load(uuid).await,
            Self::Plain(plain::Plain { connection })
            | Self::Lua(lua::Lua { connection, .. })
            | Self::Search(search::Search { connection }) => plain::load(connection, uuid).await,
        }
    }

    async fn save(&self, mut user: User) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save(&mut user).await,
            Self::Plain(side) => side.save_many(&[user]).await,
            Self::Lua(side) => side.save(&user).await,
            Self::Search(side) => side.save_many(&[user]).await,
        }
    }

    async fn save_many(&self, mut users: Vec<User>) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save_many(&mut users).await,
            Self::Plain(side) => side.save_many(&users).await,
            Self::Lua(side) => side.save_many(&users).await,
            Self::Search(side) => side.save_many(&users).await,
        }
    }
}

/// A side with its server.
struct Contender {
    name: &'static str,
    version: String,
    side: Side,
    server: Server,
    /// For questions about the server.
    connection: ConnectionManager,
    /// Records saved so far.
    saved: u64,
}

impl Contender {
    /// `None` if there is no server for it.
    async fn start(name: &'static str) -> Option<Self> {
        let binary = if name == "redisearch" {
            std::env::var("SUBCONSCIOUS_SEARCH_SERVER").ok()?
        } else {
            std::env::var("SUBCONSCIOUS_SERVER").unwrap_or_else(|_| "redis-server".into())
        };
        let server = Server::run(&binary).await;
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(120)));
        let client = redis::Client::open(server.url.as_str()).unwrap();
        let connection = ConnectionManager::new_with_config(client, config).await.unwrap();
        let own = connection.clone();
        let side = match name {
            "ours" => {
                let db = Db::builder().response_timeout(Duration::from_secs(120)).open(&server.url).await.unwrap();
                Side::Ours(ours::Ours { db, cursors: Default::default() })
            }
            "plain" => Side::Plain(plain::Plain { connection: own }),
            "lua" => Side::Lua(lua::Lua::new(own)),
            _ => Side::Search(search::Search::new(own).await.unwrap()),
        };
        let mut contender = Self { name, version: String::new(), side, server, connection, saved: 0 };
        let find = |info: &str, key: &str| info.lines().find_map(|line| Some(line.strip_prefix(key)?.to_owned()));
        let info = contender.info("everything").await;
        contender.version = match find(&info, "valkey_version:") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", find(&info, "redis_version:").unwrap()),
        };
        if let Some((_, rest)) = info.split_once("name=search,ver=") {
            let number: u32 = rest.split(',').next().unwrap().parse().unwrap();
            contender.version +=
                &format!(" with RediSearch {}.{}.{}", number / 10_000, number / 100 % 100, number % 100);
        }
        Some(contender)
    }

    async fn info(&self, section: &str) -> String {
        cmd("INFO").arg(section).query_async(&mut self.connection.clone()).await.unwrap()
    }

    async fn number(&self, section: &str, key: &str) -> f64 {
        self.info(section).await.lines().find_map(|line| line.strip_prefix(key)).unwrap().parse().unwrap()
    }

    /// Times the server's processor was given to it, in microseconds.
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.server.pid().unwrap())).unwrap();
        let time = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.flatten().filter_map(time).sum::<f64>() / 1_000.0
    }

    /// Runs the job and says what a round of so many operations, each of so many rows, cost.
    async fn sample<F: Future<Output = (u64, u64)>>(&self, job: impl FnOnce() -> F) -> Sample {
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

    /// Asks all questions of a kind until the time is over.
    async fn ask(&self, cases: &[(Job, Answer)], form: &str, time: Duration) -> (u64, u64) {
        let (begin, mut operations, mut rows) = (Instant::now(), 0, 0);
        while operations == 0 || begin.elapsed() < time {
            for (job, answer) in cases {
                let found = self.side.run(job, form).await.unwrap();
                assert_eq!(found.size(), answer.size(), "{}, {form}: {job:?}", self.name);
                operations += 1;
                rows += found.size();
            }
        }
        (operations, rows)
    }

    /// The fastest way to go about it whose answers are right, and what is wrong with others.
    async fn best(&self, cases: &[(Job, Answer)]) -> (&'static str, Vec<String>) {
        let (mut right, mut notes) = (Vec::new(), Vec::new());
        for form in self.side.forms(&cases[0].0) {
            let mut reason = None;
            for (turn, (job, answer)) in cases.iter().enumerate() {
                match self.side.run(job, form).await {
                    Ok(found) if found.is(answer, job.order.is_some()) => {}
                    Ok(found) => {
                        reason = Some(format!("wrong: question {turn}, {} for {}", found.size(), answer.size()));
                    }
                    Err(error) => reason = Some(format!("fails: {error}")),
                }
            }
            match reason {
                Some(reason) => notes.push(format!("{form}: {reason}")),
                None => right.push((form, 0.0)),
            }
        }
        // Twice and the better of each, for a machine that does other things too; what is far behind has no second chance.
        for turn in 0..2 {
            let best = right.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
            let alone = right.len() == 1;
            for (form, rate) in right.iter_mut().filter(|(_, rate)| !alone && (turn == 0 || *rate > best / 2.0)) {
                let begin = Instant::now();
                let (operations, _) = self.ask(cases, form, TRIAL).await;
                *rate = rate.max(operations as f64 / begin.elapsed().as_secs_f64());
            }
        }
        right.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        notes.extend(right.iter().filter(|_| right.len() > 1).map(|(form, rate)| format!("{form}: {rate:.1}/s")));
        let Some((best, _)) = right.first() else { panic!("{}: no right answer: {notes:?}", self.name) };
        (best, notes)
    }

    /// How many calls since the last time were slow, and the longest, in microseconds.
    async fn slow(&self) -> (u64, u64) {
        let connection = &mut self.connection.clone();
        let log: Vec<Vec<Value>> = cmd("SLOWLOG").arg("GET").arg(-1).query_async(connection).await.unwrap();
        let _: () = cmd("SLOWLOG").arg("RESET").query_async(connection).await.unwrap();
        let times = log.iter().map(|entry| if let Value::Int(time) = entry[2] { time as u64 } else { 0 });
        (log.len() as u64, times.max().unwrap_or(0))
    }

    async fn round(&mut self, task: &Task, form: &str, records: u64) -> Sample {
        match task {
            Task::Query(cases) => self.sample(|| self.ask(cases, form, ROUND)).await,
            Task::Load(width) | Task::Save(width) => {
                let (save, width) = (matches!(task, Task::Save(_)), *width);
                let from = self.saved;
                let operations = &mut 0;
                let sample = self
                    .sample(async || {
                        let begin = Instant::now();
                        while begin.elapsed() < ROUND {
                            let some = *operations..*operations + 20 * width as u64;
                            *operations = some.end;
                            flight(some, width, async |at| {
                                if save {
                                    self.side.save(user(from + at, records)).await.unwrap();
                                } else {
                                    let expected = user(at * 7_919 % records, records);
                                    assert_eq!(self.side.load(expected.uuid).await.unwrap().age, expected.age);
                                }
                            })
                            .await;
                        }
                        (*operations, *operations)
                    })
                    .await;
                if save {
                    self.saved += *operations;
                }
                sample
            }
        }
    }

    /// What a second connection waits for a PING while all the questions are asked, in microseconds: 50, 99 and 99.9 of a
    /// hundred are faster.
    async fn pings(&self, questions: &[(&[(Job, Answer)], &str)]) -> [f64; 3] {
        let mut stream = UnixStream::connect(self.server.url.strip_prefix("redis+unix://").unwrap()).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let pings = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(300));
                let begin = Instant::now();
                stream.write_all(b"PING\r\n").unwrap();
                stream.read_exact(&mut [0; 7]).unwrap();
                times.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            times
        });
        for (cases, form) in questions {
            self.ask(cases, form, ROUND).await;
        }
        over.store(true, Ordering::Relaxed);
        let mut times = pings.join().unwrap();
        times.sort_by(f64::total_cmp);
        [0.5, 0.99, 0.999].map(|part| times[(part * (times.len() - 1) as f64) as usize])
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Operations and rows a second.
    rate: f64,
    rows: f64,
    /// The server's microseconds for an operation, and how often it read from the connection.
    cpu: f64,
    reads: f64,
}

impl Measured {
    fn of(samples: &[Sample], rows: bool, form: &str, notes: Vec<String>) -> Self {
        Self {
            rates: samples.iter().map(|sample| if rows { sample.rows } else { sample.rate }).collect(),
            server_us: report::median(samples.iter().map(|sample| sample.cpu)),
            reads: report::median(samples.iter().map(|sample| sample.reads)),
            form: form.into(),
            notes,
        }
    }
}

/// Fills all servers in turns, a part at a time. The operation is the saving of one record.
async fn fill(sides: &mut [Contender], records: u64) -> (Row, Vec<f64>) {
    let mut samples = vec![Vec::new(); sides.len()];
    let mut memory = Vec::new();
    for side in sides.iter() {
        memory.push(side.number("memory", "used_memory:").await);
    }
    for part in 0..PARTS {
        let (from, to) = (records * part / PARTS, records * (part + 1) / PARTS);
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let save = async || {
                for first in (from..to).step_by(1_000) {
                    let users = (first..to.min(first + 1_000)).map(|at| user(at, records)).collect();
                    side.side.save_many(users).await.unwrap();
                }
                (to - from, to - from)
            };
            samples.push(side.sample(save).await);
            side.saved = to;
        }
    }
    for (side, memory) in sides.iter().zip(&mut memory) {
        *memory = (side.number("memory", "used_memory:").await - *memory) / records as f64;
    }
    let sides = samples.iter().map(|samples| Measured::of(samples, true, "batches of 1,000", vec![])).collect();
    (Row { name: "bulk save".into(), rows: true, sides, slow: None }, memory)
}

/// The pings of each side, if any question was measured.
async fn wait(sides: &[Contender], workloads: &[Workload], rows: &[Row]) -> Vec<[f64; 3]> {
    let mut pings = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        let questions: Vec<(&[_], &str)> = workloads
            .iter()
            .filter_map(|workload| {
                let Task::Query(cases) = &workload.task else { return None };
                let row = rows.iter().find(|row| row.name == workload.name)?;
                Some((cases.as_slice(), row.sides[at].form.as_str()))
            })
            .collect();
        if !questions.is_empty() {
            pings.push(side.pings(&questions).await);
        }
    }
    pings
}

async fn size(arguments: &Arguments, records: u64, names: &[&'static str]) -> (Size, Vec<(String, String)>, String) {
    let mut sides = Vec::new();
    for name in names {
        sides.extend(Contender::start(name).await);
    }
    assert!(!sides.is_empty(), "no side has a server");
    let note = sides[0].server.note.clone();
    eprintln!("{records} records: filling");
    let (filling, memory) = fill(&mut sides, records).await;
    let mut users: Vec<User> = (0..records).map(|at| user(at, records)).collect();
    users.sort_by_key(|user| user.created_at);
    let mut workloads = data::workloads(&users);
    workloads.retain(|workload| workload.name.contains(&arguments.only));
    drop(users);
    for side in &sides {
        let connection = &mut side.connection.clone();
        for (name, value) in [("slowlog-log-slower-than", SLOW), ("slowlog-max-len", 1_000_000)] {
            let _: () = cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(connection).await.unwrap();
        }
    }
    let (mut rows, mut pings) = (Vec::new(), Vec::new());
    if filling.name.contains(&arguments.only) {
        rows.push(filling);
    }
    for workload in &workloads {
        // Before the saves, which change the answers.
        if matches!(workload.task, Task::Save(_)) && pings.is_empty() {
            pings = wait(&sides, &workloads, &rows).await;
        }
        eprintln!("{records} records: {}", workload.name);
        let mut forms = Vec::new();
        for side in &sides {
            forms.push(match &workload.task {
                Task::Query(cases) => side.best(cases).await,
                Task::Load(_) => (if side.name == "ours" { "load" } else { "HMGET" }, vec![]),
                Task::Save(_) => match side.name {
                    "ours" => ("save", vec![]),
                    "plain" => ("pipeline, blind", vec![]),
                    "lua" => ("upsert", vec![]),
                    _ => ("HSET", vec![]),
                },
            });
            side.slow().await;
        }
        let mut samples = vec![Vec::new(); sides.len()];
        for _ in 0..arguments.rounds {
            for (at, side) in sides.iter_mut().enumerate() {
                samples[at].push(side.round(&workload.task, forms[at].0, records).await);
            }
        }
        let slow = match sides.iter().find(|side| side.name == "ours") {
            Some(ours) => Some(ours.slow().await),
            None => None,
        };
        let measured = samples.iter().zip(forms);
        let measured = measured.map(|(samples, (form, notes))| Measured::of(samples, workload.rows, form, notes));
        rows.push(Row { name: workload.name.into(), rows: workload.rows, sides: measured.collect(), slow });
    }
    if pings.is_empty() {
        pings = wait(&sides, &workloads, &rows).await;
    }
    let versions = sides.iter().map(|side| (side.name.into(), side.version.clone())).collect();
    (Size { records, memory, rows, pings }, versions, note)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let names: Vec<&'static str> =
        SIDES.into_iter().filter(|side| arguments.sides.iter().any(|name| name == side)).collect();
    let mut report = Report::new(arguments.rounds);
    for records in &arguments.records {
        let (size, versions, note) = size(&arguments, *records, &names).await;
        report.versions = versions;
        report.note = note;
        report.sizes.push(size);
        // What there is so far, should the next size not come to an end.
        for (path, text) in [
            (&arguments.json, report.json()),
            (&arguments.markdown, report.markdown()),
            (&arguments.svg, chart::svg(&report)),
        ] {
            if let Some(path) = path {
                std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
    println!("{}", report.markdown());
    if names.contains(&"redisearch") && std::env::var_os("SUBCONSCIOUS_SEARCH_SERVER").is_none() {
        println!("RediSearch was left out: SUBCONSCIOUS_SEARCH_SERVER does not say where a server with it is.");
    }
}
