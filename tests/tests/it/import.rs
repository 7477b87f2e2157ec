//! Records from elsewhere keep what they have.

use std::collections::BTreeSet;
use std::io;

use futures::{TryStreamExt, stream};
use subconscious::{Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Invoice {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(index)]
    customer: u32,
    #[column(unique)]
    code: Option<String>,
    #[column(auto_increment, sort)]
    number: u32,
    #[column(version, sort)]
    version: u8,
    #[column(created_at, sort)]
    created: i64,
    #[column(updated_at)]
    updated: Option<u64>,
    note: String,
}

fn invoice(id: u64) -> Invoice {
    Invoice {
        id,
        customer: id as u32 % 7,
        code: (!id.is_multiple_of(3)).then(|| format!("c{id}")),
        number: 10_000 - id as u32,
        version: (id % 200) as u8,
        created: 1_500_000_000_000 + id as i64,
        updated: Some(1_600_000_000_000 + id),
        note: format!("note {id}"),
    }
}

/// Ids in an order of their own.
fn invoices(count: u64) -> Vec<Invoice> {
    (0..count).map(|at| invoice(1 + at * 7_919 % count)).collect()
}

async fn all(f: &Fixture) -> Vec<Invoice> {
    let mut all: Vec<Invoice> = Invoice::all().stream(&f.db).try_collect().await.unwrap();
    all.sort_by_key(|invoice| invoice.id);
    all
}

#[tokio::test]
async fn a_record_comes_out_as_it_went_in() {
    let f = Fixture::new().await;
    let expected: Vec<Invoice> = (1..=3_000).map(invoice).collect();
    let mut calls = Vec::new();
    let report =
        Invoice::import(&f.db, stream::iter(invoices(3_000))).progress(|so_far| calls.push(so_far.saved)).await;
    assert_eq!(report.unwrap().into_result().unwrap(), 3_000);
    assert_eq!(calls, [500, 1_000, 1_500, 2_000, 2_500, 3_000]);
    assert_eq!(all(&f).await, expected);
    indexes::assert_exact::<Invoice>(&f).await;
    assert!(Invoice::check(&f.db).await.unwrap().is_clean());

    // Begun anew, over what was saved and changed meanwhile.
    Invoice::patch(&f.db, 5u64, |i| [i.note.set("changed"), i.customer.set(99)]).await.unwrap();
    Invoice::delete_by_id(&f.db, 6u64).await.unwrap();
    let items = invoices(3_000).into_iter().map(Ok::<_, io::Error>);
    assert_eq!(Invoice::import(&f.db, stream::iter(items)).await.unwrap().into_result().unwrap(), 3_000);
    assert_eq!(all(&f).await, expected);
    indexes::assert_exact::<Invoice>(&f).await;

    // New records come after all of these.
    let mut new = Invoice { id: 0, number: 0, version: 0, created: 0, updated: None, code: None, ..invoice(1) };
    new.save(&f.db).await.unwrap();
    assert_eq!((new.id, new.number, new.version), (3_001, 10_000, 1));
    assert!(new.created > 1_600_000_000_000 && new.updated > Some(1_600_000_003_000));
}

#[tokio::test]
async fn what_a_record_lacks_is_assigned() {
    let f = Fixture::new().await;
    Invoice::import(&f.db, stream::iter([invoice(40)])).await.unwrap().into_result().unwrap();
    let bare = Invoice { id: 0, number: 0, created: 0, updated: None, code: None, ..invoice(9) };
    Invoice::import(&f.db, stream::iter([bare.clone()])).await.unwrap().into_result().unwrap();
    let stored = Invoice::load(&f.db, 41u64).await.unwrap().unwrap();
    assert_eq!((stored.number, stored.version), (9_961, 9));
    assert!(stored.created > 1_700_000_000_000 && stored.updated > Some(1_700_000_000_000));
    // A version is kept, also 0: the next write makes it 1.
    Invoice::import(&f.db, stream::iter([Invoice { version: 0, ..invoice(2) }])).await.unwrap().into_result().unwrap();
    let patched = Invoice::patch(&f.db, 2u64, |i| [i.version.expected(0), i.note.set("x")]).await.unwrap();
    assert_eq!(patched.get(|i| i.version), Some(1));
    // Less than the sequence has reached moves nothing back.
    let mut new = Invoice { id: 0, number: 0, version: 0, code: None, ..invoice(1) };
    new.save(&f.db).await.unwrap();
    assert_eq!((new.id, new.number), (42, 9_999));
    indexes::assert_exact::<Invoice>(&f).await;
}

