//! Patches of all records that a query finds.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use subconscious::{ColumnEnum, Error, Query, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Open,
    Taken,
    Done,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Job {
    #[column(primary_key, sort)]
    id: u32,
    #[column(index, sort)]
    state: State,
    #[column(index)]
    owner: Option<u16>,
    #[column(sort)]
    at: i64,
    #[column(unique)]
    token: Option<String>,
    #[column(version)]
    version: u64,
    tries: u8,
}

fn job(id: u32) -> Job {
    let state = [State::Open, State::Done, State::Open, State::Taken][id as usize % 4];
    let owner = (!id.is_multiple_of(3)).then_some(id as u16 % 5);
    Job { id, state, owner, at: i64::from(id * 37 % 1_000), token: Some(format!("t{id}")), version: 0, tries: 0 }
}

async fn jobs(f: &Fixture, count: u32) {
    let mut all: Vec<Job> = (0..count).map(job).collect();
    Job::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
}

async fn stored(f: &Fixture) -> BTreeMap<u32, Job> {
    Job::all().fetch(&f.db).await.unwrap().into_iter().map(|job| (job.id, job)).collect()
}

/// Each record that matches is changed once, although what the filter and the order look at
/// changes.
#[tokio::test]
async fn a_query_patches_what_it_would_deliver() {
    let f = Fixture::new().await;
    let all = 1_300;
    let open = || Job::filter_by(|j| j.state.eq(State::Open));
    type Case = (Query<Job>, fn(&Job) -> bool);
    let cases: [Case; 6] = [
        (open(), |job| job.state == State::Open),
        (open().order_by(|j| j.at.asc()), |job| job.state == State::Open),
        (open().order_by(|j| j.at.desc()).order_by(|j| j.id.asc()), |job| job.state == State::Open),
        (Job::filter_by(|j| j.at.ge(100) & j.owner.is_some()), |job| job.at >= 100 && job.owner.is_some()),
        (Job::all(), |_| true),
        (Job::filter_by(|j| j.owner.eq(9)), |_| false),
    ];
    for (query, matches) in cases {
        jobs(&f, all).await;
        let before = stored(&f).await;
        let expected = before.values().filter(|job| matches(job)).count() as u64;
        let changed = query
            .patch(&f.db, |j| [j.state.set(State::Open), j.at.incr(700), j.owner.set(7), j.tries.incr(1)])
            .await
            .unwrap();
        assert_eq!(changed, expected, "{query:?}");
        for (id, job) in stored(&f).await {
            let old = &before[&id];
            let new = Job {
                state: State::Open,
                at: old.at + 700,
                owner: Some(7),
                tries: 1,
                version: old.version + 1,
                ..old.clone()
            };
            assert_eq!(job, if matches(old) { new } else { old.clone() }, "{query:?}");
        }
        indexes::assert_exact::<Job>(&f).await;
        Job::all().delete(&f.db).await.unwrap();
    }
    // A limit, an offset, and what is left.
    jobs(&f, all).await;
    let done = open().order_by(|j| j.at.asc()).limit(5).patch(&f.db, |j| j.state.set(State::Done)).await.unwrap();
    assert_eq!(done, 5);
    let least = open().min(&f.db, |j| j.at).await.unwrap().unwrap();
    let done = Job::filter_by(|j| j.state.eq(State::Done) & j.at.lt(least)).count(&f.db).await.unwrap();
    assert!(done >= 5, "{done}");
    assert_eq!(open().limit(0).patch(&f.db, |j| j.tries.incr(1)).await.unwrap(), 0);
    assert_eq!(open().offset(600).patch(&f.db, |j| j.state.set(State::Done)).await.unwrap(), 45);
    assert_eq!(open().limit(300).patch(&f.db, |j| j.state.set(State::Done)).await.unwrap(), 300);
    assert_eq!(open().count(&f.db).await.unwrap(), 300);
    indexes::assert_exact::<Job>(&f).await;
}

/// Several workers take jobs at the same time, and none is taken twice.
#[tokio::test]
async fn a_record_that_another_changed_is_left_alone() {
    let f = Fixture::new().await;
    jobs(&f, 1_000).await;
    let workers = (100..104u16).map(|worker| {
        let db = f.db.clone();
        tokio::spawn(async move {
            let open = Job::filter_by(|j| j.state.eq(State::Open));
            open.patch(&db, |j| [j.state.set(State::Taken), j.owner.set(worker), j.tries.incr(1)]).await.unwrap()
        })
    });
    let taken: u64 = try_join_all(workers).await.unwrap().into_iter().sum();
    assert_eq!(taken, 500);
    let all = stored(&f).await;
    assert_eq!(all.values().filter(|job| job.tries == 1 && job.owner >= Some(100)).count(), 500);
    assert!(all.values().all(|job| job.tries <= 1));
    indexes::assert_exact::<Job>(&f).await;
}

#[tokio::test]
async fn a_patch_that_is_refused_says_why_and_keeps_what_was_changed() {
    let f = Fixture::new().await;
    jobs(&f, 20).await;
    let error = Job::all().patch(&f.db, |j| j.token.set("same")).await.unwrap_err();
    assert!(matches!(error, Error::Duplicate { column: "token", .. }), "{error:?}");
    assert_eq!(Job::filter_by(|j| j.token.eq("same")).count(&f.db).await.unwrap(), 1);
    let error = Job::all().patch(&f.db, |j| [j.tries.incr(200), j.tries.incr(1)]).await.unwrap_err();
    assert!(matches!(error, Error::BadData { column: "tries", .. }), "{error:?}");
    assert_eq!(Job::all().patch(&f.db, |j| j.tries.incr(200)).await.unwrap(), 20);
    let error = Job::all().patch(&f.db, |j| j.tries.incr(100)).await.unwrap_err();
    assert!(matches!(error, Error::OutOfRange { column: "tries", .. }), "{error:?}");
    // Of the version, only some records have the expected one.
    let error = Job::all().patch(&f.db, |j| [j.version.expected(1), j.owner.set(1)]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    indexes::assert_exact::<Job>(&f).await;
}
