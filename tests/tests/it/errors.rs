//! Bad input and bad circumstances: a clear error, and nothing half-written.

use std::collections::BTreeMap;

use futures::StreamExt;
use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::{Fixture, indexes, with_protocol};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Account {
    #[column(primary_key)]
    name: String,
    #[column(index, sort)]
    level: u8,
    #[column(index, sort)]
    balance: Option<i64>,
    #[column(index)]
    city: Option<String>,
    rate: f64,
    #[column(default = 7)]
    added_later: u32,
}

fn account(name: &str) -> Account {
    Account { name: name.into(), level: 3, balance: Some(10), city: Some("Bern".into()), rate: 0.5, added_later: 1 }
}

/// All keys with what they hold.
async fn snapshot(f: &Fixture) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut snapshot = BTreeMap::new();
    for key in f.keys().await {
        let whole = [f.key("").into_bytes(), key.clone()].concat();
        snapshot.insert(key, f.run(redis::cmd("DUMP").arg(whole)).await);
    }
    snapshot
}

#[tokio::test]
async fn a_stored_record_that_cannot_be_read_names_key_and_column_and_a_stream_goes_on() {
    let f = Fixture::new().await;
    for name in ["a", "b", "c", "d"] {
        account(name).save(&f.db).await.unwrap();
    }
    let key = |name: &str| f.key(&format!("{{Account}}:r:{name}"));
    let () = f.run(redis::cmd("HSET").arg(key("b")).arg("rate").arg("fast")).await;
    let () = f.run(redis::cmd("HDEL").arg(key("c")).arg("rate")).await;
    let () = f.run(redis::cmd("HDEL").arg(key("d")).arg("added_later")).await;

    let corrupt = Account::load(&f.db, "b").await.unwrap_err();
    assert!(matches!(corrupt, Error::Corrupt { model: "Account", column: Some("rate"), .. }), "{corrupt:?}");
    assert_eq!(
        corrupt.to_string(),
        format!("Account.rate: \"fast\" is not f64, in {}. Save the record anew, or delete it", key("b"))
    );
    let missing = Account::load(&f.db, "c").await.unwrap_err();
    assert!(matches!(missing, Error::MissingColumn { model: "Account", column: "rate", .. }), "{missing:?}");
    assert!(missing.to_string().contains(&key("c")), "{missing}");
    assert_eq!(Account::load(&f.db, "d").await.unwrap().unwrap().added_later, 7);

    let found: Vec<_> = Account::all().stream(&f.db).collect().await;
    let names: Vec<_> = found.iter().map(|found| found.as_ref().map(|account| account.name.as_str()).ok()).collect();
    assert_eq!(names, [Some("a"), None, None, Some("d")]);
    assert!(matches!(Account::all().fetch(&f.db).await, Err(Error::Corrupt { .. })));
    assert_eq!(Account::all().count(&f.db).await.unwrap(), 4);

    // A row number that is not one is said to be that, and the record is not made worse.
    let () = f.run(redis::cmd("HSET").arg(key("a")).arg("#").arg("many")).await;
    let before = snapshot(&f).await;
    assert!(matches!(account("a").save(&f.db).await, Err(Error::Corrupt { .. })));
    assert!(matches!(account("a").delete(&f.db).await, Err(Error::Corrupt { .. })));
    assert_eq!(snapshot(&f).await, before);
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_anything_is_sent() {
    let f = Fixture::new().await;
    let long = "x".repeat(1025);
    let cases = [
        ("rate", Account { rate: f64::NAN, ..account("a") }),
        ("city", Account { city: Some(long.clone()), ..account("a") }),
        ("name", account(&long)),
    ];
    for (wrong, mut record) in cases {
        let refused = record.save(&f.db).await.unwrap_err();
        let Error::BadData { model: "Account", column, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(*column, wrong, "{refused}");
    }
    assert!(matches!(Account::load(&f.db, &long).await, Err(Error::BadData { column: "name", .. })));
    assert_eq!(f.keys().await, [b""; 0]);

    let mut records = [account("a"), Account { rate: f64::NAN, ..account("b") }, account("c")];
    let report = Account::save_many(&f.db, &mut records).await.unwrap();
    assert_eq!(report.saved, 2);
    let [(1, Error::BadData { column: "rate", .. })] = report.failed[..] else { panic!("{report:?}") };
    assert!(Account::load(&f.db, "c").await.unwrap().is_some());

    // What fits exactly is kept and found.
    let longest = "é".repeat(512);
    let mut record = Account { city: Some(longest.clone()), ..account(&longest) };
    record.save(&f.db).await.unwrap();
    assert_eq!(Account::filter_by(|a| a.city.eq(&longest)).fetch(&f.db).await.unwrap(), [record]);
}

#[tokio::test]
async fn a_filter_value_that_cannot_be_stored_is_an_invalid_query() {
    let f = Fixture::new().await;
    #[derive(Debug, RedisModel)]
    struct Measure {
        #[column(primary_key)]
        id: u32,
        #[column(index, sort)]
        value: f64,
    }
    Measure { id: 1, value: 1.0 }.save(&f.db).await.unwrap();
    let invalid = Measure::filter_by(|m| m.value.eq(1.0) | !m.value.lt(f64::NAN)).fetch(&f.db).await.unwrap_err();
    assert!(matches!(invalid, Error::InvalidQuery { model: "Measure", .. }), "{invalid:?}");
    assert!(invalid.to_string().contains("value: NaN"), "{invalid}");
    let invalid = Account::filter_by(|a| a.city.eq("x".repeat(1025))).count(&f.db).await.unwrap_err();
    assert!(invalid.to_string().contains("at most 1024 bytes"), "{invalid}");
}

#[tokio::test]
async fn a_key_of_another_type_is_named_as_such_and_nothing_is_half_written() {
    let f = Fixture::new().await;
    // Enough for bitmaps, sets and a row to be used again.
    let mut many: Vec<_> = (0..200).map(|at| account(&format!("{at}"))).collect();
    Account::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap();
    assert!(many[5].delete(&f.db).await.unwrap());
    Account { level: 9, balance: None, city: None, ..account("other") }.save(&f.db).await.unwrap();
    assert!(many[6].delete(&f.db).await.unwrap());

    let keys = f.keys().await;
    let touched: Vec<_> = keys
        .iter()
        .filter(|key| !key.starts_with(b"{Account}:r:") || key.ends_with(b":r:7"))
        .filter(|key| !key.starts_with(b"{Account}:d:") || key.ends_with(b"d:0"))
        .collect();
    assert!(touched.len() >= 13, "{touched:?}");
    for key in touched {
        let whole = [f.key("").into_bytes(), key.clone()].concat();
        let aside = f.key("{Account}aside");
        let () = f.run(redis::cmd("RENAME").arg(&whole).arg(&aside)).await;
        let kind: String = f.run(redis::cmd("TYPE").arg(&aside)).await;
        let () = match kind.as_str() {
            "hash" => f.run(redis::cmd("SET").arg(&whole).arg("stray")).await,
            _ => f.run(redis::cmd("HSET").arg(&whole).arg("stray").arg(1)).await,
        };
        let before = snapshot(&f).await;
        // Changes every column of one record, replaces the only one of its values, inserts one and
        // deletes one.
        let changed = Account { level: 9, balance: None, city: None, ..account("7") };
        let back = account("other");
        let outcomes = [
            changed.clone().save(&f.db).await.err(),
            back.clone().save(&f.db).await.err(),
            Account { level: 9, balance: None, city: None, ..account("new") }.save(&f.db).await.err(),
            account("7").delete(&f.db).await.err(),
        ];
        // Divided values are written where a container appears or vanishes, and here none does.
        let divided = key.starts_with(b"{Account}:n:");
        assert!(divided || outcomes.iter().any(Option::is_some), "{} was not noticed", key.escape_ascii());
        for error in outcomes.iter().flatten() {
            assert!(matches!(error, Error::Corrupt { model: "Account", .. }), "{}: {error}", key.escape_ascii());
            assert!(error.to_string().contains("Account"), "{error}");
        }
        if outcomes.iter().all(Option::is_some) {
            assert_eq!(snapshot(&f).await, before, "{}", key.escape_ascii());
        }
        let () = f.run(redis::cmd("RENAME").arg(&aside).arg(&whole)).await;
        // Back to where it was, by whichever of the writes went through.
        let name = |name: &str| name.to_owned();
        for (name, record) in [(name("7"), Some(account("7"))), (name("new"), None)] {
            match record {
                Some(mut record) => record.save(&f.db).await.unwrap(),
                None => drop(Account::delete_by_id(&f.db, name).await.unwrap()),
            }
        }
        Account { level: 9, balance: None, city: None, ..account("other") }.save(&f.db).await.unwrap();
    }
}

#[derive(Debug, Clone, RedisModel)]
struct Event {
    #[column(primary_key)]
    name: String,
    #[column(sort)]
    begins: i64,
    #[column(sort)]
    ends: i64,
    #[column(sort)]
    title: String,
}

/// The sorted sets of a new record are written before their types are known.
#[tokio::test]
async fn a_new_record_leaves_nothing_if_a_later_sorted_set_is_of_another_type() {
    let f = Fixture::new().await;
    let event = |at: i64| Event { name: format!("{at}"), begins: at, ends: at + 1, title: format!("t{at}") };
    for at in 0..20 {
        event(at).save(&f.db).await.unwrap();
    }
    assert!(event(3).delete(&f.db).await.unwrap());
    for key in ["s:begins", "s:ends", "s:title", "c:ends:0"] {
        let (key, aside) = (f.key(&format!("{{Event}}:{key}")), f.key("{Event}aside"));
        let () = f.run(redis::cmd("RENAME").arg(&key).arg(&aside)).await;
        let () = f.run(redis::cmd("HSET").arg(&key).arg("stray").arg(1)).await;
        let before = snapshot(&f).await;
        for (at, many) in [(3, false), (100, false), (3, true)] {
            let mut events = [event(at)];
            let error = if many {
                Event::save_many(&f.db, &mut events)
                    .await
                    .and_then(|report| report.into_result().map(drop))
                    .unwrap_err()
            } else {
                event(at).save(&f.db).await.unwrap_err()
            };
            assert!(matches!(error, Error::Corrupt { model: "Event", .. }), "{key}: {error:?}");
            assert_eq!(snapshot(&f).await, before, "{key}");
        }
        let () = f.run(redis::cmd("RENAME").arg(&aside).arg(&key)).await;
    }
    indexes::assert_exact::<Event>(&f).await;
}

#[tokio::test]
async fn a_server_that_is_down_or_refuses_the_password_says_so() {
    let down = Db::builder().retries(0).open("redis+unix:///nonexistent/socket").await.unwrap_err();
    assert!(matches!(down, Error::Redis(_)) && down.is_connection(), "{down:?}");
    assert!(down.to_string().contains("/nonexistent/socket: no server answers. See whether it is running"), "{down}");

    let server = TestServer::builder().arg("--requirepass", "secret").tcp().start().await.unwrap();
    let refused = Db::builder().retries(0).open(&with_protocol(server.url())).await.unwrap_err();
    assert!(refused.to_string().contains("Check those in the URL"), "{refused}");
    let address = server.url().strip_prefix("redis://").unwrap();
    let wrong = Db::builder().retries(0).open(&with_protocol(&format!("redis://:hidden@{address}"))).await.unwrap_err();
    assert!(wrong.to_string().contains("Check those in the URL"), "{wrong}");
    assert!(!format!("{wrong:?}").contains("hidden"), "a password in an error: {wrong:?}");
    let db = Db::open(&with_protocol(&format!("redis://:secret@{address}"))).await.unwrap();
    assert!(!format!("{db:?}").contains("secret"));
    assert!(!Account::exists(&db, "a").await.unwrap());
    db.ping().await.unwrap();
    let impatient = Db::builder().retries(0).open(&with_protocol(&format!("redis://:secret@{address}"))).await.unwrap();
    server.stop().await;
    let gone = impatient.ping().await.unwrap_err();
    assert!(gone.is_connection() && gone.is_unavailable(), "{gone:?}");
    let unsupported = Db::open("http://127.0.0.1/").await.unwrap_err();
    assert!(unsupported.to_string().contains("redis"), "{unsupported}");
}

#[tokio::test]
async fn users_and_databases_are_taken_from_the_address() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let () = f.run(redis::cmd("ACL").arg(&["SETUSER", "ann", "on", ">pw", "~*", "+@all"])).await;
    let path = server.url().strip_prefix("redis+unix://").unwrap();
    let ann = Db::open(&with_protocol(&format!("redis+unix://{path}?db=3&user=ann&pass=pw"))).await.unwrap();
    account("in three").save(&ann).await.unwrap();
    let three = Fixture::on(&format!("redis+unix://{path}?db=3")).await;
    let keys: Vec<String> = three.run(redis::cmd("KEYS").arg("*:r:*")).await;
    assert_eq!(keys, ["{Account}:r:in three"]);
    assert!(!Account::exists(&Db::open(server.url()).await.unwrap(), "in three").await.unwrap());
}

#[tokio::test]
async fn a_full_server_says_so_and_still_answers_queries() {
    let server = TestServer::builder()
        .arg("--maxmemory", "100mb")
        .arg("--maxmemory-policy", "noeviction")
        .start()
        .await
        .unwrap();
    let f = Fixture::on(server.url()).await;
    let mut many: Vec<_> = (0..300).map(|at| account(&format!("{at}"))).collect();
    Account::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap();
    let () = f.run(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1mb")).await;
    let before = snapshot(&f).await;
    let full = account("more").save(&f.db).await.unwrap_err();
    assert!(matches!(&full, Error::Redis(failure) if failure.code() == Some("OOM")), "{full:?}");
    assert!(full.to_string().contains("maxmemory"), "{full}");
    assert_eq!(snapshot(&f).await, before);
    assert_eq!(Account::filter_by(|a| !a.city.eq("Bern") | a.level.eq(3)).count(&f.db).await.unwrap(), 300);
    assert_eq!(Account::filter_by(|a| !a.level.eq(1)).limit(2).fetch(&f.db).await.unwrap().len(), 2);
    assert!(account("7").delete(&f.db).await.unwrap());
}

#[tokio::test]
async fn a_read_only_replica_says_so() {
    let server = TestServer::builder().arg("--replicaof", "127.0.0.1 1").start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let refused = account("a").save(&f.db).await.unwrap_err();
    assert!(refused.to_string().contains("read-only replica. Connect to the primary"), "{refused}");
}

#[tokio::test]
async fn a_program_with_other_indexes_is_refused() {
    mod newer {
        use subconscious::RedisModel;

        #[derive(Debug, RedisModel)]
        pub(super) struct Account {
            #[column(primary_key)]
            pub(super) name: String,
            #[column(index, sort)]
            pub(super) rate: f64,
        }
    }
    let f = Fixture::new().await;
    account("a").save(&f.db).await.unwrap();
    let before = snapshot(&f).await;
    let errors = [
        newer::Account { name: "a".into(), rate: 1.0 }.save(&f.db).await.unwrap_err(),
        newer::Account::delete_by_id(&f.db, "a").await.unwrap_err(),
        newer::Account::filter_by(|a| a.rate.eq(0.5)).fetch(&f.db).await.unwrap_err(),
        newer::Account::all().count(&f.db).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Schema { model: "Account", .. }), "{error:?}");
        assert!(error.to_string().contains("rate:f64"), "{error}");
    }
    assert_eq!(snapshot(&f).await, before);
    // An empty model has no index that could be wrong.
    assert!(account("a").delete(&f.db).await.unwrap());
    newer::Account { name: "a".into(), rate: 1.0 }.save(&f.db).await.unwrap();
    assert_eq!(newer::Account::filter_by(|a| a.rate.eq(1.0)).count(&f.db).await.unwrap(), 1);
}

