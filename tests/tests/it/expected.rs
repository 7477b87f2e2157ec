//! Patches that are made only if a column has an expected value.

use futures::future::join_all;
use rust_decimal::Decimal;
use subconscious::{ColumnEnum, Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Open,
    Taken,
    Done,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Task {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    state: State,
    #[column(unique)]
    owner: Option<String>,
    #[column(sort)]
    price: Decimal,
    #[column(index)]
    tags: Vec<String>,
    note: Option<String>,
    #[column(default = 7)]
    weight: u8,
    tries: u64,
    #[column(expires_at)]
    until: Option<u64>,
    #[column(updated_at)]
    changed: u64,
}

fn task(id: u32) -> Task {
    Task {
        id,
        state: State::Open,
        owner: None,
        price: "12.50".parse().unwrap(),
        tags: vec!["a,b".into(), String::new()],
        note: None,
        weight: 9,
        tries: 0,
        until: None,
        changed: 0,
    }
}

fn conflict(error: Error) -> (&'static str, String, Option<String>) {
    assert!(error.is_conflict(), "{error:?}");
    let Error::Conflict { model: "Task", column, expected, stored, .. } = error else { panic!("{error:?}") };
    (column, expected, stored)
}

#[tokio::test]
async fn a_patch_is_made_only_if_the_column_has_the_expected_value() {
    let f = Fixture::new().await;
    let db = &f.db;
    task(1).save(db).await.unwrap();
    // A value to the state that it comes from, and a new one.
    Task::patch(db, 1u32, |t| [t.state.expected(State::Open), t.state.set(State::Taken), t.owner.set("ann")])
        .await
        .unwrap();
    let before = Task::load(db, 1u32).await.unwrap().unwrap();
    assert_eq!((before.state, before.owner.as_deref()), (State::Taken, Some("ann")));
    let keys = f.keys().await;

    let patch =
        Task::patch(db, 1u32, |t| [t.state.expected(State::Open), t.state.set(State::Done), t.tries.incr(1)]).await;
    let error = patch.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("Task.state: \"Taken\" is stored in ") && text.contains(", not \"Open\", as"), "{text}");
    assert_eq!(conflict(error), ("state", "\"Open\"".into(), Some("\"Taken\"".into())));
    // The order of the changes does not matter, nor that another expectation is right.
    let patch = Task::patch(db, 1u32, |t| [t.owner.clear(), t.owner.expected("ben"), t.weight.expected(9)]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("owner", "\"ben\"".into(), Some("\"ann\"".into())));
    let patch = Task::patch(db, 1u32, |t| [t.note.expected("x"), t.note.set("y")]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("note", "\"x\"".into(), None));
    let patch = Task::patch(db, 1u32, |t| [t.owner.expected_none(), t.tries.incr(1)]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("owner", "null".into(), Some("\"ann\"".into())));
    // The stored form is compared.
    let patch =
        Task::patch(db, 1u32, |t| [t.price.expected("12.5".parse::<Decimal>().unwrap()), t.tries.incr(1)]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("price", "\"12.5\"".into(), Some("\"12.50\"".into())));
    assert_eq!(Task::load(db, 1u32).await.unwrap().unwrap(), before, "nothing was written");
    assert_eq!(f.keys().await, keys);

    let patched = Task::patch(db, 1u32, |t| {
        [
            t.price.expected(before.price),
            t.tags.expected(before.tags.clone()),
            t.note.expected_none(),
            t.weight.expected(9),
            t.tries.expected(0u64),
            t.changed.expected(before.changed),
            t.until.expected_none(),
            t.note.set("seen"),
            t.price.set(Decimal::ONE),
            t.tries.incr(5),
        ]
    });
    assert_eq!(patched.await.unwrap().get(|t| t.tries), Some(5));
    let after = Task::load(db, 1u32).await.unwrap().unwrap();
    let expected = Task { price: Decimal::ONE, note: Some("seen".into()), tries: 5, changed: after.changed, ..before };
    assert_eq!(after, expected);
    indexes::assert_exact::<Task>(&f).await;

    // Null is not the empty text, and the empty text is not null.
    Task::patch(db, 1u32, |t| t.note.set("")).await.unwrap();
    assert!(Task::patch(db, 1u32, |t| [t.note.expected_none(), t.tries.incr(1)]).await.unwrap_err().is_conflict());
    Task::patch(db, 1u32, |t| [t.note.expected(""), t.note.clear()]).await.unwrap();
    let missing = Task::patch(db, 2u32, |t| [t.state.expected(State::Open), t.tries.incr(1)]).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing:?}");
    let twice = Task::patch(db, 1u32, |t| [t.tries.expected(5u64), t.tries.expected(6u64)]).await.unwrap_err();
    assert!(matches!(twice, Error::BadData { column: "tries", .. }), "{twice:?}");
}

