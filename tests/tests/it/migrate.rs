//! Changes of a model's indexes, while other programs read and write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use subconscious::testing::TestServer;
use subconscious::{ColumnEnum, Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum Stage {
    Draft,
    Open,
    Done,
}

const STAGES: [Stage; 3] = [Stage::Draft, Stage::Open, Stage::Done];

/// The model as it was.
mod old {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Task {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) owner: String,
        #[column(index, sort)]
        pub(super) weight: u8,
        pub(super) stage: Option<Stage>,
        pub(super) amount: i64,
        pub(super) code: String,
    }
}

/// Indexes are added to columns that were there and to one that was not; another is dropped, and
/// one changes.
mod new {
    use super::*;

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Task {
        #[column(primary_key, sort)]
        pub(super) id: u32,
        pub(super) owner: String,
        #[column(index)]
        pub(super) weight: u8,
        #[column(index, sort)]
        pub(super) stage: Option<Stage>,
        #[column(sort)]
        pub(super) amount: i64,
        #[column(unique)]
        pub(super) code: String,
        #[column(index, default = 5)]
        pub(super) effort: u32,
        pub(super) comment: Option<String>,
    }
}

fn task(id: u32) -> old::Task {
    old::Task {
        id,
        owner: format!("owner {}", id % 7),
        weight: (id % 4) as u8,
        stage: (!id.is_multiple_of(5)).then(|| STAGES[(id % 3) as usize]),
        amount: i64::MAX - i64::from(id % 100),
        code: format!("c{id}"),
    }
}

#[tokio::test]
async fn a_migration_builds_drops_and_changes_indexes() {
    let f = Fixture::new().await;
    let mut tasks: Vec<_> = (0..1_000).map(task).collect();
    old::Task::save_many(&f.db, &mut tasks).await.unwrap().into_result().unwrap();
    tasks[3].expire(&f.db, std::time::Duration::from_secs(1000)).await.unwrap();

    let refused = new::Task::all().count(&f.db).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, Error::Schema { model: "Task", .. }), "{text}");
    for part in ["stage:enum", "effort:u32", "code:text", "Task::migrate"] {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    // Records are read all the same.
    assert_eq!(new::Task::load(&f.db, 8u32).await.unwrap().unwrap().effort, 5);

    let mut steps = 0;
    let migration = new::Task::migrate_with(&f.db, |migration| {
        steps += 1;
        assert!(migration.done <= migration.rows);
    });
    let migration = migration.await.unwrap();
    assert_eq!(migration.built, ["id", "stage", "amount", "code", "effort"]);
    assert_eq!(migration.dropped, [""; 0]);
    assert_eq!((migration.done, migration.rows), (1_000, 1_000));
    assert!(steps > 50, "{steps}");
    assert!(new::Task::check(&f.db).await.unwrap().is_clean());
    assert_eq!(new::Task::migrate(&f.db).await.unwrap(), subconscious::Migration::default());

    let open = tasks.iter().filter(|task| task.stage == Some(Stage::Open)).count() as u64;
    assert_eq!(new::Task::filter_by(|t| t.stage.eq(Stage::Open)).count(&f.db).await.unwrap(), open);
    assert_eq!(new::Task::filter_by(|t| t.effort.eq(5u32)).count(&f.db).await.unwrap(), 1_000);
    assert_eq!(new::Task::filter_by(|t| t.code.eq("c77")).first(&f.db).await.unwrap().unwrap().id, 77);
    let greatest = new::Task::all().order_by(|t| t.amount.desc()).first(&f.db).await.unwrap().unwrap();
    assert_eq!(greatest.id % 100, 0);
    let ordered = new::Task::all().order_by(|t| t.stage.asc()).limit(1).fetch(&f.db).await.unwrap();
    assert_eq!(ordered[0].stage, Some(Stage::Draft));
    let ids = new::Task::filter_by(|t| t.id.between(10u32, 12u32)).count(&f.db).await.unwrap();
    assert_eq!(ids, 3);

    // The old program goes on, and maintains the new indexes.
    assert_eq!(old::Task::migrate(&f.db).await.unwrap(), subconscious::Migration::default());
    old::Task::save(&mut task(4), &f.db).await.unwrap();
    let mut more = old::Task { code: "c1000".into(), stage: Some(Stage::Draft), ..task(1_000) };
    more.save(&f.db).await.unwrap();
    assert!(old::Task::delete_by_id(&f.db, 5u32).await.unwrap());
    old::Task::patch(&f.db, 7u32, |t| [t.weight.set(9), t.stage.set(Stage::Done)]).await.unwrap();
    old::Task::patch(&f.db, 8u32, |t| t.amount.set(-8)).await.unwrap();
    old::Task::patch(&f.db, 8u32, |t| t.amount.decr(1)).await.unwrap();
    assert!(old::Task::check(&f.db).await.unwrap().is_clean());
    assert!(new::Task::check(&f.db).await.unwrap().is_clean());
    assert_eq!(new::Task::filter_by(|t| t.effort.eq(5u32)).count(&f.db).await.unwrap(), 1_000);
    assert_eq!(new::Task::filter_by(|t| t.code.eq("c1000")).first(&f.db).await.unwrap().unwrap().effort, 5);
    let least = new::Task::all().order_by(|t| t.amount.asc()).first(&f.db).await.unwrap().unwrap();
    assert_eq!((least.id, least.amount), (8, -9));
    // A column that the new program made unique is so for the old one.
    let taken = old::Task { code: "c7".into(), ..task(2_000) }.save(&f.db).await.unwrap_err();
    assert!(matches!(taken, Error::Duplicate { column: "code", .. }), "{taken:?}");
    let long = old::Task { code: "c".repeat(2_000), ..task(2_000) }.save(&f.db).await.unwrap_err();
    assert!(matches!(long, Error::BadData { column: "code", .. }), "{long:?}");
    let long = old::Task::patch(&f.db, 7u32, |t| t.code.set("c".repeat(2_000))).await.unwrap_err();
    assert!(matches!(long, Error::BadData { column: "code", .. }), "{long:?}");
    assert_eq!(old::Task::filter_by(|t| t.owner.eq("owner 3")).count(&f.db).await.unwrap(), 143);

    // What only the old program needs is dropped when there is none. From then on, it is refused.
    let done = new::Task::drop_unused_indexes(&f.db).await.unwrap();
    assert_eq!((done.dropped, done.built), (vec!["owner".to_owned(), "weight".to_owned()], vec![]));
    assert_eq!(indexes::assert_exact::<new::Task>(&f).await.0, 1_000);
    let refused = old::Task::save(&mut task(4), &f.db).await.unwrap_err();
    assert!(matches!(refused, Error::Schema { .. }), "{refused:?}");
    assert!(old::Task::delete_by_id(&f.db, 4u32).await.is_err());
    assert_eq!(old::Task::load(&f.db, 4u32).await.unwrap().unwrap(), task(4));
    // And back again.
    old::Task::migrate(&f.db).await.unwrap();
    assert_eq!(
        old::Task::drop_unused_indexes(&f.db).await.unwrap().dropped,
        ["id", "stage", "amount", "code", "effort"]
    );
    assert_eq!(indexes::assert_exact::<old::Task>(&f).await.0, 1_000);
    assert_eq!(old::Task::filter_by(|t| t.owner.eq("owner 3")).count(&f.db).await.unwrap(), 143);
}

