//! Sees to the browser that the pastebin's tests run in.

use std::process::Command;

use crate::machine::{Machine, has_browser};
use crate::{plan, say, server};

/// Installs one where there is none. Where that can't be done, the command leaves out the tests in
/// it, which is said.
pub(crate) fn find(machine: &Machine, command: &mut Command) {
    for install in plan::browser(machine) {
        if has_browser() {
            break;
        }
        if let Err(reason) = server::run(&install, "no chromium with chromedriver here") {
            say(&format!("{}: {reason}", install[0]));
        }
    }
    if !has_browser() {
        say("there is no browser, so the tests in one are left out: install chromium and chromedriver");
        command.env("PASTEBIN_BROWSER", "none");
    }
}
