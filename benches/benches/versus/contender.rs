//! A side of the comparison with its server: it is asked, timed, and its processor time is read.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use benches::{Asked, MeasuredServer, Outcome, PATIENCE, ROUND, Sample, flight};
use subconscious::Db;

use crate::data::{Answer, Job, Task, Title, User, user};
use crate::{lua, ours, plain, search};

/// Who does the work.
pub(crate) enum Side {
    Ours(ours::Ours),
    Plain(plain::Plain),
    Lua(lua::Lua),
    Search(search::Search),
}

impl Side {
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

impl Asked for Contender {
    type Question = Job;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        self.name
    }

    fn forms(&self, job: &Job) -> Vec<&'static str> {
        match &self.side {
            Side::Ours(_) => ours::Ours::forms(job),
            Side::Plain(_) => plain::Plain::forms(job),
            Side::Lua(_) => lua::Lua::forms(job),
            Side::Search(_) => search::Search::forms(job),
        }
    }

    async fn answer(&self, job: &Job, form: &str) -> Outcome<Answer> {
        match &self.side {
            Side::Ours(side) => side.run(job).await,
            Side::Plain(side) => side.run(job, form).await,
            Side::Lua(side) => side.run(job, form).await,
            Side::Search(side) => side.run(job, form).await,
        }
    }

    fn is_right(job: &Job, found: &Answer, right: &Answer) -> bool {
        found.is(right, job.order.is_some())
    }

    fn size(answer: &Answer) -> u64 {
        answer.size()
    }
}

/// A side with its server.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) side: Side,
    pub(crate) measured: MeasuredServer,
    /// Records saved so far.
    pub(crate) saved: u64,
}

impl Contender {
    /// `None` if there is no server for it.
    pub(crate) async fn start(name: &'static str) -> Option<Self> {
        let measured = MeasuredServer::start(name == "redisearch").await?;
        let own = measured.connection.clone();
        let side = match name {
            "ours" => {
                let db = Db::builder().response_timeout(PATIENCE).open(&measured.server.url).await.unwrap();
                Side::Ours(ours::Ours { db, cursors: Default::default() })
            }
            "plain" => Side::Plain(plain::Plain { connection: own }),
            "lua" => Side::Lua(lua::Lua::new(own)),
            _ => Side::Search(search::Search::new(own).await.unwrap()),
        };
        Some(Self { name, side, measured, saved: 0 })
    }

    pub(crate) async fn round(&mut self, task: &Task, form: &str, records: u64) -> Sample {
        match task {
            Task::Query(cases) => self.measured.sample(|| self.ask(cases, form, ROUND)).await,
            Task::Load(width) | Task::Save(width) => {
                let (save, width) = (matches!(task, Task::Save(_)), *width);
                let from = self.saved;
                let operations = &mut 0;
                let sample = self
                    .measured
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
        let mut stream = UnixStream::connect(self.measured.server.url.strip_prefix("redis+unix://").unwrap()).unwrap();
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
