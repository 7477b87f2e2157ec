//! Processes that end in other ways than tests do.

use std::process::Stdio;

use tokio::process::Command;

/// What such a process is told.
const VARIABLE: &str = "SUBCONSCIOUS_TEST_CHILD";

/// A process of the running program that does what an ignored test of it does, with these words for
/// it. It is killed when it is dropped.
pub fn child(test: &str, words: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(VARIABLE, words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// The words for this process; `None` where the tests run, which have nothing to do.
pub fn told() -> Option<String> {
    std::env::var(VARIABLE).ok()
}
