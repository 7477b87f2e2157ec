//! Sees to the linter that a test runs the Lua scripts through.

use std::process::{Command, Stdio};

use crate::machine::Machine;
use crate::{plan, say, server};

/// Installs it where there is none. Where that can't be done, its test is left out, which is said.
pub(crate) fn find(machine: &Machine, command: &mut Command) {
    for install in plan::linter(machine) {
        if has_linter() {
            break;
        }
        if let Err(reason) = server::run(&install, "no luacheck here") {
            say(&format!("{}: {reason}", install[0]));
        }
    }
    if has_linter() {
        command.env("LUACHECK", "required");
    } else {
        say("there is no luacheck, so the Lua scripts are not linted: install lua-check");
    }
}

fn has_linter() -> bool {
    let version = Command::new("luacheck").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}
