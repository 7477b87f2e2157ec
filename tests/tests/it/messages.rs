//! What errors say: the truth, once, and what to do.

use std::error::Error as _;
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::door::Door;
use subconscious_tests::proxy::Proxy;
use subconscious_tests::{Fixture, with_protocol};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Note {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(index)]
    text: String,
}

/// With a number that Redis assigns beside a key that it does not.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Invoice {
    #[column(primary_key)]
    customer: String,
    #[column(auto_increment)]
    number: u32,
}

fn note(id: u64) -> Note {
    Note { id, text: "a".into() }
}

/// The messages of an error and of its sources. None has that of the next one in it.
fn messages(error: &Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    for pair in messages.windows(2) {
        assert!(!pair[0].contains(&pair[1]), "a source is repeated: {messages:#?}");
    }
    messages
}

/// What there is to do comes in a sentence of its own.
fn says(error: &Error, what: &str, advice: &str) {
    let messages = messages(error);
    assert!(messages[0].contains(what), "{messages:#?}");
    let (_, rest) = messages[0].split_once(". ").unwrap_or_else(|| panic!("one sentence: {messages:#?}"));
    assert!(rest.contains(advice), "{messages:#?}");
    assert!(!messages[0].contains("docs/"), "{messages:#?}");
}

fn code(error: &Error) -> Option<&str> {
    match error {
        Error::Redis(failure) => failure.code(),
        other => panic!("{other:?}"),
    }
}

async fn config(f: &Fixture, name: &str, value: &str) {
    let () = f.run(redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).await;
}

/// What a save and a bulk save say, of which the second catches the error in the script.
async fn refused(f: &Fixture) -> Vec<Error> {
    let mut many = [note(0)];
    let report = Note::save_many(&f.db, &mut many).await.unwrap();
    let mut errors = vec![note(0).save(&f.db).await.unwrap_err()];
    errors.extend(report.failed.into_iter().map(|(_, error)| error));
    assert_eq!(errors.len(), 2);
    errors
}

