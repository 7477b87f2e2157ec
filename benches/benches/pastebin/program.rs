//! Processes of others.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Outcome;

/// What a command writes to its output, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A web server, which ends with this value.
pub(crate) struct Program {
    child: Child,
    /// As in `127.0.0.1:4000`.
    pub(crate) address: String,
    /// Held after its first line, as to write to a pipe that nobody holds is an error.
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it on some cores, and waits for the line that says its address.
    pub(crate) fn start(command: &Command, cores: &str) -> Outcome<Self> {
        // So that it knows from its beginning how many cores it has: tokio starts as many workers.
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cores]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            pinned.env(name, value.unwrap_or_default());
        }
        let mut child = pinned
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("taskset, which pins a program to a core, can't be run: {error}"))?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut program = Self { child, address: String::new(), output };
        let mut line = String::new();
        program.output.read_line(&mut line)?;
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next());
        program.address = address.ok_or_else(|| format!("{command:?} did not start"))?.to_owned();
        Ok(program)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
