//! A side of the comparison with its server: it is asked, timed, and its processor time is read.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use benches::{Server, flight, processor_time};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Value, cmd};
use subconscious::Db;

use crate::data::{Answer, Job, Task, Title, User, user};
use crate::{Outcome, lua, ours, plain, search};

/// How long a round goes on at least, and a trial of a form at least.
const ROUND: Duration = Duration::from_millis(300);
const TRIAL: Duration = Duration::from_millis(200);

/// Who does the work.
pub(crate) enum Side {
    Ours(ours::Ours),
    Plain(plain::Plain),
    Lua(lua::Lua),
    Search(search::Search),
}

impl Side {
    pub(crate) fn forms(&self, job: &Job) -> Vec<&'static str> {
        match self {
            Self::Ours(_) => ours::Ours::forms(job),
            Self::Plain(_) => plain::Plain::forms(job),
            Self::Lua(_) => lua::Lua::forms(job),
            Self::Search(_) => search::Search::forms(job),
        }
    }

    pub(crate) async fn run(&self, job: &Job, form: &str) -> Outcome<Answer> {
        match self {
            Self::Ours(side) => side.run(job).await,
            Self::Plain(side) => side.run(job, form).await,
            Self::Lua(side) => side.run(job, form).await,
            Self::Search(side) => side.run(job, form).await,
        }
    }

    pub(crate) async fn load(&self, uuid: uuid::Uuid) -> Outcome<User> {
        match self {
            Self::Ours(side) => side.load(uuid).await,
            Self::Plain(plain::Plain { connection })
            | Self::Lua(lua::Lua { connection, .. })
            | Self::Search(search::Search { connection }) => plain::load(connection, uuid).await,
        }
    }

    pub(crate) async fn save(&self, mut user: User) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save(&mut user).await,
            Self::Plain(side) => side.save_many(&[user]).await,
            Self::Lua(side) => side.save(&user).await,
            Self::Search(side) => side.save_many(&[user]).await,
        }
    }

    pub(crate) async fn save_many(&self, mut users: Vec<User>) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save_many(&mut users).await,
            Self::Plain(side) => side.save_many(&users).await,
            Self::Lua(side) => side.save_many(&users).await,
            Self::Search(side) => side.save_many(&users).await,
        }
    }

    pub(crate) async fn save_titles(&self, mut titles: Vec<Title>) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save_titles(&mut titles).await,
            Self::Plain(plain::Plain { connection }) | Self::Lua(lua::Lua { connection, .. }) => {
                plain::save_titles(connection, &titles).await
            }
            Self::Search(side) => side.save_titles(&titles).await,
        }
    }
}

/// A side with its server.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) side: Side,
    pub(crate) server: Server,
    /// For questions about the server.
    pub(crate) connection: ConnectionManager,
    /// Records saved so far.
    pub(crate) saved: u64,
}

impl Contender {
    /// `None` if there is no server for it.
    pub(crate) async fn start(name: &'static str) -> Option<Self> {
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

    pub(crate) async fn info(&self, section: &str) -> String {
        cmd("INFO").arg(section).query_async(&mut self.connection.clone()).await.unwrap()
    }

    pub(crate) async fn number(&self, section: &str, key: &str) -> f64 {
        self.info(section).await.lines().find_map(|line| line.strip_prefix(key)).unwrap().parse().unwrap()
    }

    /// Times the server's processor was given to it, in microseconds.
    fn cpu(&self) -> f64 {
        processor_time(self.server.pid().unwrap())
    }

    /// Runs the job and says what a round of so many operations, each of so many rows, cost.
    pub(crate) async fn sample<F: Future<Output = (u64, u64)>>(&self, job: impl FnOnce() -> F) -> Sample {
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

    /// The fastest way to go about it whose answers are right, if any are, and what is wrong with
    /// others.
    pub(crate) async fn best(&self, cases: &[(Job, Answer)]) -> (Option<&'static str>, Vec<String>) {
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
        // Twice and the better of each, for a machine that does other things too; what is far
        // behind has no second chance.
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
        let best = right.first().map(|(form, _)| *form);
        if best.is_none() {
            eprintln!("{}: no right answer: {notes:?}", self.name);
        }
        // Another side may be unable to answer it; the library has a bug then.
        assert!(best.is_some() || self.name != "ours", "the library answers wrongly");
        (best, notes)
    }

    /// How many calls since the last time were slow, and the longest, in microseconds.
    pub(crate) async fn slow(&self) -> (u64, u64) {
        let connection = &mut self.connection.clone();
        let log: Vec<Vec<Value>> = cmd("SLOWLOG").arg("GET").arg(-1).query_async(connection).await.unwrap();
        let _: () = cmd("SLOWLOG").arg("RESET").query_async(connection).await.unwrap();
        let times = log.iter().map(|entry| if let Value::Int(time) = entry[2] { time as u64 } else { 0 });
        (log.len() as u64, times.max().unwrap_or(0))
    }

    pub(crate) async fn round(&mut self, task: &Task, form: &str, records: u64) -> Sample {
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

    /// What a second connection waits for a PING while all the questions are asked, in
    /// microseconds: 50, 99 and 99.9 of a hundred are faster.
    pub(crate) async fn pings(&self, questions: &[(&[(Job, Answer)], &str)]) -> [f64; 3] {
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

/// What one round cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Operations and rows a second.
    pub(crate) rate: f64,
    pub(crate) rows: f64,
    /// The server's microseconds for an operation, and how often it read from the connection.
    pub(crate) cpu: f64,
    pub(crate) reads: f64,
}