#[tokio::test]
async fn a_query_that_needs_an_unfinished_index_is_refused_and_others_answer() {
    let f = Fixture::new().await;
    let mut tasks: Vec<_> = (0..500).map(task).collect();
    old::Task::save_many(&f.db, &mut tasks).await.unwrap().into_result().unwrap();
    let seen = AtomicU64::new(0);
    // Stops half-way, as if killed.
    let half = async {
        loop {
            tokio::task::yield_now().await;
            if seen.load(Ordering::Relaxed) > 100 {
                break;
            }
        }
    };
    tokio::select! {
        _ = new::Task::migrate_with(&f.db, |migration| seen.store(migration.done, Ordering::Relaxed)) => panic!("not stopped"),
        () = half => {}
    }
    let refused = new::Task::filter_by(|t| t.stage.eq(Stage::Open)).count(&f.db).await.unwrap_err();
    assert!(
        matches!(refused, Error::Schema { .. }) && refused.to_string().contains("stage is still being built"),
        "{refused}"
    );
    let refused = new::Task::all().order_by(|t| t.amount.asc()).fetch(&f.db).await.unwrap_err();
    assert!(refused.to_string().contains("amount is still being built"), "{refused}");
    assert_eq!(new::Task::all().count(&f.db).await.unwrap(), 500);
    assert_eq!(new::Task::all().fetch(&f.db).await.unwrap().len(), 500);

    // Writes of the new program keep what is built and what is not yet.
    for id in [0, 90, 110, 300, 499] {
        let mut task = new::Task::load(&f.db, id).await.unwrap().unwrap();
        (task.stage, task.effort) = (Some(Stage::Done), 9);
        task.save(&f.db).await.unwrap();
        new::Task::patch(&f.db, id + 1 - id / 499 * 2, |t| [t.amount.set(-5), t.weight.set(200)]).await.unwrap();
    }
    for id in [5, 480] {
        assert!(new::Task::delete_by_id(&f.db, id).await.unwrap());
    }
    let migration = new::Task::migrate(&f.db).await.unwrap();
    assert_eq!(migration.rows, 500);
    new::Task::drop_unused_indexes(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<new::Task>(&f).await.0, 498);
    assert_eq!(new::Task::filter_by(|t| t.effort.eq(9u32)).count(&f.db).await.unwrap(), 5);
    assert_eq!(new::Task::filter_by(|t| t.weight.eq(200)).count(&f.db).await.unwrap(), 5);
}