#[tokio::test]
async fn a_record_that_lacks_a_column_has_its_default() {
    let f = Fixture::new().await;
    task(1).save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("HDEL").arg(f.key("{Task}:r:1")).arg("weight")).await;
    let patch = Task::patch(&f.db, 1u32, |t| [t.weight.expected(9), t.tries.incr(1)]).await;
    assert_eq!(conflict(patch.unwrap_err()), ("weight", "\"9\"".into(), Some("\"7\"".into())));
    Task::patch(&f.db, 1u32, |t| [t.weight.expected(7), t.weight.set(8)]).await.unwrap();
    assert_eq!(Task::load(&f.db, 1u32).await.unwrap().unwrap().weight, 8);
}

#[tokio::test]
async fn an_expected_deadline_is_not_a_new_one() {
    let f = Fixture::new().await;
    let far = 4_000_000_000_000;
    Task { until: Some(far), ..task(1) }.save(&f.db).await.unwrap();
    Task::patch(&f.db, 1u32, |t| [t.until.expected(far), t.state.set(State::Done), t.price.expected(task(1).price)])
        .await
        .unwrap();
    assert!(Task::ttl(&f.db, 1u32).await.unwrap().is_some());
    Task::patch(&f.db, 1u32, |t| [t.until.expected(far), t.until.clear(), t.owner.set("ann")]).await.unwrap();
    assert_eq!(Task::ttl(&f.db, 1u32).await.unwrap(), None);
    Task::patch(&f.db, 1u32, |t| [t.until.expected_none(), t.state.expected(State::Done), t.until.set(far)])
        .await
        .unwrap();
    assert!(Task::ttl(&f.db, 1u32).await.unwrap().is_some());
    indexes::assert_exact::<Task>(&f).await;
}

/// Eight callers count by reading and comparing, and no count is lost.
#[tokio::test]
async fn of_several_callers_one_wins_each_time() {
    let f = Fixture::new().await;
    task(1).save(&f.db).await.unwrap();
    let callers = (0..8).map(|_| {
        let db = f.db.clone();
        async move {
            for _ in 0..20 {
                loop {
                    let seen = Task::load(&db, 1u32).await.unwrap().unwrap().weight;
                    let patch =
                        Task::patch(&db, 1u32, |t| [t.weight.expected(seen), t.weight.set(seen.wrapping_add(1))]).await;
                    match patch {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_conflict(), "{error:?}"),
                    }
                }
            }
        }
    });
    join_all(callers).await;
    assert_eq!(Task::load(&f.db, 1u32).await.unwrap().unwrap().weight, 169);
}

#[tokio::test]
async fn a_patch_of_many_ends_at_the_first_that_has_another_value() {
    let f = Fixture::new().await;
    for id in 0..3 {
        Task { weight: id as u8, ..task(id) }.save(&f.db).await.unwrap();
    }
    let all = Task::filter_by(|t| t.state.eq(State::Open));
    let error = all.patch(&f.db, |t| [t.weight.expected(0), t.state.set(State::Done)]).await.unwrap_err();
    assert_eq!(conflict(error).0, "weight");
    assert_eq!(all.patch(&f.db, |t| [t.state.expected(State::Open), t.state.set(State::Done)]).await.unwrap(), 2);
    indexes::assert_exact::<Task>(&f).await;
}
