//! `rewrite`: all records, each changed by a function.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subconscious::{Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Person {
    #[column(primary_key)]
    id: u32,
    /// What `first` and `last` replace.
    name: Option<String>,
    #[column(index)]
    first: Option<String>,
    #[column(index, sort)]
    last: Option<String>,
    visits: u64,
    #[column(version)]
    version: u32,
}

fn person(id: u32) -> Person {
    let name = (!id.is_multiple_of(10)).then(|| format!("Ann{} Lee{}", id % 7, id % 5));
    Person { id, name, first: None, last: None, visits: 0, version: 0 }
}

/// Splits the name, if there is one.
fn split(person: &mut Person) {
    if let Some((first, last)) = person.name.take().as_deref().and_then(|name| name.split_once(' ')) {
        (person.first, person.last) = (Some(first.into()), Some(last.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_records_are_rewritten_once_beside_writers() {
    let f = Fixture::new().await;
    let mut people: Vec<_> = (0..3_000).map(person).collect();
    Person::save_many(&f.db, &mut people).await.unwrap().into_result().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let (db, stop) = (f.db.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let id = (written * 4 + writer) * 7 % 3_000;
                    Person::patch(&db, id, |p| p.visits.incr(1)).await.unwrap();
                    written += 1;
                }
                u64::from(written)
            })
        })
        .collect();
    // The writers have begun.
    while Person::load(&f.db, 7u32).await.unwrap().unwrap().visits == 0 {}
    assert_eq!(Person::rewrite(&f.db, split).await.unwrap(), 2_700);
    assert_eq!(Person::rewrite(&f.db, split).await.unwrap(), 0);
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    let stored = Person::load_many(&f.db, 0..3_000u32).await.unwrap();
    for (stored, old) in stored.iter().flatten().zip(&people) {
        let mut new = old.clone();
        split(&mut new);
        assert_eq!((&stored.name, &stored.first, &stored.last), (&None, &new.first, &new.last));
        // The versions count the rewrite and the visits.
        assert_eq!(u64::from(stored.version), 1 + u64::from(old.name.is_some()) + stored.visits, "{stored:?}");
    }
    assert_eq!(stored.iter().flatten().map(|stored| stored.visits).sum::<u64>(), written);
    assert_eq!(Person::filter_by(|p| p.last.eq("Lee3")).count(&f.db).await.unwrap(), 600);
    indexes::assert_exact::<Person>(&f).await;
}

#[tokio::test]
async fn what_redis_fills_and_keys_are_not_rewritten() {
    let f = Fixture::new().await;
    person(1).save(&f.db).await.unwrap();
    for (change, column) in [(|p| p.id += 1) as fn(&mut Person), |p| p.version += 1].into_iter().zip(["id", "version"])
    {
        let refused = Person::rewrite(&f.db, change).await.unwrap_err();
        assert!(matches!(&refused, Error::BadData { column: named, .. } if *named == column), "{refused:?}");
    }
    let long = Person::rewrite(&f.db, |p| p.first = Some("x".repeat(2_000))).await.unwrap_err();
    assert!(matches!(long, Error::BadData { column: "first", .. }), "{long:?}");
    assert_eq!(Person::load(&f.db, 1u32).await.unwrap().unwrap(), Person { version: 1, ..person(1) });
}