#[tokio::test]
async fn a_migration_that_cannot_be_done_says_why_and_goes_on_when_it_can() {
    let f = Fixture::new().await;
    let mut tasks: Vec<_> = (0..100).map(task).collect();
    tasks[60].code = "c7".into();
    old::Task::save_many(&f.db, &mut tasks).await.unwrap().into_result().unwrap();
    let refused = new::Task::migrate(&f.db).await.unwrap_err();
    assert!(matches!(&refused, Error::Duplicate { column: "code", value, .. } if value == "\"c7\""), "{refused:?}");
    for record in [":r:7 ", ":r:60 "] {
        assert!(refused.to_string().contains(record), "no {record} in {refused}");
    }
    old::Task::patch(&f.db, 60u32, |t| t.code.set("c".repeat(2000))).await.unwrap();
    let refused = new::Task::migrate(&f.db).await.unwrap_err();
    assert!(
        matches!(&refused, Error::BadData { column: "code", reason, .. } if reason.contains(":r:60")),
        "{refused:?}"
    );
    let () = f.run(redis::cmd("HSET").arg(f.key("{Task}:r:60")).arg("code").arg("c60").arg("amount").arg("much")).await;
    let refused = new::Task::migrate(&f.db).await.unwrap_err();
    assert!(matches!(&refused, Error::Corrupt { column: Some("amount"), .. }), "{refused:?}");
    let () = f.run(redis::cmd("HSET").arg(f.key("{Task}:r:60")).arg("amount").arg("7")).await;
    new::Task::migrate(&f.db).await.unwrap();
    new::Task::drop_unused_indexes(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<new::Task>(&f).await.0, 100);

    // A key can't be migrated.
    mod other {
        use subconscious::RedisModel;

        #[derive(Debug, RedisModel)]
        pub(super) struct Task {
            #[column(primary_key)]
            pub(super) id: String,
        }
    }
    let refused = other::Task::migrate(&f.db).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Schema { .. }) && refused.to_string().contains(". A key can't be migrated: "),
        "{refused}"
    );
    let _ = other::Task { id: String::new() };
}

/// A new plain column, nullable or with a default, and one that is gone, need no migration.
#[tokio::test]
async fn plain_columns_come_and_go() {
    mod later {
        use subconscious::RedisModel;

        #[derive(Debug, Clone, PartialEq, RedisModel)]
        pub(super) struct Task {
            #[column(primary_key)]
            pub(super) id: u32,
            #[column(index)]
            pub(super) owner: String,
            #[column(index, sort)]
            pub(super) weight: u8,
            pub(super) remark: Option<String>,
            #[column(default = 12)]
            pub(super) size: u16,
        }
    }
    let f = Fixture::new().await;
    task(1).save(&f.db).await.unwrap();
    let mut loaded = later::Task::filter_by(|t| t.owner.eq("owner 1")).first(&f.db).await.unwrap().unwrap();
    assert_eq!((loaded.remark.clone(), loaded.size), (None, 12));
    loaded.remark = Some("x".into());
    loaded.save(&f.db).await.unwrap();
    // What the later program does not know is still there for the earlier one.
    assert_eq!(old::Task::load(&f.db, 1u32).await.unwrap().unwrap(), task(1));
}

