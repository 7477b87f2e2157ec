//! A server whose clock steps, forwards and back, as when it is set or its machine was asleep.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use subconscious::RedisModel;
use subconscious::testing::TestServer;
use subconscious_tests::{Fixture, indexes};
use tempfile::TempDir;

use crate::{Random, rounds, scripted, seed};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Session {
    #[column(primary_key)]
    id: u32,
    #[column(unique)]
    token: u32,
    #[column(index, sort)]
    level: u8,
    #[column(sort)]
    score: i64,
}

/// A clock that a server goes by.
struct Clock {
    folder: TempDir,
    step: File,
    ahead: Duration,
}

impl Clock {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
        fs::write(&source, include_str!("clock.c")).unwrap();
        // Who compiles Rust has a C compiler to link with.
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        let step = File::options().read(true).write(true).create_new(true).open(folder.path().join("step")).unwrap();
        let clock = Self { folder, step, ahead: Duration::ZERO };
        clock.set();
        clock
    }

    async fn serve(&self) -> TestServer {
        let folder = self.folder.path().display();
        let clock = format!("export CLOCK_STEP='{folder}/step' LD_PRELOAD='{folder}/clock.so'");
        scripted(self.folder.path(), &format!("{clock}\nexec \"$server\" \"$@\"")).start().await.unwrap()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    fn set(&self) {
        self.step.write_all_at(&(self.ahead.as_micros() as i64).to_ne_bytes(), 0).unwrap();
    }

    /// Sets the clock, and waits until the server has seen it: some look at it ten times a second.
    async fn go(&mut self, ahead: Duration, f: &Fixture) {
        self.ahead = ahead;
        self.set();
        let now = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        loop {
            let (seconds, _): (u64, u64) = f.run(&mut redis::cmd("TIME")).await;
            if seconds.abs_diff(now.as_secs()) < 600 {
                return;
            }
        }
    }
}

/// Deadlines are full hours after the beginning, and the clock is always set to a half: the
/// machine's own time changes nothing.
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn what_has_expired_is_in_no_answer_however_the_clock_steps() {
    let mut random = Random(seed());
    let mut clock = Clock::new();
    let server = clock.serve().await;
    let f = Fixture::on(server.url()).await;
    let begin = clock.now() - HOUR / 2;
    // In hours from the beginning, as are the deadlines of the records that there are.
    let mut hour = 0;
    let mut alive: BTreeMap<u32, Option<u32>> = BTreeMap::new();
    for _ in 0..rounds(30) {
        for _ in 0..random.below(60) {
            let id = random.below(200) as u32;
            let session = Session { id, token: id / 2, level: (id % 3) as u8, score: -i64::from(id) };
            match random.below(4) {
                0 | 1 => {
                    // Two records want each token.
                    let free = !alive.contains_key(&(id ^ 1));
                    let saved = session.clone().save(&f.db).await;
                    assert_eq!(saved.is_ok(), free, "{saved:?}");
                    if free {
                        alive.entry(id).or_default();
                    }
                }
                2 if alive.contains_key(&id) => {
                    let at = hour + 1 + random.below(6) as u32;
                    session.expire_at(&f.db, begin + at * HOUR).await.unwrap();
                    alive.insert(id, Some(at));
                }
                _ if alive.contains_key(&id) => {
                    session.persist(&f.db).await.unwrap();
                    alive.insert(id, None);
                }
                _ => assert!(Session::load(&f.db, id).await.unwrap().is_none()),
            }
        }
        match random.below(4) {
            0 if hour > 0 => {
                // What has expired was removed, and does not come back.
                hour -= 1;
                clock.go(clock.ahead - HOUR, &f).await;
            }
            steps => {
                hour += steps as u32;
                clock.go(clock.ahead + HOUR * steps as u32, &f).await;
                alive.retain(|_, deadline| deadline.is_none_or(|deadline| deadline > hour));
            }
        }
        // Whatever asks first.
        match random.below(4) {
            0 => assert_eq!(Session::all().count(&f.db).await.unwrap(), alive.len() as u64),
            1 => {
                let first = Session::all().order_by(|s| s.score.asc()).first(&f.db).await.unwrap();
                assert_eq!(first.map(|s| s.id), alive.keys().next_back().copied());
            }
            2 => {
                let loaded = Session::load_many(&f.db, 0..200u32).await.unwrap();
                let found = loaded.into_iter().flatten().map(|s| s.id);
                assert!(found.eq(alive.keys().copied()));
            }
            _ => {}
        }
        let report = Session::check(&f.db).await.unwrap();
        assert!(report.is_clean(), "{report}");
        let mut ids: Vec<u32> = Session::all().ids(&f.db).try_collect().await.unwrap();
        ids.sort_unstable();
        assert!(ids.iter().eq(alive.keys()), "{ids:?} {alive:?}");
    }
    indexes::assert_exact::<Session>(&f).await;
}
