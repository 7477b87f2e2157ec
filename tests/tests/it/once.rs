//! Replies that are lost on the way: what must happen once happens at most once, and the caller is
//! told.

use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::proxy::Proxy;
use subconscious_tests::{Fixture, with_protocol};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Counter {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    count: u64,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Ticket {
    #[column(primary_key, auto_increment)]
    number: u64,
    #[column(index)]
    who: String,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Versioned {
    #[column(primary_key)]
    id: u32,
    #[column(version)]
    version: u64,
}

#[tokio::test]
async fn a_lost_reply_is_an_outcome_that_is_not_known_and_nothing_happens_twice() {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let proxy = Proxy::start(&server).await;
    let f = Fixture::on(server.url()).await;
    let through = Db::open(&with_protocol(&proxy.url())).await.unwrap();
    let through = through.with_namespace(f.db.namespace()).unwrap();

    // Scripts are known to the server, so that the first reply is that of the call.
    for id in [1, 2, 3] {
        Counter { id, count: 0 }.save(&f.db).await.unwrap();
    }
    Ticket { number: 0, who: "a".into() }.save(&f.db).await.unwrap();
    let mut versioned = Versioned { id: 1, version: 0 };
    versioned.save(&f.db).await.unwrap();
    Counter::patch(&f.db, 3u32, |c| [c.count.set(0)]).await.unwrap();
    assert!(Counter::take(&f.db, 3u32).await.unwrap().is_some());

    let unknown = |error: Error, operation: &str, repeatable: bool| {
        let Error::OutcomeUnknown { operation: named, repeatable: safe, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*named, *safe), (operation, repeatable), "{error}");
        assert!(error.is_outcome_unknown() && error.is_connection());
        let words = if repeatable { "To repeat it is safe" } else { "To repeat it is not safe" };
        assert!(error.to_string().contains(words), "{error}");
    };
    // The connection is made anew by the first call after it broke, which may find out only then.
    let healed = async || {
        while Counter::exists(&through, 1u32).await.is_err() {}
    };

    proxy.cut_the_next_reply();
    let outcome = Counter::patch(&through, 1u32, |c| [c.count.incr(1)]).await;
    unknown(outcome.unwrap_err(), "patch", false);
    healed().await;
    assert_eq!(Counter::load(&f.db, 1u32).await.unwrap().unwrap().count, 1);

    proxy.cut_the_next_reply();
    let outcome = Counter::patch(&through, 1u32, |c| [c.count.set(9)]).await;
    unknown(outcome.unwrap_err(), "patch", true);
    healed().await;

    proxy.cut_the_next_reply();
    let mut ticket = Ticket { number: 0, who: "b".into() };
    unknown(ticket.save(&through).await.unwrap_err(), "save", false);
    assert_eq!(ticket.number, 0);
    healed().await;
    assert_eq!(Ticket::all().count(&f.db).await.unwrap(), 2);

    proxy.cut_the_next_reply();
    unknown(Counter::take(&through, 2u32).await.unwrap_err(), "take", false);
    healed().await;
    assert!(!Counter::exists(&f.db, 2u32).await.unwrap());

    // A save that is repeated says what it finds.
    proxy.cut_the_next_reply();
    unknown(versioned.save(&through).await.unwrap_err(), "save", true);
    healed().await;
    assert!(versioned.save(&through).await.unwrap_err().is_conflict());
    proxy.cut_the_next_reply();
    unknown(Counter { id: 7, count: 0 }.insert(&through).await.unwrap_err(), "insert", true);
    healed().await;
    assert!(Counter { id: 7, count: 0 }.insert(&through).await.unwrap_err().is_already_exists());
    proxy.cut_the_next_reply();
    unknown(Counter::delete_by_id(&through, 7u32).await.unwrap_err(), "delete", true);
    healed().await;
    assert!(!Counter::delete_by_id(&through, 7u32).await.unwrap());
    proxy.cut_the_next_reply();
    let second = Counter { id: 1, count: 0 }.expire(&through, std::time::Duration::from_secs(9)).await;
    unknown(second.unwrap_err(), "expire", true);
    healed().await;

    // Many at a time: each is unknown, and each was done once.
    for round in 0..20 {
        proxy.cut_the_next_reply();
        let patches = (0..10).map(|_| Counter::patch(&through, 1u32, |c| [c.count.incr(1)]));
        let outcomes = futures::future::join_all(patches).await;
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!(outcomes.into_iter().filter_map(Result::err).all(|error| error.is_outcome_unknown()));
        healed().await;
        let count = Counter::load(&f.db, 1u32).await.unwrap().unwrap().count;
        assert!(count <= 9 + 10 * (round + 1), "{count} after {round}, {failed} failed");
    }
    assert_eq!(proxy.cuts(), 28);

    // What was never sent did not happen, and is no such error.
    proxy.close();
    drop(server);
    let down = loop {
        match Counter::patch(&through, 1u32, |c| [c.count.incr(1)]).await.unwrap_err() {
            error if error.is_outcome_unknown() => {}
            error => break error,
        }
    };
    assert!(down.is_connection() && !down.is_outcome_unknown(), "{down:?}");
}

#[tokio::test]
async fn no_answer_in_time_is_an_outcome_that_is_not_known() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    Counter { id: 1, count: 0 }.save(&f.db).await.unwrap();
    Counter::patch(&f.db, 1u32, |c| [c.count.set(0)]).await.unwrap();
    let impatient = Db::builder().namespace(f.db.namespace()).response_timeout(std::time::Duration::from_millis(50));
    let impatient = impatient.open(&with_protocol(server.url())).await.unwrap();
    let () = f.run(redis::cmd("CLIENT").arg("PAUSE").arg(400).arg("WRITE")).await;
    let error = Counter::patch(&impatient, 1u32, |c| [c.count.incr(1)]).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error:?}");
    // The server may have dropped it together with the connection that was given up, or done it,
    // once.
    let () = f.run(redis::cmd("CLIENT").arg("UNPAUSE")).await;
    let patched = Counter::patch(&f.db, 1u32, |c| [c.count.incr(1)]).await.unwrap();
    let count = patched.get(|c| c.count).unwrap();
    assert!(count == 1 || count == 2, "{count}");
    assert_eq!(Counter::load(&f.db, 1u32).await.unwrap().unwrap().count, count);
}

/// So a program that was idle for the night, while the server or a router on the way closed the
/// connection, begins the day with a write that is done.
#[tokio::test]
async fn an_idle_connection_that_has_ended_is_made_again_before_a_write() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    Ticket { number: 0, who: "a".into() }.save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    Ticket { number: 0, who: "a".into() }.save(&f.db).await.unwrap();
    assert_eq!(Ticket::all().count(&f.db).await.unwrap(), 2);
}
