//! The load: `wrk` with one thread and five connections.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::{self, Answer, PATIENCE};
use crate::program::output;
use crate::{Outcome, folder};

const CONNECTIONS: usize = 5;
const PACKAGES: [&str; 3] = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"];

pub(crate) struct Wrk {
    binary: PathBuf,
    /// Where the libraries are that came with it.
    libraries: String,
    pub(crate) version: String,
}

/// What a round of requests came to.
pub(crate) struct Load {
    pub(crate) requests: f64,
    /// A second.
    pub(crate) rate: f64,
    /// What 99 of a hundred requests took less than, in microseconds.
    pub(crate) p99: f64,
}

impl Wrk {
    /// That on the `PATH`, or else Debian's, which is unpacked into the target folder.
    pub(crate) fn find() -> Outcome<Self> {
        if let Ok(found) = Self::new("wrk".into(), String::new()) {
            return Ok(found);
        }
        let place = folder()?.join("wrk");
        let unpacked = || {
            let root = place.join("root");
            let libraries: Vec<String> = std::fs::read_dir(root.join("usr/lib"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().display().to_string())
                .collect();
            Self::new(root.join("usr/bin/wrk"), libraries.join(":"))
        };
        if unpacked().is_err() {
            eprintln!("fetching wrk");
            fetch(&place)
                .map_err(|error| format!("no wrk on the PATH, and it can't be fetched; install wrk: {error}"))?;
        }
        unpacked()
    }

    fn new(binary: PathBuf, libraries: String) -> Outcome<Self> {
        let mut wrk = Self { binary, libraries, version: String::new() };
        // It says its version and fails.
        let said = wrk.command().arg("--version").output()?.stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        let version = said.split_whitespace().nth(1).filter(|_| said.starts_with("wrk "));
        wrk.version = version.ok_or("wrk does not run")?.into();
        Ok(wrk)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", &self.libraries);
        }
        command
    }

    /// Asks for a page for so long; each answer must be the expected one.
    pub(crate) fn run(&self, address: &str, path: &str, seconds: u64, expected: &Answer) -> Outcome<Load> {
        let mut command = self.command();
        command.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
        command.arg("--duration").arg(format!("{seconds}s")).arg("--timeout").arg(format!("{}s", PATIENCE.as_secs()));
        command.arg("--script").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pastebin/done.lua"));
        let said = output(command.arg(format!("http://{address}{path}")))?;
        let figures = said.lines().find_map(|line| line.strip_prefix("figures ")).ok_or("wrk said no figures")?;
        let figures: Vec<f64> = figures.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [requests, duration, bytes, failed, p99] = figures[..] else { return Err("not the figures of wrk".into()) };
        // It takes a redirection for a success: but then the bytes are others. Answers that were on
        // their way count as well.
        let length = expected.length as f64;
        let more = bytes / length - requests;
        if failed > 0.0 || requests < 1.0 || !(-0.5..=CONNECTIONS as f64).contains(&more) {
            return Err(format!("{path}: not all answers are as the first: {said}").into());
        }
        Ok(Load { requests, rate: requests / duration * 1e6, p99 })
    }
}

/// Asks for a page once on each connection, by the clock: wrk would count only what ends in its
/// time.
pub(crate) fn one_each(address: &str, path: &str) -> Outcome<Load> {
    let begin = Instant::now();
    let times: Result<Vec<Duration>, String> = std::thread::scope(|scope| {
        let ask = || http::get(address, path).map(|_| begin.elapsed()).map_err(|error| error.to_string());
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a request panicked")?).collect()
    });
    let longest = times?.into_iter().max().unwrap_or_default().as_secs_f64();
    let requests = CONNECTIONS as f64;
    Ok(Load { requests, rate: requests / longest, p99: longest * 1e6 })
}

/// Without being root, and without installing anything.
fn fetch(place: &Path) -> Outcome<()> {
    std::fs::create_dir_all(place)?;
    output(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(place))?;
    for file in std::fs::read_dir(place)?.flatten() {
        if file.path().extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(place.join("root")))?;
        }
    }
    Ok(())
}
