//! Private servers for tests and demos: see [`TestServer`].
//!
//! The server must end when its owner ends, without unsafe code. This must also hold if the owner
//! is killed, or keeps the server in a static that is never dropped. So the server's parent is a
//! small shell whose standard input is a pipe from this process. Whatever ends this process closes
//! the pipe, and the shell then kills the server and removes its folder. A parent-death signal
//! would be shorter, but was rejected: it exists only on Linux, needs unsafe code, and fires when
//! the thread that started the server ends.
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::future::{Either, select};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use crate::error::{Error, Result};

/// The environment variable that names the server's binary.
const BINARY_VARIABLE: &str = "SUBCONSCIOUS_SERVER";
/// The binaries to look for on `PATH`, best first.
const BINARIES: [&str; 2] = ["valkey-server", "redis-server"];
/// How long a start may take. It takes 20 to 70 ms, and longer on a machine that is busy with
/// compiling.
const START_DEADLINE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// How often a start is tried if another process takes the port that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;
/// The longest path of a folder for the server's folder. The path of a unix socket is limited to
/// 103 bytes on macOS and 107 bytes on Linux.
const FOLDER_MAX: usize = 80;

/// `$1` is the server's folder; the other arguments are its command line.
///
/// - The server holds descriptor 3, so the pipe from which we read the process id ends when the
///   server ends.
/// - The shell ignores signals, so that only the end of its input ends it, and it can clean up
///   first. Among them is the signal for a pipe that nobody reads, since we may have ended before
///   the process id is written.
/// - The shell kills the server with SIGKILL: the server has nothing to save, and may not have set
///   its handlers for softer signals yet.
/// - The last line kills the rest of the process group: a server that a wrapper script started, or
///   a child that saves.
const KEEPER: &str = r#"
trap '' HUP INT PIPE QUIT TERM
folder=$1
shift
"$@" 3>&1 </dev/null >"$folder/log" 2>&1 &
server=$!
echo "$server"
exec >/dev/null
while read -r _; do :; done
kill -9 "$server"
wait "$server"
rm -rf "$folder"
kill -9 "-$$"
"#;

/// A private Redis-compatible server for tests and demos. It keeps nothing, so it is not for
/// production.
///
/// It is a child process with a folder of its own (mode 0700), listens on a unix socket there, and
/// writes nothing to disk but its log. It ends when the value is dropped, and also when this
/// process ends in any way: by a panic, by `SIGKILL`, or while the value is in a static.
///
/// The binary is the one that the environment variable `SUBCONSCIOUS_SERVER` names, else
/// `valkey-server` on `PATH`, else `redis-server` on `PATH`. Such servers exist only on unix, so
/// this module exists only on unix.
///
/// ```no_run
/// # use subconscious::RedisModel;
/// # #[derive(RedisModel)]
/// # struct Note { #[column(primary_key)] id: u64 }
/// use subconscious::Db;
/// use subconscious::testing::TestServer;
///
/// // A test, by `#[tokio::test]`.
/// async fn what_is_saved_is_there() {
///     let server = TestServer::start().await.unwrap(); // lives to the end of the test
///     let db = Db::open(server.url()).await.unwrap();
///     Note { id: 1 }.save(&db).await.unwrap();
///     assert!(Note::exists(&db, 1).await.unwrap());
/// }
/// ```
///
/// Many tests start faster if one server in a static serves them all, and each test has its own
/// `Db` and [`namespace`](crate::DbBuilder::namespace).
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct TestServer {
    url: String,
    port: Option<u16>,
    pid: u32,
    /// Never read: dropping it ends the server.
    _keeper: Keeper,
}

