//! Reading from a replica, which lets no script keep an intermediate bitmap.

use std::time::Duration;

use futures::TryStreamExt;
use subconscious::testing::TestServer;
use subconscious::{Db, PlanWay, Query, RedisModel};
use subconscious_tests::{Fixture, with_protocol};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Visit {
    #[column(primary_key, sort)]
    id: u32,
    #[column(index, sort)]
    level: Option<u8>,
    #[column(index)]
    page: Option<u16>,
    #[column(unique)]
    token: String,
    #[column(sort)]
    at: Option<i64>,
    #[column(index)]
    tags: Vec<String>,
}

fn visit(id: u32) -> Visit {
    Visit {
        id,
        level: (!id.is_multiple_of(8)).then_some((id % 8) as u8),
        page: (!id.is_multiple_of(3)).then_some((id % 3) as u16),
        token: format!("t{id}"),
        at: (!id.is_multiple_of(5)).then_some(i64::from(id * 7919 % 3_001)),
        tags: vec![format!("g{}", id % 4)],
    }
}

/// Queries of each way, and the records that they deliver, in their order.
fn queries(of: impl Fn(&Visit) -> bool) -> Vec<(Query<Visit>, Vec<u32>)> {
    let all: Vec<_> = (0..3_000).map(visit).filter(of).collect();
    let pick = |matches: &dyn Fn(&Visit) -> bool| all.iter().filter(|v| matches(v)).cloned().collect::<Vec<_>>();
    let ids = |found: Vec<Visit>| found.into_iter().map(|v| v.id).collect::<Vec<_>>();
    let common = |v: &Visit| v.page == Some(2) && v.tags[0] != "g1";
    let by_at = |mut found: Vec<Visit>| {
        found.sort_by_key(|v| (v.at.is_none(), std::cmp::Reverse(v.at), std::cmp::Reverse(v.id)));
        ids(found)
    };
    let by_level = |mut found: Vec<Visit>| {
        found.sort_by_key(|v| (v.level, v.id));
        ids(found)
    };
    vec![
        (Visit::all(), ids(pick(&|_| true))),
        (Visit::filter_by(|v| v.page.eq(2) & !v.tags.contains("g1")), ids(pick(&common))),
        (Visit::filter_by(|v| v.token.is_in(["t9", "t2999", "none"])), ids(pick(&|v| v.id == 9 || v.id == 2999))),
        (Visit::all().order_by(|v| v.at.desc()), by_at(pick(&|_| true))),
        (Visit::filter_by(|v| v.page.eq(2) & !v.tags.contains("g1")).order_by(|v| v.at.desc()), by_at(pick(&common))),
        (
            Visit::filter_by(|v| v.level.is_some() | v.page.is_none()).order_by(|v| v.level.asc().nulls_first()),
            by_level(pick(&|v| v.level.is_some() || v.page.is_none())),
        ),
        (
            Visit::filter_by(|v| v.at.gt(500) & v.level.between(2, 5))
                .order_by(|v| v.level.asc())
                .order_by(|v| v.id.asc()),
            by_level(pick(&|v| v.at > Some(500) && (Some(2)..=Some(5)).contains(&v.level))),
        ),
    ]
}

async fn assert_answers(db: &Db, of: impl Fn(&Visit) -> bool) {
    for (query, expected) in queries(of) {
        let found: Vec<u32> = query.ids(db).try_collect().await.unwrap();
        assert_eq!(found, expected, "{query:?}");
        assert_eq!(query.count(db).await.unwrap(), expected.len() as u64, "{query:?}");
        assert_eq!(query.first(db).await.unwrap().map(|v| v.id), expected.first().copied());
        let groups: u64 = query.count_by(db, |v| v.level).await.unwrap().into_iter().map(|(_, count)| count).sum();
        assert_eq!(groups, expected.len() as u64, "{query:?}");
        let times: i64 = expected.iter().filter_map(|id| visit(*id).at).sum();
        assert_eq!(query.sum(db, |v| v.at).await.unwrap(), i128::from(times), "{query:?}");
        let ids = expected.iter().copied().map(i128::from).sum::<i128>();
        assert_eq!(query.sum(db, |v| v.id).await.unwrap(), ids, "{query:?}");
    }
}

