//! What this machine has. Looking changes nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::say;

/// The servers' names, best first.
pub(crate) const SERVERS: [&str; 2] = ["valkey-server", "redis-server"];
/// Names a server's binary to us, and ours to the tests and the demo.
pub(crate) const BINARY_VARIABLE: &str = "SUBCONSCIOUS_SERVER";
/// The first version, of both, that has what we need. (Valkey began with 7.2.)
const OLDEST_MAJOR: u32 = 7;

/// What there is to get a server from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) redis_url: Option<String>,
    /// A server that works: the one that `SUBCONSCIOUS_SERVER` names, one on `PATH`, or one fetched
    /// earlier.
    pub(crate) binary: Option<PathBuf>,
    pub(crate) python: bool,
    pub(crate) managers: Vec<Manager>,
    pub(crate) root: bool,
    pub(crate) sudo: bool,
    pub(crate) docker: bool,
}

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    AptGet,
    Brew,
    Dnf,
    Apk,
}

impl Manager {
    const ALL: [Manager; 4] = [Manager::AptGet, Manager::Brew, Manager::Dnf, Manager::Apk];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Manager::AptGet => "apt-get",
            Manager::Brew => "brew",
            Manager::Dnf => "dnf",
            Manager::Apk => "apk",
        }
    }
}

impl Machine {
    /// Looks at the environment, `PATH`, and the folder of servers fetched earlier.
    pub(crate) fn look(folder: &Path) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Machine {
            redis_url: set("REDIS_URL"),
            binary: find_server(&[folder.to_owned()]),
            python: on_path("python3").is_some(),
            managers: Manager::ALL.into_iter().filter(|manager| on_path(manager.program()).is_some()).collect(),
            root: output("id", &["-u"]).is_ok_and(|id| id.trim() == "0"),
            sudo: on_path("sudo").is_some(),
            docker: on_path("docker").is_some(),
        }
    }
}

/// The server that `SUBCONSCIOUS_SERVER` names, else the first on `PATH` or in one of the folders
/// that works.
pub(crate) fn find_server(folders: &[PathBuf]) -> Option<PathBuf> {
    let named = std::env::var_os(BINARY_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = SERVERS.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    let in_folders = folders.iter().flat_map(|folder| SERVERS.iter().map(move |name| folder.join(name)));
    let files = named.into_iter().chain(on_path).chain(in_folders).filter(|file| file.is_file());
    // Absolute, as the tests run in other folders than this does.
    files.filter_map(|file| std::path::absolute(file).ok()).find(|file| {
        check_server(file).inspect_err(|problem| say(&format!("{} is of no use: {problem}", file.display()))).is_ok()
    })
}

/// Runs it to see whether it works here, and whether it is new enough.
pub(crate) fn check_server(file: &Path) -> Result<(), String> {
    check_version(&output(file, &["--version"])?)
}

fn check_version(said: &str) -> Result<(), String> {
    let major = version(said).and_then(|version| version.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_MAJOR => Ok(()),
        Some(_) => Err(format!("version {OLDEST_MAJOR} or newer is needed, it is {}", said.trim())),
        None => Err(format!("no version in what it says: {}", said.trim())),
    }
}

/// The version in what a server says of itself.
pub(crate) fn version(said: &str) -> Option<&str> {
    // "Redis server v=7.0.15 sha=...", "Valkey server v=9.1.2 sha=..."
    said.split_once("v=")?.1.split_whitespace().next()
}

/// A program's standard output; its standard error when it fails.
pub(crate) fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let error = String::from_utf8_lossy(&output.stderr);
        Err(error.trim().lines().last().map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

/// Whether there is a browser that tests can drive.
pub(crate) fn has_browser() -> bool {
    let browsers = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let in_macos =
        Path::new("/Applications/Chromium.app").exists() || Path::new("/Applications/Google Chrome.app").exists();
    on_path("chromedriver").is_some() && (in_macos || browsers.iter().any(|browser| on_path(browser).is_some()))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_7_on_are_used() {
        for good in
            ["Redis server v=7.0.15 sha=0:0 malloc=jemalloc", "Valkey server v=9.1.2 sha=0:1", "Redis server v=10.0"]
        {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for bad in ["Redis server v=6.0.16 sha=0:0", "hello", "", "v=", "v=x.1"] {
            assert!(check_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_last_words() {
        assert_eq!(output("sh", &["-c", "echo out; echo one >&2; echo two >&2; exit 1"]), Err("two".to_owned()));
        assert_eq!(output("sh", &["-c", "echo out"]), Ok("out\n".to_owned()));
        assert!(output("/no/such/program", &[]).is_err());
    }
}
