//! Servers that refuse writes: what frees memory still runs, and what only reads is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::Fixture;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Parcel {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    kind: String,
    #[column(index)]
    town: String,
    #[column(sort)]
    weight: u32,
    #[column(sort)]
    size: u8,
}

/// Enough of one kind for a bitmap, and of some towns for sets.
const RECORDS: u32 = 1500;

fn parcel(id: u32) -> Parcel {
    let kind = if id.is_multiple_of(5) { "letter" } else { "box" };
    Parcel { id, kind: kind.into(), town: format!("t{}", id % 40), weight: id * 7 % 1000, size: (id % 11) as u8 }
}

async fn filled(f: &Fixture) {
    let mut parcels: Vec<_> = (0..RECORDS).map(parcel).collect();
    Parcel::save_many(&f.db, &mut parcels).await.unwrap().into_result().unwrap();
}

async fn set(f: &Fixture, setting: &str, value: &str) {
    let () = f.run(redis::cmd("CONFIG").arg("SET").arg(setting).arg(value)).await;
}

/// Lets these records expire, and waits until their hashes are gone.
async fn expire(f: &Fixture, ids: impl Iterator<Item = u32> + Clone) {
    for id in ids.clone() {
        parcel(id).expire(&f.db, Duration::from_millis(20)).await.unwrap();
    }
    for id in ids {
        while Parcel::exists(&f.db, id).await.unwrap() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_full_server_still_removes_records_that_expired() {
    let server = TestServer::builder().arg("--maxmemory-policy", "noeviction").start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    // What is called first, after other records have expired, and how many records it removes
    // itself.
    for call in 0..6 {
        set(&f, "maxmemory", "0").await;
        filled(&f).await;
        let first = call * 60;
        expire(&f, first..first + 50).await;
        // The earliest deadline may have been of a record that is there no more.
        if call == 5 {
            Parcel::purge_expired(&f.db).await.unwrap();
            parcel(700).expire(&f.db, Duration::from_millis(20)).await.unwrap();
            parcel(700).persist(&f.db).await.unwrap();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        set(&f, "maxmemory", "1mb").await;
        // A save is refused, whether or not it could remove something on its way.
        assert!(matches!(parcel(0).save(&f.db).await, Err(Error::Redis(failure)) if failure.code() == Some("OOM")));
        let removed = match call {
            0 => 0,
            1 => u64::from(Parcel::purge_expired(&f.db).await.unwrap() != 50),
            2 => u64::from(Parcel::delete_by_id(&f.db, 800).await.unwrap()),
            3 => Parcel::take(&f.db, 800).await.unwrap().map_or(0, |_| 1),
            4 => Parcel::delete_many(&f.db, [800, 801, 802]).await.unwrap().into_result().unwrap(),
            _ => Parcel::filter_by(|p| p.town.eq("t9")).delete(&f.db).await.unwrap(),
        };
        let expected = [0, 0, 1, 1, 3, 37][call as usize];
        assert_eq!(removed, expected, "call {call}");
        let left = u64::from(RECORDS) - 50 - removed;
        assert_eq!(Parcel::all().count(&f.db).await.unwrap(), left, "call {call}");
        let letters = Parcel::filter_by(|p| p.kind.eq("letter") & p.weight.ge(100)).ids(&f.db);
        let letters: Vec<u32> = futures::TryStreamExt::try_collect(letters).await.unwrap();
        assert!(!letters.is_empty() && letters.iter().all(|id| !(first..first + 50).contains(id)), "call {call}");
        assert!(matches!(parcel(0).save(&f.db).await, Err(Error::Redis(failure)) if failure.code() == Some("OOM")));
        // Deletes go on until nothing is left.
        if call == 0 {
            let ids = (0..RECORDS).collect::<Vec<_>>();
            Parcel::delete_many(&f.db, ids).await.unwrap().into_result().unwrap();
            assert_eq!(Parcel::all().count(&f.db).await.unwrap(), 0);
        }
        assert!(Parcel::check(&f.db).await.unwrap().is_clean(), "call {call}");
    }
}

/// Each way to answer a query, as a list of texts.
async fn answers(db: &Db) -> BTreeMap<&'static str, String> {
    let and = || Parcel::filter_by(|p| p.kind.eq("letter") & p.town.is_in(["t0", "t5", "t10"]));
    let range = || Parcel::filter_by(|p| p.weight.between(100, 700) & !p.kind.eq("letter"));
    let mut all = BTreeMap::new();
    let mut add = |name, answer: subconscious::Result<String>| {
        all.insert(name, answer.unwrap_or_else(|error| panic!("{name}: {error:?}")));
    };
    let ids = |records: Vec<Parcel>| format!("{:?}", records.iter().map(|p| p.id).collect::<Vec<_>>());
    add("all", Parcel::all().fetch(db).await.map(ids));
    add("and", and().fetch(db).await.map(ids));
    add("or", Parcel::filter_by(|p| p.kind.eq("letter") | p.town.eq("t3")).fetch(db).await.map(ids));
    add("not", Parcel::filter_by(|p| !p.kind.eq("letter")).limit(20).fetch(db).await.map(ids));
    add("in", Parcel::filter_by(|p| p.town.is_in((0..30).map(|t| format!("t{t}")))).fetch(db).await.map(ids));
    add("range", range().fetch(db).await.map(ids));
    add("range of few", Parcel::filter_by(|p| p.size.ge(3) & p.kind.eq("box")).fetch(db).await.map(ids));
    add("count", and().count(db).await.map(|n| n.to_string()));
    add("count range", range().count(db).await.map(|n| n.to_string()));
    add("exists", and().exists(db).await.map(|is| is.to_string()));
    add("order", and().order_by(|p| p.weight.desc()).limit(10).fetch(db).await.map(ids));
    add("order all", Parcel::all().order_by(|p| p.weight.asc()).fetch(db).await.map(ids));
    add("order range", range().order_by(|p| p.weight.asc()).fetch(db).await.map(ids));
    add("order other", range().order_by(|p| p.size.asc()).fetch(db).await.map(ids));
    add("order two", range().order_by(|p| p.size.asc()).order_by(|p| p.weight.desc()).fetch(db).await.map(ids));
    add("order rare", and().order_by(|p| p.weight.asc()).fetch(db).await.map(ids));
    let groups = |groups: Vec<(String, u64)>| format!("{groups:?}");
    add("groups", Parcel::all().count_by(db, |p| p.town).await.map(groups));
    add("groups of some", range().count_by(db, |p| p.town).await.map(groups));
    add("min", and().min(db, |p| p.weight).await.map(|least| format!("{least:?}")));
    add("max", range().max(db, |p| p.weight).await.map(|most| format!("{most:?}")));
    let page = |page: subconscious::Page<Parcel>| ids(page.items);
    add("page", and().order_by(|p| p.size.desc()).limit(5).page(db).await.map(page));
    all
}

/// What a server that is ready answers, it answers as well when it refuses writes with this code.
async fn answers_stay_the_same(f: &Fixture, code: &str, refuse: impl AsyncFnOnce()) {
    filled(f).await;
    let expected = answers(&f.db).await;
    refuse().await;
    let refused = parcel(0).save(&f.db).await.unwrap_err();
    assert!(matches!(&refused, Error::Redis(failure) if failure.code() == Some(code)), "{refused:?}");
    for (name, answer) in answers(&f.db).await {
        assert_eq!(answer, expected[name], "{name}");
    }
}

#[tokio::test]
async fn a_server_that_lacks_replicas_answers_all_that_reads() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    answers_stay_the_same(&f, "NOREPLICAS", async || set(&f, "min-replicas-to-write", "1").await).await;
}

#[tokio::test]
async fn a_server_that_cannot_save_to_disk_answers_all_that_reads() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap().to_owned();
    let server = TestServer::builder().args(["--save", "3600 1000000", "--dir", &dir]).start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let refuse = async || {
        folder.close().unwrap();
        let () = f.run(&mut redis::cmd("BGSAVE")).await;
        while !f.run::<String>(redis::cmd("INFO").arg("persistence")).await.contains("rdb_last_bgsave_status:err") {
            tokio::task::yield_now().await;
        }
    };
    answers_stay_the_same(&f, "MISCONF", refuse).await;
}

#[tokio::test]
async fn a_full_server_answers_all_that_reads() {
    let server = TestServer::builder().arg("--maxmemory-policy", "noeviction").start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    answers_stay_the_same(&f, "OOM", async || set(&f, "maxmemory", "1mb").await).await;
}

/// A replica is full as well, and no reader of it may need what such a server refuses.
#[tokio::test]
async fn a_full_replica_answers_all_that_reads() {
    let primary = subconscious_tests::primary().await;
    let replica = subconscious_tests::replica(&primary).await;
    let f = Fixture::on(primary.url()).await;
    filled(&f).await;
    f.replicate().await;
    let expected = answers(&f.db).await;
    let there = Fixture::on(replica.url()).await;
    set(&there, "maxmemory", "1mb").await;
    let db = there.db.with_namespace(f.db.namespace()).unwrap();
    for (name, answer) in answers(&db).await {
        assert_eq!(answer, expected[name], "{name}");
    }
}
