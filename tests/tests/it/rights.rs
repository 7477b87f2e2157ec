//! Passwords, and users who may do only what docs/src/rights.md says.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use subconscious::testing::TestServer;
use subconscious::{Db, Error, Query, RedisModel, Result};
use subconscious_tests::{Fixture, with_protocol};
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../../../docs/src/rights.md");

/// Of the name that the lines in the document have, with a column of each kind that has keys or
/// commands of its own.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct User {
    #[column(primary_key)]
    id: Uuid,
    #[column(auto_increment)]
    number: u64,
    #[column(unique)]
    email: String,
    #[column(index, sort)]
    age: u8,
    #[column(index)]
    city: Option<u16>,
    #[column(sort)]
    joined: Option<i64>,
    #[column(sort)]
    name: String,
    #[column(index)]
    tags: Vec<String>,
    visits: i64,
}

/// With other indexes.
mod newer {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct User {
        #[column(primary_key)]
        id: Uuid,
        #[column(index)]
        number: u64,
        #[column(unique)]
        email: String,
        #[column(sort)]
        age: u8,
        #[column(index, sort)]
        visits: i64,
    }
}

fn user(at: u32) -> User {
    User {
        id: Uuid::from_u128(u128::from(at)),
        number: 0,
        email: format!("{at}@example.org"),
        age: (at % 6) as u8,
        // Some values are common, two are rare.
        city: (!at.is_multiple_of(7)).then_some(match at % 100 {
            99 => 9,
            98 => 8,
            _ => (at % 3) as u16,
        }),
        joined: (!at.is_multiple_of(11)).then(|| i64::from(at * 7_919 % 3_001)),
        name: format!("n{}", at % 50),
        tags: vec![format!("t{}", at % 4)],
        visits: 0,
    }
}

/// The line of the document that makes this user, as a command.
fn line(user: &str) -> Vec<String> {
    let begin = format!("ACL SETUSER {user} ");
    let line = DOCUMENT.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no line of {user}"));
    line.split(' ').map(str::to_owned).collect()
}

fn commands(line: &[String]) -> Vec<String> {
    line.iter().filter_map(|word| word.strip_prefix('+').map(str::to_owned)).collect()
}

/// A server with users, as its owner sees it.
struct Served {
    server: TestServer,
    f: Fixture,
    /// All may be done here.
    owner: Db,
}

impl Served {
    async fn start() -> Self {
        let server = TestServer::builder().tcp().start().await.unwrap();
        let f = Fixture::on(server.url()).await;
        let owner = f.db.with_namespace("shop").unwrap();
        Self { server, f, owner }
    }

    async fn run<T: redis::FromRedisValue>(&self, line: &[String]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(line);
        self.f.run(&mut command).await
    }

    /// Makes a user, and opens the server as that one.
    async fn open(&self, line: &[String]) -> Result<Db> {
        self.run::<()>(line).await;
        let host = self.server.url().strip_prefix("redis://").unwrap();
        let url = format!("redis://{}:password@{host}", line[2]);
        Db::builder().namespace("shop").retries(0).open(&with_protocol(&url)).await
    }

    async fn save(&self, users: std::ops::Range<u32>) {
        let mut users: Vec<_> = users.map(user).collect();
        User::save_many(&self.owner, &mut users).await.unwrap().into_result().unwrap();
    }

