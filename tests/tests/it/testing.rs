//! The test kit itself: its servers answer, keep apart, and never outlive their owner.

use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use subconscious::Db;
use subconscious::testing::{TestServer, TestServerBuilder};
use subconscious_tests::child::{child, told};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

async fn connect(server: &TestServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap_or_else(|error| panic!("{error}"));
    client.get_multiplexed_async_connection().await.unwrap_or_else(|error| panic!("{error}"))
}

async fn run<T: redis::FromRedisValue>(server: &TestServer, command: &mut redis::Cmd) -> T {
    command.query_async(&mut connect(server).await).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn is_running(pid: u32) -> bool {
    let script = format!("kill -0 {pid} 2>/dev/null");
    Command::new("/bin/sh").args(["-c", &script]).status().await.is_ok_and(|status| status.success())
}

fn folder(server: &TestServer) -> &Path {
    let socket = server.url().strip_prefix("redis+unix://").unwrap_or_else(|| panic!("{}", server.url()));
    Path::new(socket).parent().unwrap_or_else(|| panic!("{socket}"))
}

async fn start_error(builder: TestServerBuilder) -> String {
    match builder.start().await {
        Ok(server) => panic!("it started: {server:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_server_answers_under_its_process_id() {
    let server = TestServer::start().await.unwrap();
    assert_eq!(run::<String>(&server, &mut redis::cmd("PING")).await, "PONG");
    let info: String = run(&server, redis::cmd("INFO").arg("server")).await;
    assert!(info.contains(&format!("process_id:{}\r\n", server.pid())), "{info}");
    Db::open(server.url()).await.unwrap();
}

#[tokio::test]
async fn a_server_is_gone_when_its_drop_returns() {
    let server = TestServer::start().await.unwrap();
    let (pid, folder) = (server.pid(), folder(&server).to_owned());
    assert!(is_running(pid).await && folder.exists());
    drop(server);
    assert!(!is_running(pid).await && !folder.exists());
}

#[tokio::test]
async fn a_server_is_gone_when_its_stop_returns() {
    let server = TestServer::start().await.unwrap();
    let (pid, folder) = (server.pid(), folder(&server).to_owned());
    server.stop().await;
    assert!(!is_running(pid).await && !folder.exists());
}

#[tokio::test]
async fn two_servers_at_once_do_not_collide() {
    for builder in [TestServer::builder(), TestServer::builder().tcp()] {
        let (one, two) = tokio::join!(builder.clone().start(), builder.start());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.url(), two.url());
        run::<()>(&one, redis::cmd("SET").arg("name").arg("one")).await;
        run::<()>(&two, redis::cmd("SET").arg("name").arg("two")).await;
        assert_eq!(run::<String>(&one, redis::cmd("GET").arg("name")).await, "one");
        assert_eq!(run::<String>(&two, redis::cmd("GET").arg("name")).await, "two");
    }
}

#[tokio::test]
async fn many_servers_on_ports_at_once_do_not_collide() {
    let starts = (0..16).map(|_| TestServer::builder().tcp().start());
    let servers = futures::future::try_join_all(starts).await.unwrap();
    for server in &servers {
        assert!(server.url().starts_with("redis://127.0.0.1:"), "{}", server.url());
        let info: String = run(server, redis::cmd("INFO").arg("server")).await;
        assert!(info.contains(&format!("process_id:{}\r\n", server.pid())), "{}: {info}", server.url());
    }
}

#[tokio::test]
async fn arguments_reach_the_server() {
    let server = TestServer::builder().arg("--maxmemory", "10mb").args(["--save", "900 1"]).start().await.unwrap();
    let maxmemory: (String, u64) = run(&server, redis::cmd("CONFIG").arg("GET").arg("maxmemory")).await;
    assert_eq!(maxmemory.1, 10 << 20);
}

#[tokio::test]
async fn a_server_that_wants_a_password_starts() {
    let server = TestServer::builder().arg("--requirepass", "secret").start().await.unwrap();
    let url = format!("{}?pass=secret", server.url());
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap(), "PONG");
}

#[tokio::test]
async fn a_bad_argument_is_an_error_with_the_servers_own_words() {
    let error = start_error(TestServer::builder().arg("--no-such-setting", "1")).await;
    assert!(error.contains("did not start: it ended"), "{error}");
    assert!(error.contains("no-such-setting"), "{error}");
}

#[tokio::test]
async fn a_binary_that_does_not_exist_is_an_error_that_names_it() {
    let error = start_error(TestServer::builder().binary("/no/such/server")).await;
    assert!(error.contains("/no/such/server did not start: it ended"), "{error}");
}

#[tokio::test]
async fn a_server_is_gone_after_its_owner_was_killed() {
    its_end_is_the_servers("killed").await;
}

#[tokio::test]
async fn a_server_in_a_static_is_gone_after_its_owner_left() {
    its_end_is_the_servers("exits").await;
}

#[tokio::test]
async fn a_server_is_gone_after_its_owner_aborted() {
    its_end_is_the_servers("aborts").await;
}

#[tokio::test]
async fn a_start_that_is_dropped_half_way_leaves_nothing() {
    // A process of its own has a folder of its own for temporary files, where nobody else's servers
    // are.
    let folder = std::env::temp_dir().join(format!("subc-test-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let owner = owner("starts and drops").env("TMPDIR", &folder).output().await.unwrap();
    let left = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(owner.status.success(), "{}", String::from_utf8_lossy(&owner.stdout));
    assert_eq!(left, 0);
}

fn owner(how: &str) -> Command {
    child("testing::an_owner_of_a_server", how)
}

async fn its_end_is_the_servers(how: &str) {
    let mut owner = owner(how).spawn().unwrap_or_else(|error| panic!("{error}"));
    let output = owner.stdout.take().unwrap_or_else(|| panic!("the owner has no output"));
    let mut lines = BufReader::new(output).lines();
    let (pid, folder) = loop {
        let line = lines.next_line().await.unwrap_or_else(|error| panic!("{error}"));
        let line = line.unwrap_or_else(|| panic!("the owner said nothing of a server"));
        // The test runner may have begun the line, with the name of the test.
        if let Some((_, server)) = line.rsplit_once("server ")
            && let Some((pid, folder)) = server.split_once(' ')
        {
            break (pid.parse::<u32>().unwrap_or_else(|error| panic!("{line}: {error}")), folder.to_owned());
        }
    };
    if how == "killed" {
        assert!(is_running(pid).await);
        owner.start_kill().unwrap_or_else(|error| panic!("{error}"));
    }
    // Also shows that the server and its shell do not hold the owner's output.
    while lines.next_line().await.is_ok_and(|line| line.is_some()) {}
    let _ = owner.wait().await;
    eventually("the server is gone", || async { !is_running(pid).await }).await;
    eventually("its folder is gone", || async { !Path::new(&folder).exists() }).await;
}

/// Not a test: the process that [`its_end_is_the_servers`] starts.
#[tokio::test]
#[ignore = "run by other tests, in a process of its own"]
async fn an_owner_of_a_server() {
    let Some(how) = told() else { return };
    if how == "starts and drops" {
        for wait in [0, 1, 2, 5, 10, 20] {
            let _ = timeout(Duration::from_millis(wait), TestServer::start()).await;
        }
        return;
    }
    let server = Box::leak(Box::new(TestServer::start().await.unwrap()));
    println!("server {} {}", server.pid(), folder(server).display());
    match how.as_str() {
        "exits" => std::process::exit(0),
        "aborts" => std::process::abort(),
        _ => sleep(Duration::from_secs(60)).await,
    }
}

async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let until = async {
        while !check().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), until).await.unwrap_or_else(|_| panic!("not within 10 s: {what}"));
}