impl TestServer {
    /// Starts a server and waits until it answers, which takes 20 to 70 ms.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if no server is installed, or if it did not start. In the second
    /// case, the error has the end of the server's log.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped half-way, the server is ended.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Settings for a server with other arguments, another binary, or a TCP port.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// The binary that [`start`](Self::start) runs.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if there is none; the error says what to install.
    pub fn find_binary() -> Result<PathBuf> {
        if let Some(path) = std::env::var_os(BINARY_VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(path.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        BINARIES
            .iter()
            .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
            .find(|file| fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
            .ok_or_else(|| {
                Error::configuration(format!(
                    "there is no Redis-compatible server on this machine. Install `valkey` (7.2 or newer) or `redis-server` (7.0 or \
                     newer), or set {BINARY_VARIABLE} to the path of one (in this repository, `cargo xtask test` fetches one)"
                ))
            })
    }

    /// The server's address: `redis+unix:///folder/s`, or `redis://127.0.0.1:port/` after
    /// [`TestServerBuilder::tcp`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port, after [`TestServerBuilder::tcp`].
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the server, and returns when it has ended.
    ///
    /// Dropping does the same, but blocks the thread for a few milliseconds.
    ///
    /// # Cancel safety
    ///
    /// The server ends even if the future is dropped, whether or not it was polled before.
    pub async fn stop(self) {
        // This can fail only if the runtime is shutting down. The value has then been dropped as
        // well.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Settings of a [`TestServer`] to be started.
///
/// ```no_run
/// # async fn run() -> subconscious::Result<()> {
/// use subconscious::testing::TestServer;
///
/// let small = TestServer::builder().arg("--maxmemory", "10mb").tcp().start().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct TestServerBuilder {
    binary: Option<PathBuf>,
    args: Vec<OsString>,
    tcp: bool,
}

impl TestServerBuilder {
    /// Adds a setting of the server with its value, such as `--maxmemory` and `10mb`.
    pub fn arg(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.args([name.as_ref(), value.as_ref()])
    }

    /// Adds arguments as they are, for settings that do not take exactly one value.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The binary to run, instead of the one that [`TestServer::find_binary`] finds.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Listens on a free port of the loopback interface; any user of the machine can then connect.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Starts the server and waits until it answers: see [`TestServer::start`].
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if no server is installed, or if it did not start. In the second
    /// case, the error has the end of the server's log.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped half-way, the server is ended.
    pub async fn start(self) -> Result<TestServer> {
        let binary = match &self.binary {
            Some(path) => path.clone(),
            None => TestServer::find_binary()?,
        };
        let mut attempt = 1;
        loop {
            let port =
                if self.tcp { Some(free_port().map_err(|error| failed(&binary, &error.to_string()))?) } else { None };
            match start_once(&binary, &self.args, port).await {
                // A port can't be reserved for another process. If another process took it, another
                // port is tried.
                Err(reason) if reason.contains("Address already in use") && self.tcp && attempt < PORT_ATTEMPTS => {
                    attempt += 1
                }
                started => return started.map_err(|reason| failed(&binary, &reason)),
            }
        }
    }
}

/// The shell that is the server's parent.
#[derive(Debug)]
struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        // `wait` first closes the shell's input, upon which the shell ends the server. When `wait`
        // returns, the server has ended.
        let _ = self.0.wait();
    }
}

fn failed(binary: &Path, reason: &str) -> Error {
    Error::configuration(format!("the server {} did not start: {reason}", binary.display()))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn start_once(binary: &Path, args: &[OsString], port: Option<u16>) -> Result<TestServer, String> {
    let folder = make_folder().map_err(|error| format!("no folder for it: {error}"))?;
    let socket = folder.path().join("s");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", KEEPER, "sh"]).arg(folder.path()).arg(binary);
    // The socket is used even if there is a port: in our own folder, no other server can answer.
    command.arg("--unixsocket").arg(&socket).args(["--unixsocketperm", "700"]);
    command.args(["--bind", "127.0.0.1", "--port", &port.unwrap_or(0).to_string()]);
    command.arg("--dir").arg(folder.path()).args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.args(args);
    // A process group of its own keeps Ctrl-C from the server, which the owner may need for its
    // last writes. The null device keeps the shell from holding the pipes of a test runner that
    // waits for the end of these pipes.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut shell = command.spawn().map_err(|error| format!("/bin/sh can't be run: {error}"))?;
    let output = shell.stdout.take();
    let keeper = Keeper(shell);
    // From here on the shell removes the folder. It does so later than we would, and even if this
    // process is killed.
    let folder = folder.keep();

    let output = output.ok_or("its shell has no output")?;
    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(|error| error.to_string())?;
    let pid = read_pid(&mut output).await.map_err(|error| format!("no process id from its shell: {error}"))?;
    let mut rest = Vec::new();
    let ended = pin!(output.read_to_end(&mut rest));
    let answered = pin!(timeout(START_DEADLINE, wait_for_answer(&socket)));
    let problem = match select(answered, ended).await {
        Either::Left((Ok(()), _)) => {
            let url = match port {
                Some(port) => format!("redis://127.0.0.1:{port}/"),
                None => format!("redis+unix://{}", socket.display()),
            };
            return Ok(TestServer { url, port, pid, _keeper: keeper });
        }
        Either::Left((Err(_), _)) => format!("no answer within {START_DEADLINE:?}"),
        Either::Right(_) => "it ended".to_owned(),
    };
    Err(format!("{problem}; its log ends with:\n{}", log_tail(&folder.join("log"))))
}

fn make_folder() -> io::Result<TempDir> {
    let folder = std::env::temp_dir();
    // Other characters would need escapes in the address, and a long name does not fit in the path
    // of a socket.
    let plain = |path: &str| {
        path.len() <= FOLDER_MAX && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    };
    let folder =
        if folder.to_str().is_some_and(plain) && folder.is_absolute() { folder } else { PathBuf::from("/tmp") };
    tempfile::Builder::new().prefix("subc-").permissions(Permissions::from_mode(0o700)).tempdir_in(folder)
}

async fn read_pid(output: &mut pipe::Receiver) -> io::Result<u32> {
    let mut line = String::new();
    loop {
        match output.read_u8().await? {
            b'\n' => return line.parse().map_err(|_| io::Error::other(line)),
            byte => line.push(char::from(byte)),
        }
    }
}

async fn wait_for_answer(socket: &Path) {
    while !answers(socket).await.unwrap_or(false) {
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether the server answers, even if it refuses: with some arguments, it requires a password or a
/// primary.
async fn answers(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut reply = [0; 64];
    let length = stream.read(&mut reply).await?;
    Ok(length > 0 && !reply.starts_with(b"-LOADING"))
}

fn log_tail(log: &Path) -> String {
    const LINES: usize = 12;
    let log = fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