    /// Begins anew, with no records and no scripts.
    async fn clear(&self) {
        for command in ["FLUSHALL", "SCRIPT FLUSH"] {
            self.run::<()>(&command.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
        }
    }

    /// The commands that were called since the last time, but for those that the tests themselves
    /// call.
    async fn called(&self) -> BTreeSet<String> {
        let stats: String = self.f.run(redis::cmd("INFO").arg("commandstats")).await;
        self.f.run::<()>(redis::cmd("CONFIG").arg("RESETSTAT")).await;
        let names = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
        // A connection that was idle is tried by PING, whose refusal does no harm.
        let own = ["info", "hello", "auth", "flushall", "script|flush", "config|resetstat", "client|setinfo", "ping"];
        names.filter(|name| !own.contains(name) && !name.starts_with("acl")).map(str::to_owned).collect()
    }
}

/// Loads and what else asks for one record.
async fn load(db: &Db) -> Result<()> {
    User::load(db, Uuid::from_u128(3)).await?;
    User::load_many(db, (0..9).map(Uuid::from_u128)).await?;
    User::exists(db, Uuid::from_u128(3)).await?;
    User::ttl(db, Uuid::from_u128(3)).await?;
    Ok(())
}

/// Queries of all kinds, in small pieces and whole.
async fn query(db: &Db) -> Result<()> {
    let some = || User::filter_by(|u| u.city.eq(1u16) & !u.tags.contains("t1"));
    let queries: Vec<Query<User>> = vec![
        User::all(),
        some(),
        User::filter_by(|u| u.email.eq("7@example.org")),
        User::filter_by(|u| u.city.is_none() | u.tags.contains("t2") | u.age.lt(2)),
        User::filter_by(|u| u.city.eq(9u16) & u.tags.contains("t3")),
        User::filter_by(|u| u.city.is_in([8u16, 9]) & u.age.le(4)),
        User::filter_by(|u| u.joined.gt(500) & u.city.is_some()),
        User::filter_by(|u| u.joined.between(100, 140)),
        User::filter_by(|u| u.name.starts_with("n4")).order_by(|u| u.name.asc()),
        User::all().order_by(|u| u.joined.desc()),
        User::all().order_by(|u| u.joined.asc()),
        some().order_by(|u| u.joined.desc()),
        some().order_by(|u| u.joined.asc()),
        User::filter_by(|u| u.city.eq(1u16) & u.age.eq(1) & u.tags.contains("t1")).order_by(|u| u.joined.desc()),
        some().order_by(|u| u.age.asc()),
        some().order_by(|u| u.age.desc()).order_by(|u| u.joined.asc().nulls_first()),
    ];
    for budget in [Duration::ZERO, Duration::from_secs(1)] {
        let db = &db.with_query_budget(budget);
        for query in &queries {
            query.ids(db).try_collect::<Vec<_>>().await?;
            query.count(db).await?;
            query.clone().limit(10).fetch(db).await?;
            query.clone().limit(700).fetch(db).await?;
            let page = query.clone().limit(20).page(db).await?;
            query.clone().limit(20).after(page.next).page(db).await?;
            query.count_by(db, |u| u.city).await?;
            query.sum(db, |u| u.joined).await?;
        }
        let query = some().order_by(|u| u.joined.desc());
        query.first(db).await?;
        query.exists(db).await?;
        query.explain(db).await?;
        query.select(|u| (u.email, u.age)).fetch(db).await?;
        some().min(db, |u| u.joined).await?;
        some().max(db, |u| u.age).await?;
        some().count_by(db, |u| u.tags).await?;
        some().avg(db, |u| u.age).await?;
    }
    Ok(())
}

/// The verbs that write, on few records. What others did by then is only in `served`.
async fn write(db: &Db, served: &Served) -> Result<()> {
    let mut one = user(0);
    one.save(db).await?;
    let mut many: Vec<_> = (1..300).map(user).collect();
    User::save_many(db, &mut many).await?.into_result()?;
    user(300).insert(db).await?;
    one.age = 4;
    one.update(db).await?;
    one.reload(db).await?;
    User::patch(db, one.id, |u| [u.visits.incr(3), u.city.clear(), u.tags.set(vec!["new".to_owned()])]).await?;
    one.expire(db, Duration::from_secs(1_000)).await?;
    User::patch(db, one.id, |u| [u.age.set(2)]).await?;
    User::filter_by(|u| u.age.eq(3)).patch(db, |u| u.visits.incr(1)).await?;
    one.persist(db).await?;
    one.expire(db, Duration::from_secs(1_000)).await?;
    load(db).await?;
    User::take(db, one.id).await?;
    // Bitmaps become sets again, and rows are used again.
    many[7].delete(db).await?;
    User::delete_many(db, (20..220).map(Uuid::from_u128)).await?.into_result()?;
    user(301).save(db).await?;
    User::filter_by(|u| u.age.eq(0)).delete(db).await?;
    user(302).save(db).await?;
    for expired in [user(302), user(301)] {
        expired.expire(db, Duration::from_millis(1)).await?;
        while User::exists(&served.owner, expired.id).await? {
            tokio::task::yield_now().await;
        }
        // The first is removed by the query, the second by hand.
        if expired.email.starts_with("302") {
            User::all().count(db).await?;
        } else {
            User::purge_expired(db).await?;
        }
    }
    user(298).expire(db, Duration::from_secs(1_000)).await?;
    User::check(db).await?;
    // A record that somebody else deleted, and an index that somebody else changed.
    let gone = format!("shop:{{User}}:r:{}", Uuid::from_u128(299));
    served.f.run::<()>(redis::cmd("DEL").arg(gone)).await;
    served.f.run::<()>(redis::cmd("ZREM").arg("shop:{User}:s:joined").arg(&0u32.to_be_bytes())).await;
    served.f.run::<()>(redis::cmd("SADD").arg("shop:{User}:l:city:1").arg(9_999)).await;
    User::repair(db).await?;
    newer::User::migrate(db).await?;
    User::migrate(db).await?;
    User::drop_unused_indexes(db).await?;
    User::rewrite(db, |_| ()).await?;
    // The last record takes all with it.
    User::all().delete(db).await?;
    Ok(())
}

/// An error of a command that was taken away, which has to name it.
fn assert_names(error: &Error, command: &str) {
    let text = error.to_string();
    assert!(text.contains(&format!("'{command}'")), "{command} was taken away, and the error is: {text}");
    assert!(text.contains("Users and their rights"), "{text}");
}

#[tokio::test]
async fn a_user_with_the_rights_of_a_program_can_do_everything_and_needs_each_of_them() {
    let (served, stored) = tokio::join!(Served::start(), Served::start());
    stored.save(0..2_500).await;
    let line = line("program");
    let (db, queried) = (served.open(&line).await.unwrap(), stored.open(&line).await.unwrap());
    served.called().await;
    stored.called().await;
    write(&db, &served).await.unwrap();
    query(&queried).await.unwrap();
    let called: BTreeSet<String> = &served.called().await | &stored.called().await;
    assert_eq!(called, commands(&line).into_iter().collect());

    for command in commands(&line) {
        let less: Vec<String> = line.iter().filter(|word| **word != format!("+{command}")).cloned().collect();
        served.clear().await;
        let mut outcome = write(&served.open(&less).await.unwrap(), &served).await;
        if outcome.is_ok() {
            outcome = query(&stored.open(&less).await.unwrap()).await;
        }
        assert_names(&outcome.expect_err(&command), &command);
    }
}

#[tokio::test]
async fn a_reader_can_do_what_reads_needs_each_of_its_rights_and_changes_nothing() {
    let served = Served::start().await;
    served.save(0..2_500).await;
    // Where one expires some day, the time is asked for.
    user(5).expire(&served.owner, Duration::from_secs(1_000)).await.unwrap();
    let line = line("reader");
    let db = served.open(&line).await.unwrap();
    served.called().await;
    load(&db).await.unwrap();
    query(&db).await.unwrap();
    assert_eq!(served.called().await, commands(&line).into_iter().collect());

    for command in commands(&line) {
        let less: Vec<String> = line.iter().filter(|word| **word != format!("+{command}")).cloned().collect();
        served.run::<()>(&["SCRIPT".to_owned(), "FLUSH".to_owned()]).await;
        let db = served.open(&less).await.unwrap();
        let mut outcome = load(&db).await;
        if outcome.is_ok() {
            outcome = query(&db).await;
        }
        assert_names(&outcome.expect_err(&command), &command);
    }

    let db = served.open(&line).await.unwrap();
    let mut one = user(3);
    one.number = 4;
    let errors = [
        one.save(&db).await.unwrap_err(),
        one.delete(&db).await.unwrap_err(),
        User::patch(&db, one.id, |u| [u.age.set(9)]).await.unwrap_err(),
        User::filter_by(|u| u.age.eq(1)).delete(&db).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("the user lacks a right: "), "{error}");
    }
    // By hand, too: what its commands could write it may not.
    let host = served.server.url().strip_prefix("redis://").unwrap();
    let client = redis::Client::open(format!("redis://reader:password@{host}")).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for words in ["DEL shop:{User}:meta", "SET shop:{User}:live:0 x", "SETBIT shop:{User}:live:0 1 0", "GET other"] {
        let mut command = redis::Cmd::new();
        let refused = command.arg(words.split(' ').collect::<Vec<_>>()).exec_async(&mut redis).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{words}");
    }
    assert!(User::check(&served.owner).await.unwrap().is_clean());
    assert_eq!(User::all().count(&served.owner).await.unwrap(), 2_500);
}