/// The number of records, 6,000 or what `MIGRATION_RECORDS` says.
fn records() -> u32 {
    std::env::var("MIGRATION_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(6_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_under_writers_stopped_three_times_ends_exact() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let records = records();
    let tasks = futures::stream::iter((0..records).map(task));
    old::Task::save_stream(&f.db, tasks, |_| ()).await.unwrap().into_result().unwrap();
    let () = f.run(redis::cmd("CONFIG").arg("SET").arg("slowlog-log-slower-than").arg(2000)).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writes = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let (db, stop, writes) = (f.db.clone(), stop.clone(), writes.clone());
            tokio::spawn(async move {
                let mut at = writer;
                let mut random = 88_172_645_463_325_252u64 + u64::from(writer);
                while !stop.load(Ordering::Relaxed) {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // Writers share no record, so that they get in each other's way on indexes
                    // only.
                    let id = (random % u64::from(records)) as u32 / 4 * 4 + writer;
                    let outcome = match random >> 32 & 7 {
                        0 => new::Task::delete_by_id(&db, id).await.map(drop),
                        1 => {
                            at += 4;
                            let old::Task { owner, weight, stage, amount, .. } = task(at);
                            let mut task = new::Task {
                                id: records * 2 + at,
                                owner,
                                weight,
                                stage,
                                amount,
                                code: format!("new {at}"),
                                effort: 1,
                                comment: None,
                            };
                            task.insert(&db).await
                        }
                        2 | 3 => match new::Task::load(&db, id).await.unwrap() {
                            Some(mut task) => {
                                task.stage = STAGES.get((random >> 40 & 3) as usize).copied();
                                task.amount -= 1;
                                task.save(&db).await
                            }
                            None => Ok(()),
                        },
                        _ => {
                            match new::Task::patch(&db, id, |t| [t.weight.set((random >> 48) as u8), t.amount.decr(1)])
                                .await
                            {
                                Err(error) if error.is_not_found() => Ok(()),
                                other => other.map(drop),
                            }
                        }
                    };
                    match outcome {
                        // Until the migration begins.
                        Err(Error::Schema { .. }) => tokio::task::yield_now().await,
                        other => other.unwrap(),
                    }
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let done = Arc::new(AtomicU64::new(0));
    for part in 1..=3 {
        let goal = u64::from(records) * part / 4;
        let (db, progress) = (f.db.clone(), done.clone());
        let migration = tokio::spawn(async move {
            new::Task::migrate_with(&db, |migration| progress.store(migration.done, Ordering::Relaxed)).await
        });
        while done.load(Ordering::Relaxed) < goal {
            tokio::task::yield_now().await;
            assert!(!migration.is_finished(), "not stopped");
        }
        migration.abort();
        assert!(migration.await.unwrap_err().is_cancelled());
    }
    let (one, other) = tokio::join!(new::Task::migrate(&f.db), new::Task::migrate(&f.db));
    one.unwrap();
    other.unwrap();
    let written_meanwhile = writes.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(written_meanwhile > 100, "{written_meanwhile}");
    // What took how long is printed and not asserted, as another process may hold up the server.
    let slow = async |what: &str| {
        let calls: Vec<redis::Value> = f.run(redis::cmd("SLOWLOG").arg("GET").arg(50)).await;
        let calls: Vec<String> = calls.iter().map(|call| format!("{call:?}").chars().take(160).collect()).collect();
        println!("{what}, calls over 2 ms: {calls:#?}");
        let () = f.run(redis::cmd("SLOWLOG").arg("RESET")).await;
    };
    slow(&format!("{records} records, {written_meanwhile} writes meanwhile")).await;
    let report = new::Task::check(&f.db).await.unwrap();
    slow(&format!("{report}")).await;
    assert!(report.is_clean());
    new::Task::drop_unused_indexes(&f.db).await.unwrap();
    if records < 20_000 {
        indexes::assert_exact::<new::Task>(&f).await;
    }
}

/// While an old index is deleted key by key, writes leave what has its name alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_while_an_index_is_dropped_are_in_the_one_that_is_built() {
    let f = Fixture::new().await;
    let mut tasks: Vec<_> = (0..400).map(task).collect();
    old::Task::save_many(&f.db, &mut tasks).await.unwrap().into_result().unwrap();
    new::Task::migrate(&f.db).await.unwrap();
    let begun = async {
        while f.run::<Option<String>>(redis::cmd("HGET").arg(f.key("{Task}:meta")).arg("dropping")).await.is_none() {}
    };
    tokio::select! {
        _ = new::Task::drop_unused_indexes(&f.db) => panic!("not stopped"),
        () = begun => {}
    }
    // Back to the index in which the values of `weight` are kept in order, too.
    let (told, steps) = std::sync::mpsc::channel();
    let (go_on, gone_on) = std::sync::mpsc::channel();
    let db = f.db.clone();
    let migration = tokio::spawn(async move {
        let step = move |migration: &subconscious::Migration| {
            if migration.rows == 0 {
                told.send(()).unwrap();
                tokio::task::block_in_place(|| gone_on.recv().unwrap());
            }
        };
        old::Task::migrate_with(&db, step).await
    });
    let mut written = 0;
    while let Ok(()) = tokio::task::block_in_place(|| steps.recv()) {
        old::Task::patch(&f.db, written, |t| [t.weight.set(100 + written as u8), t.owner.set("somebody")])
            .await
            .unwrap();
        written += 1;
        go_on.send(()).unwrap();
    }
    migration.await.unwrap().unwrap();
    assert!(written > 1, "{written}");
    old::Task::drop_unused_indexes(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<old::Task>(&f).await.0, 400);
    assert_eq!(old::Task::filter_by(|t| t.weight.ge(100)).count(&f.db).await.unwrap(), u64::from(written));
    let greatest = old::Task::all().order_by(|t| t.weight.desc()).first(&f.db).await.unwrap().unwrap();
    assert_eq!(greatest.id, written - 1);
}
