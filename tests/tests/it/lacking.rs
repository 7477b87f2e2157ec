//! Columns that Redis fills, in a model whose stored records lack them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use subconscious::{Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

/// The model as it was.
#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(name = "Note")]
struct Old {
    #[column(primary_key)]
    id: u32,
    text: String,
}

/// The columns come without indexes.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Note {
    #[column(primary_key)]
    id: u32,
    text: String,
    #[column(version)]
    version: u32,
    #[column(auto_increment)]
    number: u64,
    #[column(created_at)]
    created: SystemTime,
    #[column(updated_at)]
    updated: i64,
}

/// They come with indexes.
#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(name = "Note")]
struct Indexed {
    #[column(primary_key)]
    id: u32,
    text: String,
    #[column(version, index, sort)]
    version: u8,
    #[column(auto_increment, index, sort)]
    number: u64,
    #[column(created_at, sort)]
    created: SystemTime,
    #[column(updated_at, index)]
    updated: Option<i64>,
}

async fn old_notes(f: &Fixture) {
    let mut notes: Vec<_> = (0..100).map(|id| Old { id, text: format!("t{id}") }).collect();
    Old::save_many(&f.db, &mut notes).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn what_redis_fills_is_zero_in_a_record_that_lacks_it() {
    let f = Fixture::new().await;
    old_notes(&f).await;
    let mut note = Note::load(&f.db, 7u32).await.unwrap().unwrap();
    assert_eq!((note.version, note.number, note.created, note.updated), (0, 0, UNIX_EPOCH, 0));
    assert_eq!(Note::all().fetch(&f.db).await.unwrap().len(), 100);
    let selected = Note::all().select(|n| (n.version, n.number, n.created)).fetch(&f.db).await.unwrap();
    assert!(selected.iter().all(|selected| *selected == (0, 0, UNIX_EPOCH)));

    // A patch counts from there.
    let patched = Note::patch(&f.db, 8u32, |n| [n.text.set("patched"), n.version.expected(0u32)]).await.unwrap();
    assert_eq!(patched.get(|n| n.version), Some(1));
    let conflict = Note::patch(&f.db, 9u32, |n| n.version.expected(1u32)).await.unwrap_err();
    assert!(matches!(&conflict, Error::Conflict { stored: Some(stored), .. } if stored == "0"), "{conflict:?}");
    let patched = Note::patch(&f.db, 9u32, |n| n.text.set("patched")).await.unwrap();
    assert_eq!(patched.get(|n| n.version), Some(1));
    assert!(Note::load(&f.db, 9u32).await.unwrap().unwrap().updated > 0);

    // So does a save, which gives it a number and times as it does to a new record.
    let before = SystemTime::now() - Duration::from_secs(60);
    note.save(&f.db).await.unwrap();
    assert_eq!((note.version, note.number), (1, 1));
    assert!(note.created > before && note.updated > 0, "{note:?}");
    assert_eq!(Note::load(&f.db, 7u32).await.unwrap().unwrap(), note);
    let created = note.created;
    note.save(&f.db).await.unwrap();
    assert_eq!((note.version, note.number, note.created), (2, 1, created));

    // One that was loaded before is in conflict.
    let mut stale = Note::load(&f.db, 10u32).await.unwrap().unwrap();
    Note::load(&f.db, 10u32).await.unwrap().unwrap().save(&f.db).await.unwrap();
    assert!(stale.save(&f.db).await.unwrap_err().is_conflict());
    assert!(stale.delete(&f.db).await.unwrap_err().is_conflict());
    let mut wrong = Note::load(&f.db, 11u32).await.unwrap().unwrap();
    wrong.version = 5;
    let conflict = wrong.save(&f.db).await.unwrap_err();
    assert!(matches!(&conflict, Error::Conflict { stored: Some(stored), .. } if stored == "0"), "{conflict:?}");
    assert!(Note::load(&f.db, 11u32).await.unwrap().unwrap().delete(&f.db).await.unwrap());
    assert_eq!(Note::take(&f.db, 12u32).await.unwrap().unwrap().version, 0);
}

#[tokio::test]
async fn their_indexes_have_what_is_loaded() {
    let f = Fixture::new().await;
    old_notes(&f).await;
    let migration = Indexed::migrate(&f.db).await.unwrap();
    assert_eq!(migration.built, ["version", "number", "created", "updated"]);
    indexes::assert_exact::<Indexed>(&f).await;
    let note = Indexed::load(&f.db, 7u32).await.unwrap().unwrap();
    assert_eq!((note.version, note.number, note.created, note.updated), (0, 0, UNIX_EPOCH, None));
    assert_eq!(Indexed::filter_by(|n| n.version.eq(0) & n.number.lt(1u64)).count(&f.db).await.unwrap(), 100);
    assert_eq!(Indexed::filter_by(|n| n.created.le(UNIX_EPOCH)).fetch(&f.db).await.unwrap().len(), 100);
    assert_eq!(Indexed::filter_by(|n| n.updated.is_none()).count(&f.db).await.unwrap(), 100);

    for id in [7u32, 8] {
        let mut note = Indexed::load(&f.db, id).await.unwrap().unwrap();
        note.save(&f.db).await.unwrap();
        assert_eq!((note.version, note.number), (1, u64::from(id) - 6));
        assert!(note.created > UNIX_EPOCH && note.updated.is_some(), "{note:?}");
        assert_eq!(Indexed::load(&f.db, id).await.unwrap().unwrap(), note);
    }
    Indexed::patch(&f.db, 9u32, |n| n.text.set("x")).await.unwrap();
    assert_eq!(Indexed::filter_by(|n| n.version.eq(1)).count(&f.db).await.unwrap(), 3);
    assert_eq!(Indexed::filter_by(|n| n.version.eq(0)).count(&f.db).await.unwrap(), 97);
    let ordered = Indexed::all().order_by(|n| n.number.desc()).limit(3).fetch(&f.db).await.unwrap();
    assert_eq!(ordered.iter().map(|note| note.number).collect::<Vec<_>>(), [2, 1, 0]);
    let newest = Indexed::all().order_by(|n| n.created.desc()).limit(2).fetch(&f.db).await.unwrap();
    assert_eq!(newest.iter().map(|note| note.id).collect::<Vec<_>>(), [8, 7]);
    indexes::assert_exact::<Indexed>(&f).await;
}

/// Writes of the new program while the index is being built, which has not come to their records.
#[tokio::test]
async fn writes_while_their_indexes_are_built_are_in_them() {
    let f = Fixture::new().await;
    let mut notes: Vec<_> = (0..300).map(|id| Old { id, text: String::new() }).collect();
    Old::save_many(&f.db, &mut notes).await.unwrap().into_result().unwrap();
    let done = std::sync::atomic::AtomicU64::new(0);
    let half = async {
        while done.load(std::sync::atomic::Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = Indexed::migrate_with(&f.db, |m| done.store(m.done, std::sync::atomic::Ordering::Relaxed)) => panic!("not stopped"),
        () = half => {}
    }
    for id in [10u32, 290] {
        let mut note = Indexed::load(&f.db, id).await.unwrap().unwrap();
        note.save(&f.db).await.unwrap();
        Indexed::patch(&f.db, id + 1, |n| n.version.expected(0)).await.unwrap();
        assert!(Indexed::load(&f.db, id + 2).await.unwrap().unwrap().delete(&f.db).await.unwrap());
    }
    Indexed::migrate(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<Indexed>(&f).await.0, 298);
    assert_eq!(Indexed::filter_by(|n| n.version.eq(1)).count(&f.db).await.unwrap(), 4);
    assert_eq!(Indexed::filter_by(|n| n.version.eq(0)).count(&f.db).await.unwrap(), 294);
}
