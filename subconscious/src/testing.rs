//! Private servers for tests and demos: see [`TestServer`].
//!
//! The server must end when its owner does, also when that is killed or keeps it in a static that
//! is never dropped, and without unsafe code. So its parent is not this process but a small shell
//! whose standard input is a pipe from here: whatever ends this process closes the pipe, and the
//! shell then kills the server and removes its folder. A parent-death signal would be shorter, but
//! is Linux' alone, needs unsafe code, and fires when the thread that started it ends.
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
/// The binaries looked for on `PATH`, best first.
const BINARIES: [&str; 2] = ["valkey-server", "redis-server"];
/// A start takes 20-70 ms; a machine that is busy with compiling takes longer.
const START_DEADLINE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// How often a start is tried when another process takes the port that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;
/// The longest folder name: a unix socket's path is limited to 103 bytes on macOS and 107 on Linux.
const FOLDER_MAX: usize = 80;

/// `$1` is the server's folder, the rest its command line.
///
/// - The server holds descriptor 3, so that its end is the end of the pipe that we read the process
///   id from.
/// - Signals are ignored, so that nothing but the end of the input ends the shell before it has
///   cleaned up; among them the one for a pipe that nobody reads, since we may be gone before the
///   process id is written.
/// - The server is killed hard: it has nothing to save, and may not have set its handler for softer
///   signals yet.
/// - The last line ends what else is in the process group: a server that a wrapper script started,
///   or a child that saves.
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

/// A private Redis-compatible server, for tests and demos; it keeps nothing, so it is not for
/// production.
///
/// It is a child process with a folder of its own (mode 0700), listens on a unix socket there, and
/// writes nothing to disk but its log. It ends when the value is dropped, and also when this
/// process ends in any way: by a panic, by `SIGKILL`, or while the value is in a static.
///
/// The binary is that of the environment variable `SUBCONSCIOUS_SERVER`, else `valkey-server` or
/// else `redis-server` on `PATH`. There are such servers on unix only, so this module is there on
/// unix only.
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
/// Many tests start faster with one server in a static, a `Db` for each test, and a
/// [`namespace`](crate::DbBuilder::namespace) for each.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct TestServer {
    url: String,
    port: Option<u16>,
    pid: u32,
    /// Only held: dropping it ends the server.
    _keeper: Keeper,
}

impl TestServer {
    /// Starts a server and waits until it answers, which takes 20 to 70 ms.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when no server is installed, or it did not start; then with the end
    /// of its log.
    ///
    /// # Cancel safety
    ///
    /// A server whose start is dropped half-way is ended.
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
    /// [`Error::Unsupported`] when there is none; it says what to install.
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
                Error::Unsupported(format!(
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

    /// Ends the server and returns when it is gone.
    ///
    /// Dropping does the same, but blocks its thread for the few milliseconds.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the server ends whether or not this is polled further; dropped before, it ends
    /// too.
    pub async fn stop(self) {
        // It can only fail where the runtime is shutting down, and then the drop has happened as
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
    /// A setting of the server with its value, such as `--maxmemory` and `10mb`.
    pub fn arg(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.args([name.as_ref(), value.as_ref()])
    }

    /// Arguments as they are, for settings with other than one value.
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
    /// [`Error::Unsupported`] when no server is installed, or it did not start; then with the end
    /// of its log.
    ///
    /// # Cancel safety
    ///
    /// A server whose start is dropped half-way is ended.
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
                // No way to reserve a port for another process exists: whoever lost the race tries
                // another.
                Err(reason) if reason.contains("Address already in use") && self.tcp && attempt < PORT_ATTEMPTS => {
                    attempt += 1
                }
                started => return started.map_err(|reason| failed(&binary, &reason)),
            }
        }
    }
}

/// The shell that the server is a child of.
#[derive(Debug)]
struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        // Closes the shell's input first, at which it ends the server. To wait is to know that the
        // server is gone.
        let _ = self.0.wait();
    }
}

fn failed(binary: &Path, reason: &str) -> Error {
    Error::Unsupported(format!("the server {} did not start: {reason}", binary.display()))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn start_once(binary: &Path, args: &[OsString], port: Option<u16>) -> Result<TestServer, String> {
    let folder = make_folder().map_err(|error| format!("no folder for it: {error}"))?;
    let socket = folder.path().join("s");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", KEEPER, "sh"]).arg(folder.path()).arg(binary);
    // The socket is there with a port too: in our own folder nobody else's server can be what
    // answers.
    command.arg("--unixsocket").arg(&socket).args(["--unixsocketperm", "700"]);
    command.args(["--bind", "127.0.0.1", "--port", &port.unwrap_or(0).to_string()]);
    command.arg("--dir").arg(folder.path()).args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.args(args);
    // An own group keeps Ctrl-C from the server, which its owner may need for its own last writes.
    // The null device keeps the shell from holding the pipes of a test runner that waits for their
    // end.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut shell = command.spawn().map_err(|error| format!("/bin/sh can't be run: {error}"))?;
    let output = shell.stdout.take();
    let keeper = Keeper(shell);
    // From here on the shell removes the folder, later than we would, and also if we are killed.
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
    // Other characters would need escapes in the address, and a long name does not fit a socket's.
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

/// Whether the server answers, be it with a refusal: some arguments ask for a password or for a
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