#[tokio::test]
async fn the_report_has_each_record_that_failed_and_each_error_of_the_stream() {
    let f = Fixture::new().await;
    let mut items: Vec<Result<Invoice, io::Error>> = (1..=1_200).map(|id| Ok(invoice(id))).collect();
    items[3] = Err(io::Error::other("row 4 has no customer"));
    items[700] = Ok(Invoice { code: Some("c1".into()), ..invoice(701) });
    items[900] = Ok(Invoice { id: u64::MAX, ..invoice(901) });
    items[1_100] = Ok(Invoice { code: Some("x".repeat(70_000)), ..invoice(1_101) });
    let report = Invoice::import(&f.db, stream::iter(items)).await.unwrap();
    assert_eq!((report.saved, report.failures), (1_196, 4));
    let failed: Vec<(usize, String)> = report.failed.iter().map(|(at, error)| (*at, error.to_string())).collect();
    let [(3, source), (700, duplicate), (900, beyond), (1_100, long)] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(source, "the stream has an error in place of the record");
    let below = std::error::Error::source(&report.failed[0].1).unwrap();
    assert_eq!(below.to_string(), "row 4 has no customer");
    assert!(duplicate.starts_with("Invoice.code: another record has the value"), "{duplicate}");
    assert!(beyond.contains("18446744073709551615") && beyond.contains("9223372036854775807"), "{beyond}");
    assert!(long.contains("Invoice.code"), "{long}");
    assert!(matches!(report.into_result().unwrap_err(), Error::Source(_)));
    assert_eq!(Invoice::all().count(&f.db).await.unwrap(), 1_196);
    indexes::assert_exact::<Invoice>(&f).await;

    // A stream of results can be saved, too.
    let items = [Err("no row".to_owned()), Ok(Invoice { id: 0, number: 0, version: 0, code: None, ..invoice(1) })];
    let report = Invoice::save_stream(&f.db, stream::iter(items), |_| {}).await.unwrap();
    assert_eq!((report.saved, report.failed[0].0), (1, 0));
    assert_eq!(std::error::Error::source(&report.failed[0].1).unwrap().to_string(), "no row");
    assert_eq!(Invoice::load(&f.db, 1_201u64).await.unwrap().unwrap().number, 10_000);
}

#[tokio::test]
async fn others_who_save_meanwhile_get_numbers_of_their_own() {
    let f = Fixture::new().await;
    let import = async {
        let report = Invoice::import(&f.db, stream::iter((1..=2_000).map(|at| invoice(at * 2)))).await.unwrap();
        report.saved
    };
    let save = async {
        let mut ids = BTreeSet::new();
        for _ in 0..300 {
            let mut new = Invoice { id: 0, number: 0, version: 0, code: None, ..invoice(1) };
            new.save(&f.db).await.unwrap();
            assert!(ids.insert(new.id));
        }
        ids
    };
    let (saved, ids) = tokio::join!(import, save);
    assert_eq!(saved, 2_000);
    // An import replaces what has its id: see its documentation.
    let replaced = ids.iter().filter(|id| **id <= 4_000 && id.is_multiple_of(2)).count() as u64;
    assert_eq!(Invoice::all().count(&f.db).await.unwrap(), 2_300 - replaced);
    let mut last = Invoice { id: 0, number: 0, version: 0, code: None, ..invoice(1) };
    last.save(&f.db).await.unwrap();
    assert!(last.id > 4_000);
    indexes::assert_exact::<Invoice>(&f).await;
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Seat {
    #[column(composite_key)]
    hall: String,
    #[column(composite_key)]
    number: i64,
    #[column(index)]
    taken: bool,
    #[column(expires_at)]
    until: Option<u64>,
}

#[tokio::test]
async fn a_deadline_is_kept() {
    let f = Fixture::new().await;
    let far = 4_000_000_000_000;
    let seats = [("a", 5, None), ("b", 3, Some(far)), ("b", -2, Some(1_000)), ("a", 0, None)];
    let seats = seats.map(|(hall, number, until)| Seat { hall: hall.into(), number, taken: number > 3, until });
    Seat::import(&f.db, stream::iter(seats)).await.unwrap().into_result().unwrap();
    let mut found: Vec<(String, i64)> = Seat::all().ids(&f.db).try_collect().await.unwrap();
    found.sort();
    assert_eq!(found, [("a".into(), 0), ("a".into(), 5), ("b".into(), 3)], "one was due");
    assert_eq!(Seat::load(&f.db, ("b", 3)).await.unwrap().unwrap().until, Some(far));
    assert!(Seat::ttl(&f.db, ("b", 3)).await.unwrap().is_some());
    assert_eq!(Seat::ttl(&f.db, ("a", 5)).await.unwrap(), None);
    indexes::assert_exact::<Seat>(&f).await;
}