#[tokio::test]
async fn a_server_that_refuses_writes_is_told_apart_by_its_code_and_says_what_to_do() {
    let server = TestServer::builder().arg("--save", "1 1").tcp().start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    note(0).save(&f.db).await.unwrap();

    config(&f, "min-replicas-to-write", "1").await;
    for error in refused(&f).await {
        assert_eq!(code(&error), Some("NOREPLICAS"), "{error:?}");
        says(&error, "too few replicas", "min-replicas-to-write");
    }
    config(&f, "min-replicas-to-write", "0").await;

    config(&f, "maxmemory", "1").await;
    for error in refused(&f).await {
        assert_eq!(code(&error), Some("OOM"), "{error:?}");
        says(&error, "maxmemory", "delete records");
    }
    config(&f, "maxmemory", "0").await;

    // A folder in the place of its file.
    let folder: Vec<String> = f.run(redis::cmd("CONFIG").arg("GET").arg("dir")).await;
    std::fs::create_dir(std::path::Path::new(&folder[1]).join("dump.rdb")).unwrap();
    let () = f.run(&mut redis::cmd("BGSAVE")).await;
    loop {
        let info: String = f.run(redis::cmd("INFO").arg("persistence")).await;
        if info.contains("rdb_last_bgsave_status:err") {
            break;
        }
    }
    for error in refused(&f).await {
        assert_eq!(code(&error), Some("MISCONF"), "{error:?}");
        says(&error, "cannot save", "log");
    }
    config(&f, "stop-writes-on-bgsave-error", "no").await;

    let () = f.run(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await;
    for error in refused(&f).await {
        assert_eq!(code(&error), Some("READONLY"), "{error:?}");
        says(&error, "read-only replica", "primary");
    }
}

#[tokio::test]
async fn a_user_who_lacks_rights_is_told_what_in_words() {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    note(0).save(&f.db).await.unwrap();
    let user = ["SETUSER", "ann", "on", ">pw", "~*", "+@all", "-bitop", "-hget", "-zadd", "-bitcount", "-hmget"];
    let () = f.run(redis::cmd("ACL").arg(&user)).await;
    let host = server.url().strip_prefix("redis://").unwrap();
    let ann = Db::open(&with_protocol(&format!("redis://ann:pw@{host}"))).await.unwrap();
    let ann = ann.with_namespace(f.db.namespace()).unwrap();
    for error in [
        note(0).save(&ann).await.unwrap_err(),
        Note::load(&ann, 1u64).await.unwrap_err(),
        Note::filter_by(|n| !n.text.eq("x")).fetch(&ann).await.unwrap_err(),
    ] {
        says(&error, "lacks a right", "Users and their rights");
    }
}

#[tokio::test]
async fn a_connection_that_fails_says_so_once() {
    let down = Db::builder().retries(0).open("redis+unix:///nonexistent/socket").await.unwrap_err();
    says(&down, "/nonexistent/socket", "running");
    let server = TestServer::builder().tcp().start().await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = Db::builder().retries(0).open(&format!("redis://127.0.0.1:{port}")).await.unwrap_err();
    says(&refused, &port.to_string(), "running");
    // A name that there is not, and a server that speaks no TLS.
    messages(&Db::builder().retries(0).open("redis://no-such-host.invalid/").await.unwrap_err());
    messages(&Db::builder().retries(0).open(&server.url().replace("redis:", "rediss:")).await.unwrap_err());
    // Somebody who does not answer, and somebody who hangs up.
    let silent = Door::open(async |client| {
        let _client = client;
        std::future::pending::<()>().await;
    })
    .await;
    let timeout = Duration::from_millis(100);
    let builder = || Db::builder().retries(0).connection_timeout(timeout).response_timeout(timeout);
    let late = builder().open(&format!("redis://127.0.0.1:{}", silent.port)).await.unwrap_err();
    says(&late, "in time", "");
    let hangs_up = Door::open(async |_| {}).await;
    messages(&builder().open(&format!("redis://127.0.0.1:{}", hangs_up.port)).await.unwrap_err());

    // A write whose answer is lost, and one whose answer is late.
    let proxy = Proxy::start(&server).await;
    let db = Db::builder().response_timeout(timeout).open(&with_protocol(&proxy.url())).await.unwrap();
    note(0).save(&db).await.unwrap();
    proxy.cut_the_next_reply();
    let lost = note(1).save(&db).await.unwrap_err();
    assert!(lost.is_outcome_unknown(), "{lost:?}");
    says(&lost, "Note", "is safe");
    let direct = Fixture::on(server.url()).await;
    while Note::exists(&db, 1u64).await.is_err() {}
    let () = direct.run(redis::cmd("CLIENT").arg("PAUSE").arg(1000).arg("WRITE")).await;
    let late = note(0).save(&db).await.unwrap_err();
    assert!(late.is_outcome_unknown(), "{late:?}");
    says(&late, "Note", "not safe");
}

#[tokio::test]
async fn a_password_that_is_not_percent_encoded_is_said_to_be_that() {
    for url in [
        "redis://:pa/ss@127.0.0.1/",
        "redis://:pa#ss@127.0.0.1/",
        "redis://:pa?ss@127.0.0.1/",
        "redis://zed:12/34@127.0.0.1:6379/0",
        "redis://zed:12#34@127.0.0.1:6379/0",
        "redis://zed:12?34@127.0.0.1:6379/0",
        "rediss://zed:p/a@s#s?@127.0.0.1:6379/0",
        "redis+unix:///path/socket?user=zed&pass=12#34",
    ] {
        for error in [
            Db::builder().retries(0).open(url).await.unwrap_err(),
            Db::builder().sentinels([url]).open("redis://primary/").await.unwrap_err(),
            Db::builder().sentinels(["redis://127.0.0.1:1/"]).open(url).await.unwrap_err(),
        ] {
            says(&error, "address", "%2F");
            let shown = format!("{error} {error:?}");
            for part in ["pa/", "pa#", "pa?", "ss@", "34", "zed"] {
                assert!(!shown.contains(part), "a part of the password: {shown}");
            }
        }
    }
    for url in ["redis://127.0.0.1/first", "redis://:pass:word@host:port/", "redis://[::1/"] {
        let error = Db::builder().retries(0).open(url).await.unwrap_err();
        says(&error, "address", "redis://");
        assert!(!format!("{error:?}").contains("pass:word"), "{error:?}");
    }
    // With all of them, encoded.
    let server = TestServer::builder().arg("--requirepass", "/#?@:%").tcp().start().await.unwrap();
    let host = server.url().strip_prefix("redis://").unwrap();
    Db::open(&with_protocol(&format!("redis://:%2F%23%3F%40%3A%25@{host}"))).await.unwrap();
}

#[tokio::test]
async fn a_save_of_a_record_that_was_deleted_meanwhile_finds_none() {
    let f = Fixture::new().await;
    let mut kept = note(0);
    kept.save(&f.db).await.unwrap();
    let mut gone = note(0);
    gone.save(&f.db).await.unwrap();
    assert_eq!(gone.id, 2);
    assert!(Note::delete_by_id(&f.db, 2u64).await.unwrap());
    let error = gone.save(&f.db).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    says(&error, "{Note}:r:2", "");
    let mut many = [gone.clone(), kept.clone()];
    let report = Note::save_many(&f.db, &mut many).await.unwrap();
    assert!(matches!(&report.failed[..], [(0, error)] if error.is_not_found()), "{report:?}");
    assert!(gone.update(&f.db).await.unwrap_err().is_not_found());
    // An insert is of a new record, which has no number yet.
    let insert = gone.insert(&f.db).await.unwrap_err();
    assert!(matches!(insert, Error::BadData { column: "id", .. }), "{insert:?}");
    says(&insert, "2", "0");
    // Nobody has been given this number.
    for id in [3, 10, 777] {
        let never = note(id).save(&f.db).await.unwrap_err();
        assert!(matches!(never, Error::BadData { column: "id", .. }), "{never:?}");
        says(&never, &id.to_string(), "0");
    }
    assert_eq!(Note::all().count(&f.db).await.unwrap(), 1);

    let mut invoice = Invoice { customer: "a".into(), number: 0 };
    invoice.save(&f.db).await.unwrap();
    assert!(Invoice::delete_by_id(&f.db, "a").await.unwrap());
    let error = invoice.save(&f.db).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    let never = Invoice { customer: "b".into(), number: 2 }.save(&f.db).await.unwrap_err();
    assert!(matches!(never, Error::BadData { column: "number", .. }), "{never:?}");
    invoice.number = 0;
    invoice.save(&f.db).await.unwrap();
    let other = Invoice { customer: "a".into(), number: 1 }.save(&f.db).await.unwrap_err();
    assert!(matches!(other, Error::BadData { column: "number", .. }), "{other:?}");
    assert_eq!(invoice.number, 2);
}

#[tokio::test]
async fn a_time_limit_of_nothing_is_refused() {
    let server = TestServer::start().await.unwrap();
    for builder in [Db::builder().connection_timeout(Duration::ZERO), Db::builder().response_timeout(Duration::ZERO)] {
        let error = builder.open(server.url()).await.unwrap_err();
        assert!(matches!(error, Error::Configuration { .. }), "{error:?}");
        says(&error, "timeout", "longer");
    }
    // Less than the microseconds in which scripts count is still a budget: each call does a little.
    let db = Db::builder().query_budget(Duration::from_nanos(1)).open(server.url()).await.unwrap();
    note(0).save(&db).await.unwrap();
    assert_eq!(Note::filter_by(|n| n.text.eq("a")).count(&db).await.unwrap(), 1);
}