/// The number of commands that a server refused because it is read-only.
async fn refused(redis: &mut redis::aio::MultiplexedConnection) -> String {
    let stats: String = redis::cmd("INFO").arg("errorstats").query_async(redis).await.unwrap();
    stats.lines().find(|line| line.starts_with("errorstat_READONLY")).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_replica_is_opened_as_any_server_answers_and_refuses_to_write() {
    // Of its own: another test's refusals would be counted, too.
    let primary = subconscious_tests::primary().await;
    let of_primary = subconscious_tests::replica(&primary).await;
    let url = of_primary.url();
    let f = Fixture::on(primary.url()).await;
    let mut all: Vec<_> = (0..3_000).map(visit).collect();
    Visit::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    f.replicate().await;
    let replica = Db::builder().namespace(f.db.namespace()).open(&with_protocol(url)).await.unwrap();
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let before = refused(&mut redis).await;
    assert_answers(&replica, |_| true).await;
    // Nothing was tried that can't be.
    assert_eq!(refused(&mut redis).await, before);
    let plan = Visit::filter_by(|v| v.page.eq(2) & !v.tags.contains("g1"))
        .order_by(|v| v.at.desc())
        .limit(10)
        .explain(&replica)
        .await
        .unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.way).collect::<Vec<_>>(), [PlanWay::Bitmaps, PlanWay::Order]);
    assert_eq!(plan.rows, 10);

    for error in [
        visit(7).save(&replica).await.unwrap_err(),
        Visit::delete_by_id(&replica, 7u32).await.unwrap_err(),
        Visit::filter_by(|v| v.page.eq(2)).delete(&replica).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("read-only replica"), "{error}");
    }
    // What deletes finds its records at the primary, where they are at once.
    visit(5_000).save(&f.db).await.unwrap();
    assert_eq!(Visit::filter_by(|v| v.token.eq("t5000")).delete(&f.db).await.unwrap(), 1);
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_goes_on_answering() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut all: Vec<_> = (0..3_000).map(visit).collect();
    Visit::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    assert_answers(&f.db, |_| true).await;
    // Of a primary that is not there: it keeps what it has.
    let () = f.run(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await;
    assert_answers(&f.db, |_| true).await;
    assert!(visit(7).save(&f.db).await.unwrap_err().to_string().contains("read-only replica"));
    let () = f.run(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    visit(7).save(&f.db).await.unwrap();
    assert_answers(&f.db, |_| true).await;
}

/// The primary has not removed them, as nobody asked it; nor can the replica.
#[tokio::test]
async fn what_expired_is_in_no_answer_of_a_replica() {
    let f = Fixture::replicated().await;
    let mut all: Vec<_> = (0..3_000).map(visit).collect();
    Visit::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let lives = |v: &Visit| v.id % 5 < 2;
    for v in all.iter().filter(|v| !lives(v)) {
        v.expire(&f.db, Duration::from_millis(1)).await.unwrap();
    }
    while Visit::exists(&f.db, 2_999u32).await.unwrap() {
        tokio::task::yield_now().await;
    }
    f.replicate().await;
    let rows: u64 = f.run(redis::cmd("ZCARD").arg(f.key("{Visit}:ttl"))).await;
    assert!(rows > 1_000, "{rows} are not removed");
    assert_answers(&f.db, lives).await;
    // Their rows are used again.
    assert!(Visit::purge_expired(&f.db).await.unwrap() > 1_000);
    for v in all.iter_mut().filter(|v| !lives(v)) {
        v.save(&f.db).await.unwrap();
    }
    f.replicate().await;
    let found: Vec<u32> = Visit::all().order_by(|v| v.id.asc()).ids(&f.db).try_collect().await.unwrap();
    assert_eq!(found, (0..3_000).collect::<Vec<_>>());
}