#[tokio::test]
async fn a_script_that_the_server_lost_is_loaded_again() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let flush = || async { f.run::<()>(redis::cmd("SCRIPT").arg("FLUSH")).await };
    account("a").save(&f.db).await.unwrap();
    flush().await;
    account("b").save(&f.db).await.unwrap();
    flush().await;
    let mut many: Vec<_> = (0..700).map(|at| account(&format!("{at}"))).collect();
    assert_eq!(Account::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap(), 700);
    flush().await;
    assert_eq!(Account::all().fetch(&f.db).await.unwrap().len(), 702);
    flush().await;
    assert!(account("a").delete(&f.db).await.unwrap());
    flush().await;
    assert_eq!(Account::delete_many(&f.db, (0..600).map(|at| format!("{at}"))).await.unwrap().deleted, 600);
    flush().await;
    let soon = std::time::Duration::from_secs(1000);
    account("b").expire(&f.db, soon).await.unwrap();
    flush().await;
    // Two scripts in one pipeline, of which neither is known, and then one.
    assert_eq!(Account::all().fetch(&f.db).await.unwrap().len(), 101);
    flush().await;
    assert_eq!(Account::purge_expired(&f.db).await.unwrap(), 0);
    assert_eq!(Account::all().count(&f.db).await.unwrap(), 101);
    flush().await;
    assert!(Account::check(&f.db).await.unwrap().is_clean());
    flush().await;
    assert!(Account::take(&f.db, "b").await.unwrap().is_some());
}

