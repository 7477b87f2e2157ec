//! The repository's own commands. All see to a server first, so that they work on a machine that
//! has none.

mod api;
mod browser;
mod linter;
mod machine;
mod matrix;
mod plan;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use crate::machine::Machine;
use crate::plan::Task;
use crate::server::Server;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Commands for working on this repository")]
struct Args {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run all tests, on REDIS_URL or on servers of their own
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run all tests on each supported server under both protocols, and write the outcome into
    /// docs/src/servers.md
    Matrix {
        /// Only these servers, such as valkey-9.1,redis-7.0; then docs/src/servers.md is left as it
        /// is
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Passed on to the tests; then docs/src/servers.md is left as it is
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run the long form of the tests in which clients, servers and connections fail
    Faults {
        /// How many times as long as in `test`: by 100, two thousand clients and three hundred
        /// servers are killed
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// Where the random numbers begin: each test says with which seed it ran
        #[arg(long)]
        seed: Option<u64>,
        /// Passed on to the tests
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Compare the library's public interface with subconscious/public-api.txt
    PublicApi {
        /// Write the file anew
        #[arg(long)]
        write: bool,
    },
    /// Run the pastebin, on REDIS_URL or on a server of its own
    Demo {
        /// Passed on to the pastebin
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode, String> {
    let folder = server_folder()?;
    let mut variables = Vec::new();
    // Those of the faults need no browser.
    let is_all = matches!(verb, Verb::Test { .. });
    let (task, cargo_args, args) = match verb {
        Verb::PublicApi { write } => return api::run(write).map(|()| ExitCode::SUCCESS),
        Verb::Matrix { only, args } => return matrix::run(&only, &args, &folder),
        Verb::Test { args } => (Task::Test, ["test", "--workspace", "--all-features"].as_slice(), args),
        Verb::Faults { rounds, seed, args } => {
            variables.push(("FAULT_ROUNDS", rounds));
            variables.extend(seed.map(|seed| ("FAULT_SEED", seed)));
            let tests = ["test", "--release", "--package", "subconscious-tests", "--all-features", "--test", "faults"];
            (Task::Test, &[tests.as_slice(), &["--", "--nocapture"]].concat()[..], args)
        }
        Verb::Demo { args } => (Task::Demo, ["run", "--package", "pastebin", "--"].as_slice(), args),
    };
    let machine = Machine::look(&folder);
    let server = server::find(task, &machine, &folder)?;

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(cargo_args).args(args);
    server.set_env(&mut command);
    if is_all {
        browser::find(&machine, &mut command);
        linter::find(&machine, &mut command);
    }
    command.envs(variables.into_iter().map(|(name, value)| (name, value.to_string())));
    let shown: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    say(&format!("cargo {}", shown.join(" ")));
    let status = command.status().map_err(|error| format!("cargo can't be run: {error}"))?;
    // Only now, as some servers end with it.
    drop::<Server>(server);
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// `target/server`: this program is `target/<profile>/xtask`, wherever the target folder was put
/// and by what setting.
fn server_folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("the target folder is not known: {error}"))?;
    let target = program.ancestors().nth(2).map(Path::to_owned);
    Ok(target.ok_or("the target folder is not known")?.join("server"))
}

fn say(what: &str) {
    eprintln!("xtask: {what}");
}