#[tokio::test]
async fn what_expired_is_in_no_answer_of_a_reader_who_cannot_remove_it() {
    let served = Served::start().await;
    served.save(0..100).await;
    let reader = served.open(&line("reader")).await.unwrap();
    let filter = || User::filter_by(|u| u.city.eq(1u16) & !u.tags.contains("t1"));
    let live = |at: &u32| at % 2 == 1 && !at.is_multiple_of(7) && at % 3 == 1 && at % 4 != 1 && *at != 99;
    for at in (0..100).step_by(2) {
        user(at).expire(&served.owner, Duration::from_millis(1)).await.unwrap();
    }
    while User::exists(&served.owner, Uuid::from_u128(98)).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let expected: Vec<_> = (0..100).filter(live).map(|at| Uuid::from_u128(at.into())).collect();
    assert_eq!(filter().count(&reader).await.unwrap(), expected.len() as u64);
    assert_eq!(filter().ids(&reader).try_collect::<Vec<_>>().await.unwrap(), expected);
    assert_eq!(User::all().count(&reader).await.unwrap(), 50);
    assert_eq!(User::all().order_by(|u| u.joined.desc()).fetch(&reader).await.unwrap().len(), 50);
    assert_eq!(User::all().order_by(|u| u.age.desc()).limit(60).fetch(&reader).await.unwrap().len(), 50);
    let groups = User::all().count_by(&reader, |u| u.age).await.unwrap();
    assert_eq!(groups.into_iter().map(|(_, count)| count).sum::<u64>(), 50);
    let waiting: u64 = served.f.run(redis::cmd("ZCARD").arg("shop:{User}:ttl")).await;
    assert_eq!(waiting, 50, "nobody removed them");
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_told() {
    const SECRET: &str = "hunter2";
    for tcp in [true, false] {
        let builder = TestServer::builder().arg("--requirepass", SECRET);
        let server = if tcp { builder.tcp() } else { builder }.start().await.unwrap();
        let url = |password: &str| {
            let with = match server.url().strip_prefix("redis://") {
                Some(host) => format!("redis://:{password}@{host}"),
                None => format!("{}?pass={password}", server.url()),
            };
            with_protocol(&with)
        };
        let open = |url: String| async move { Db::builder().retries(0).open(&url).await };
        let refused = [
            open(with_protocol(server.url())).await.unwrap_err(),
            open(url("wrong-hunter2")).await.unwrap_err(),
            Db::builder().retries(0).read_from(url("wrong-hunter2")).open(&url(SECRET)).await.unwrap_err(),
        ];
        for error in &refused {
            assert!(matches!(error, Error::Redis(_)) && !error.is_connection(), "{error:?}");
            assert!(error.to_string().contains("the server refused the user or password"), "{error}");
        }
        let db = open(url(SECRET)).await.unwrap();
        user(1).save(&db).await.unwrap();
        let builder = Db::builder().read_from(url(SECRET));
        let both = builder.clone().open(&url(SECRET)).await.unwrap();
        assert!(User::exists(&both, Uuid::from_u128(1)).await.unwrap());

        // Nor where the address is wrong, or nobody answers.
        let wrong = [
            format!("redis://:{SECRET}@127.0.0.1:port/"),
            format!("redis://:{SECRET}@127.0.0.1:1/"),
            format!("redis://:{SECRET}@127.0.0.1/first"),
            format!("redis://:{SECRET}/@127.0.0.1/"),
            format!("redis+unix:///nonexistent/socket?pass={SECRET}"),
            format!("http://:{SECRET}@127.0.0.1/"),
            SECRET.to_owned(),
        ];
        let mut texts = vec![format!("{db:?}{both:?}{builder:?}")];
        for url in wrong {
            texts.push(format!("{:?}", open(url).await.unwrap_err()));
        }
        // Where the whole chain of causes is printed.
        for error in &refused {
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = cause {
                texts.push(format!("{error} {error:?}"));
                cause = error.source();
            }
        }
        for text in texts {
            assert!(!text.contains(SECRET), "a password in: {text}");
        }
    }
}

#[tokio::test]
async fn a_user_who_lacks_a_command_leaves_nothing_half_done() {
    let served = Served::start().await;
    served.save(0..300).await;
    let mut expiring = user(5);
    expiring.reload(&served.owner).await.unwrap();
    expiring.expire(&served.owner, Duration::from_secs(1_000)).await.unwrap();
    let line = line("program");
    for command in commands(&line) {
        let less: Vec<String> = line.iter().filter(|word| **word != format!("+{command}")).cloned().collect();
        let db = served.open(&less).await.unwrap();
        let mut one = user(3);
        let _ = one.reload(&served.owner).await;
        one.city = None;
        one.age = (one.age + 1) % 5;
        let many: Vec<Uuid> = (100..110).map(Uuid::from_u128).collect();
        // Some may do all that they need.
        let _ = one.save(&db).await;
        let _ = User::save_many(&db, &mut [user(1_000), user(1_001)]).await;
        let _ = User::patch(&db, expiring.id, |u| [u.visits.incr(1), u.joined.clear(), u.tags.set(Vec::new())]).await;
        let _ = one.expire(&db, Duration::from_secs(1_000)).await;
        let _ = one.persist(&db).await;
        let _ = User::take(&db, Uuid::from_u128(50)).await;
        let _ = User::delete_many(&db, many).await;
        let report = User::check(&served.owner).await.unwrap();
        assert!(report.is_clean(), "without {command}: {report}");
    }
}

/// What may not be looked at is no damage.
#[tokio::test]
async fn a_user_who_may_not_see_the_records_mends_nothing() {
    let served = Served::start().await;
    served.save(0..700).await;
    let keys = async || {
        let mut keys: Vec<String> = served.f.run(redis::cmd("KEYS").arg("shop:*")).await;
        keys.sort();
        let mut dumps: Vec<Vec<u8>> = Vec::new();
        for key in &keys {
            dumps.push(served.f.run(redis::cmd("DUMP").arg(key)).await);
        }
        keys.into_iter().zip(dumps).collect::<Vec<_>>()
    };
    let before = keys().await;
    let mut blind = line("program");
    blind[2] = "blind".into();
    blind.retain(|word| !word.starts_with('~'));
    for key in ["meta", "l:*", "i:*", "b:*", "n:*", "s:*", "v:*", "u:*", "live:*", "d:*", "free", "ttl", "x:*", "t:*"] {
        blind.push(format!("~shop:{{User}}:{key}"));
    }
    let db = served.open(&blind).await.unwrap();
    for outcome in [User::repair(&db).await, User::check(&db).await] {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("lacks a right"), "{error}");
    }
    assert!(keys().await == before, "something was changed");
}