#[tokio::test]
async fn a_script_that_the_server_loses_again_and_again_is_no_error() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut redis = f.redis.clone();
    let flushing = tokio::spawn(async move {
        loop {
            let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.unwrap();
        }
    });
    for _ in 0..20 {
        account("a").save(&f.db).await.unwrap();
        assert_eq!(Account::filter_by(|a| a.level.eq(3)).count(&f.db).await.unwrap(), 1);
        let mut many: Vec<_> = (0..100).map(|at| account(&format!("{at}"))).collect();
        assert_eq!(Account::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap(), 100);
        let ids = many.into_iter().map(|account| account.name);
        assert_eq!(Account::delete_many(&f.db, ids).await.unwrap().into_result().unwrap(), 100);
        assert!(Account::take(&f.db, "a").await.unwrap().is_some());
    }
    flushing.abort();
}

#[tokio::test]
async fn a_server_without_tls_is_an_error_and_no_panic() {
    let server = TestServer::builder().tcp().start().await.unwrap();
    let url = server.url().replace("redis://", "rediss://");
    let refused = Db::builder().retries(0).open(&url).await.unwrap_err();
    assert!(refused.is_connection(), "{refused:?}");
}

#[tokio::test]
async fn a_connection_of_the_callers_is_used() {
    let server = TestServer::start().await.unwrap();
    let client = redis::Client::open(with_protocol(server.url())).unwrap();
    let namespace = "of the caller";
    let manager = Db::from_connection_manager(client.get_connection_manager().await.unwrap()).await.unwrap();
    let multiplexed = client.get_multiplexed_async_connection().await.unwrap();
    let multiplexed = Db::from_multiplexed_connection(multiplexed).await.unwrap();
    account("a").save(&manager.with_namespace(namespace).unwrap()).await.unwrap();
    assert!(Account::exists(&multiplexed.with_namespace(namespace).unwrap(), "a").await.unwrap());
}
