//! Queries, against a plain list of records.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use subconscious::{Cursor, Error, Query, RedisModel};
use subconscious_tests::indexes::{self, SEGMENT};
use subconscious_tests::{Fixture, replicated_urls};
use tokio::sync::OnceCell;

use crate::oracle::{Item, Size, cases, groups, ids, items, keys, pairs_of, seed, sorted, wanted};
use crate::runtime;

/// Where records are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stored {
    OneSegment,
    Segments,
    /// In several segments, and read from a replica; so many that what most of them match is not
    /// sorted there.
    Replicated,
}

impl Stored {
    async fn fixture(self) -> Fixture {
        if self == Self::Replicated { Fixture::replicated().await } else { Fixture::new().await }
    }
}

/// The records in row order, saved once for all tests of this file, which only read.
async fn store(stored: Stored) -> (Fixture, Vec<Item>) {
    static STORED: [OnceCell<(subconscious::Db, Vec<Item>)>; 3] = [const { OnceCell::const_new() }; 3];
    let (namespace, items) = {
        let (db, items) = STORED[stored as usize]
            .get_or_init(|| async {
                let f = stored.fixture().await;
                let count = if stored == Stored::Replicated { 1_500 } else { 900 };
                let mut all = items(count);
                for (items, row) in all.chunks_mut(count / 3).zip([0, SEGMENT - 100, 4 * SEGMENT - 250]) {
                    if stored != Stored::OneSegment {
                        let () = f.run(redis::cmd("HSET").arg(f.key("{Item}:meta")).arg("rows").arg(row)).await;
                    }
                    Item::save_many(&f.db, items).await.unwrap().into_result().unwrap();
                }
                // Every third goes and leaves its row to a later one.
                for item in all.iter().step_by(3) {
                    assert!(item.delete(&f.db).await.unwrap());
                }
                let (mut gone, mut kept) = (Vec::new(), Vec::new());
                for (at, item) in all.into_iter().enumerate() {
                    if at % 3 == 0 { gone.push(item) } else { kept.push(item) }
                }
                gone.truncate(200);
                Item::save_many(&f.db, &mut gone).await.unwrap().into_result().unwrap();
                kept.extend(gone);
                let mut by_row = Vec::new();
                for item in kept {
                    let row: u64 =
                        f.run(redis::cmd("HGET").arg(f.key(&format!("{{Item}}:r:{}", item.id))).arg("#")).await;
                    by_row.push((row, item));
                }
                by_row.sort_by_key(|(row, _)| *row);
                if stored == Stored::Replicated {
                    f.replicate().await;
                }
                (f.db.clone(), by_row.into_iter().map(|(_, item)| item).collect())
            })
            .await;
        (db.namespace().to_owned(), items.clone())
    };
    // A connection belongs to the runtime of the test that made it.
    let mut f = stored.fixture().await;
    f.db = f.db.with_namespace(&namespace).unwrap();
    (f, items)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), rng_seed: RngSeed::Fixed(seed()), ..ProptestConfig::default() })]

    #[test]
    fn queries_answer_like_a_list(
        wanted in prop::option::weighted(0.9, wanted()),
        keys in keys(),
        stored in prop::sample::select(vec![Stored::OneSegment, Stored::OneSegment, Stored::Segments, Stored::Segments, Stored::Replicated]),
        limit in prop::option::of(prop_oneof![0u64..20, 90u64..130, 700u64..900]),
        offset in prop_oneof![Just(0u64), 0u64..30, 100u64..900],
        size in prop_oneof![30u64..150, 500u64..1500],
        // Calls that end after a few rows have to come to the same.
        budget in prop_oneof![1 => Just(0u64), 2 => Just(60), 2 => Just(300), 4 => Just(1_000), 1 => Just(1_000_000)],
    ) {
        runtime().block_on(async {
            let (f, items) = store(stored).await;
            let db = &f.db.with_query_budget(Duration::from_micros(budget));
            let mut expected: Vec<Item> = items.into_iter().filter(|item| wanted.as_ref().is_none_or(|wanted| wanted.matches(item))).collect();
            let mut query = Item::query();
            if let Some(wanted) = &wanted {
                query = query.filter(|_| wanted.filter());
            }
            expected = sorted(expected, &keys);
            for key in &keys {
                query = query.order_by(|_| key.order());
            }
            let matching = expected.len() as u64;
            assert_eq!(query.count(db).await.unwrap(), matching);
            let prices = || expected.iter().filter_map(|item| item.price);
            assert_eq!(query.min(db, |u| u.price).await.unwrap(), prices().min());
            assert_eq!(query.max(db, |u| u.price).await.unwrap(), prices().max());
            let sizes = || expected.iter().filter_map(|item| item.size);
            assert_eq!(query.min(db, |u| u.size).await.unwrap(), sizes().min());
            assert_eq!(query.max(db, |u| u.size).await.unwrap(), sizes().max());
            assert_eq!(query.count_by(db, |u| u.country).await.unwrap(), groups(&expected, |item| item.country.clone()));
            assert_eq!(query.count_by(db, |u| u.size).await.unwrap(), groups(&expected, |item| item.size));
            let pairs = query.count_by(db, |u| (u.size, u.country)).await.unwrap();
            assert_eq!(pairs, pairs_of(&expected));
            let all = expected.clone();
            expected = expected.into_iter().skip(offset as usize).collect();
            query = query.offset(offset);
            if let Some(limit) = limit {
                expected.truncate(limit as usize);
                query = query.limit(limit);
            }
            assert_eq!(query.exists(db).await.unwrap(), !expected.is_empty());
            assert_eq!(query.first(db).await.unwrap().as_ref(), expected.first());
            assert_eq!(query.count(db).await.unwrap(), expected.len() as u64);
            let found = query.fetch(db).await.unwrap();
            assert_eq!(ids(&found), ids(&expected));
            assert_eq!(found, expected);
            let keys: Vec<String> = query.ids(db).try_collect().await.unwrap();
            assert_eq!(keys, ids(&expected));
            let some: Vec<(Option<i64>, String, String)> =
                query.clone().select(|u| (u.price, u.id, u.title)).fetch(db).await.unwrap();
            let wanted = expected.iter().map(|item| (item.price, item.id.clone(), item.title.clone()));
            assert_eq!(some, wanted.collect::<Vec<_>>());
            let first = query.clone().select(|u| u.country).first(db).await.unwrap();
            assert_eq!(first, expected.first().map(|item| item.country.clone()));
            // Page by page; of the first page alone, the offset counts.
            let (mut turned, mut cursor) = (Vec::new(), None);
            let rest = &all[all.len().min(offset as usize)..];
            query = query.limit(size);
            let mut last = loop {
                let page = query.clone().after(cursor.take()).page(db).await.unwrap();
                assert!(page.items.len() as u64 <= size);
                turned.extend(page.items.clone());
                match &page.next {
                    Some(next) => cursor = Some(next.to_string().parse().unwrap()),
                    None => break page,
                }
            };
            assert_eq!(ids(&turned), ids(rest));
            // And back, to the very first.
            let mut back = last.items.clone();
            while let Some(previous) = last.previous {
                let previous: Cursor = previous.to_string().parse().unwrap();
                last = query.clone().after(previous.clone()).page(db).await.unwrap();
                let selected = query.clone().after(previous).select(|u| u.id).page(db).await.unwrap();
                let mut same = last.clone().map(|record| record.id);
                // A page that is just full may have a cursor where nothing follows, or not.
                if same.items.len() as u64 == size && (same.previous.is_none() || selected.previous.is_none()) {
                    same.previous = selected.previous.clone();
                }
                assert_eq!(selected, same);
                back.splice(0..0, last.items.clone());
            }
            assert_eq!(ids(&back), ids(&all));
        });
    }
}

#[tokio::test]
async fn a_cursor_keeps_its_place_while_records_come_and_go() {
    let f = Fixture::new().await;
    let item = |at: i64| Item {
        id: format!("{at}"),
        age: (at % 7) as u8,
        size: None,
        country: None,
        price: (at % 10 > 0).then_some(at),
        weight: 0.0,
        title: format!("{:03}", at * 37 % 100),
    };
    let mut items: Vec<_> = (0..100).map(item).collect();
    Item::save_many(&f.db, &mut items).await.unwrap().into_result().unwrap();
    for query in [
        Item::all(),
        Item::all().order_by(|u| u.price.desc()),
        Item::all().order_by(|u| u.age.asc()),
        Item::filter_by(|u| u.age.lt(5)).order_by(|u| u.title.asc()),
    ] {
        let all = query.fetch(&f.db).await.unwrap();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = query.clone().limit(9).offset(0).after(cursor).page(&f.db).await.unwrap();
            // One that was seen goes, and comes back as it was but in another row.
            if let Some(gone) = page.items.first() {
                gone.delete(&f.db).await.unwrap();
            }
            let fresh = Item { title: String::new(), price: Some(-1), ..item(1_000 + seen.len() as i64) };
            fresh.clone().save(&f.db).await.unwrap();
            seen.extend(page.items);
            cursor = page.next;
            fresh.delete(&f.db).await.unwrap();
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(ids(&seen), ids(&all));
        for item in &mut items {
            item.save(&f.db).await.unwrap();
        }
    }
}

/// Whether a script finds a page or the client does depends on the time that its calls take.
#[tokio::test]
async fn a_place_has_one_cursor_whichever_way_led_there() {
    let (f, items) = store(Stored::Replicated).await;
    let primary = Fixture::on(replicated_urls().await.0).await.db.with_namespace(f.db.namespace()).unwrap();
    // The first page has all null ones, and no others.
    let nulls = items.iter().filter(|item| item.age != 3 && item.price.is_none()).count() as u64;
    let query = Item::filter_by(|u| u.country.is_in(["DE", "a:b"]) & !u.size.eq(Size::Small)).limit(9);
    let few = Item::filter_by(|u| u.country.eq("DE") & u.size.is_none()).limit(2);
    for query in [
        query.clone(),
        few.clone().order_by(|u| u.price.asc()),
        few.clone().order_by(|u| u.weight.desc()),
        few.filter(|u| u.weight.gt(-40.0)).order_by(|u| u.price.desc()),
        query.clone().filter(|u| u.price.gt(-20)).order_by(|u| u.weight.asc()),
        Item::filter_by(|u| !u.age.eq(3)).order_by(|u| u.price.desc().nulls_first()).limit(nulls),
        query.clone().order_by(|u| u.weight.asc()),
        query.clone().order_by(|u| u.title.desc()),
        query.clone().order_by(|u| u.age.asc()),
        query.clone().order_by(|u| u.size.desc()),
        Item::filter_by(|u| !u.age.eq(3)).order_by(|u| u.size.asc()).limit(300),
    ] {
        let mut after = None;
        loop {
            let page = query.clone().after(after).page(&primary).await.unwrap();
            let Some(next) = page.next else { break };
            // The last record of this page is the first one of what comes before the next.
            let before = query.clone().after(next.clone()).page(&primary).await.unwrap().previous.unwrap();
            for db in [&primary, &primary.with_query_budget(Duration::ZERO), &f.db] {
                let same = query.clone().after(before.clone()).page(db).await.unwrap();
                assert_eq!(ids(&same.items), ids(&page.items));
                let following = query.clone().after(same.next.clone()).page(db).await.unwrap();
                assert_eq!(following.previous.as_ref(), Some(&before));
                assert_eq!(same.next.as_ref(), Some(&next));
                // The first page may have a cursor to what comes before, or not.
                assert!(page.previous.is_none() || same.previous == page.previous);
            }
            after = Some(next);
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_query_and_a_forged_one_are_refused() {
    let (f, _) = store(Stored::OneSegment).await;
    let query = || Item::filter_by(|u| u.age.lt(30)).order_by(|u| u.title.asc()).limit(5);
    let page = query().page(&f.db).await.unwrap();
    let cursor = page.next.unwrap();
    assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
    // Another limit is no other query.
    let rest = query().limit(10_000).after(cursor.clone()).fetch(&f.db).await.unwrap();
    assert_eq!(page.items.len() + rest.len(), query().limit(10_000).fetch(&f.db).await.unwrap().len());
    assert!(query().after(cursor.clone()).exists(&f.db).await.unwrap());
    assert_eq!(query().after(cursor.clone()).first(&f.db).await.unwrap().as_ref(), rest.first());
    for other in [
        Item::all(),
        Item::filter_by(|u| u.age.lt(31)).order_by(|u| u.title.asc()),
        Item::filter_by(|u| u.age.lt(30)).order_by(|u| u.title.desc()),
        Item::filter_by(|u| u.age.lt(30)),
    ] {
        let error = other.after(cursor.clone()).page(&f.db).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidCursor { .. }) && error.is_invalid_input(), "{error:?}");
        assert!(error.to_string().starts_with("the cursor of the query on Item is one of another query. Use it with"));
    }
    let text = cursor.to_string();
    for at in 0..text.len() {
        let mut forged = text.clone().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let forged: Cursor = String::from_utf8(forged).unwrap().parse().unwrap();
        assert!(query().after(forged).fetch(&f.db).await.is_err(), "{at}");
    }
    for nonsense in ["", "0", "xyz", &text[..text.len() - 1], "0000000000000000", "AB", "é", &"é".repeat(9)] {
        let error = nonsense.parse::<Cursor>().unwrap_err();
        assert!(matches!(&error, Error::InvalidCursor { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_query_leaves_no_key_and_a_dropped_stream_neither() {
    let (f, _) = store(Stored::OneSegment).await;
    let before = f.keys().await;
    let query =
        Item::filter_by(|u| !(u.age.lt(20) | u.country.eq("USA")) & !u.price.lt(3)).order_by(|u| u.title.desc());
    assert!(query.count(&f.db).await.unwrap() > 0);
    let mut stream = Item::filter_by(|u| !u.age.eq(3)).stream(&f.db);
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    let mut ids = Item::all().limit(2).ids(&f.db);
    assert!(ids.next().await.is_some_and(|id| id.is_ok()) && ids.try_next().await.unwrap().is_some());
    assert!(ids.try_next().await.unwrap().is_none() && ids.next().await.is_none());
    assert_eq!(f.keys().await, before);
}

#[tokio::test]
async fn a_list_of_values_is_read_to_its_end() {
    for stored in [Stored::OneSegment, Stored::Segments, Stored::Replicated] {
        let (f, items) = store(stored).await;
        let query = |ages: Vec<u8>| {
            Item::filter_by(|u| u.age.is_in(ages) & (u.size.eq(Size::Small) | u.country.is_none()))
                .order_by(|u| u.price.asc())
        };
        for ages in [vec![], vec![3], vec![3, 9], vec![3, 3, 9], (3..7).collect(), (3..30).collect()] {
            let matches =
                |item: &&Item| ages.contains(&item.age) && (item.size == Some(Size::Small) || item.country.is_none());
            let expected = items.iter().filter(matches).count();
            assert_eq!(query(ages.clone()).count(&f.db).await.unwrap(), expected as u64, "{stored:?} {ages:?}");
            assert_eq!(query(ages.clone()).fetch(&f.db).await.unwrap().len(), expected, "{stored:?} {ages:?}");
            // Beside a range, whose values the script reads for a replica.
            let large = Item::filter_by(|u| u.age.is_in(ages.clone()) & u.size.ge(Size::Medium));
            let expected =
                items.iter().filter(|item| ages.contains(&item.age) && item.size >= Some(Size::Medium)).count();
            assert_eq!(large.count(&f.db).await.unwrap(), expected as u64, "{stored:?} {ages:?}");
        }
    }
}

#[tokio::test]
async fn a_list_of_many_values_and_a_deep_filter_are_no_problem() {
    let (f, items) = store(Stored::OneSegment).await;
    let many = Item::filter_by(|u| u.price.is_in((0..20_000).chain([-7])));
    let expected =
        items.iter().filter(|item| item.price.is_some_and(|price| price == -7 || (0..20_000).contains(&price)));
    assert_eq!(many.count(&f.db).await.unwrap(), expected.count() as u64);
    // Beside a range that is too wide to be listed, too.
    let short = f.db.with_query_budget(Duration::from_micros(60));
    let wide = Item::filter_by(|u| u.price.is_in(0..20_000) | u.weight.between(-20.0, 30.0));
    let expected = items.iter().filter(|item| {
        item.price.is_some_and(|price| (0..20_000).contains(&price)) || (-20.0..=30.0).contains(&item.weight)
    });
    assert_eq!(wide.count(&short).await.unwrap(), expected.count() as u64);
    let u = Item::columns();
    let mut deep = u.age.eq(1);
    for age in 2..200 {
        deep = if age % 2 == 0 { deep | u.age.eq(age) } else { !(deep & u.age.lt(250)) };
    }
    let matches = |item: &&Item| {
        (2..200u8).fold(
            item.age == 1,
            |deep, age| if age % 2 == 0 { deep | (item.age == age) } else { !(deep & (item.age < 250)) },
        )
    };
    let expected = items.iter().filter(matches).count() as u64;
    assert_eq!(Item::filter_by(|_| deep).count(&f.db).await.unwrap(), expected);
    assert_eq!(Item::filter_by(|u| u.age.is_in([0u8; 0])).fetch(&f.db).await.unwrap(), []);
    assert_eq!(Item::filter_by(|u| !u.age.is_in([0u8; 0])).count(&f.db).await.unwrap(), items.len() as u64);
}

/// A filter of so many levels of AND and OR.
fn nested(levels: u32) -> subconscious::Filter<Item> {
    let u = Item::columns();
    let mut nested = u.age.eq(1);
    for level in 0..levels {
        let age = (level % 200) as u8;
        nested = if level % 2 == 0 { nested | u.age.eq(age) } else { nested & !u.age.eq(age) };
    }
    nested
}

/// Also where the stack is half of what a thread has by default, in a debug build.
#[test]
fn a_filter_that_is_nested_too_deep_is_an_error() {
    let run = || {
        runtime().block_on(async {
            let (f, items) = store(Stored::OneSegment).await;
            let most = Item::filter_by(|_| nested(299));
            let all = most.clone().order_by(|u| u.price.asc()).fetch(&f.db).await.unwrap();
            assert!(all.len() < items.len());
            assert_eq!(most.count(&f.db).await.unwrap(), all.len() as u64);
            assert_eq!(most.explain(&f.db).await.unwrap().rows, all.len() as u64);
            for levels in [302, 10_000, 100_000] {
                let deep = Item::filter_by(|_| nested(levels));
                let error = deep.fetch(&f.db).await.unwrap_err();
                let text = error.to_string();
                assert!(matches!(error, subconscious::Error::InvalidQuery { .. }), "{error:?}");
                assert!(text.contains("Item") && text.contains("more than 300 levels"), "{text}");
                assert!(deep.count_by(&f.db, |u| u.age).await.is_err() && deep.delete(&f.db).await.is_err());
                assert!(format!("{deep:?}").contains("TooDeep"));
            }
        });
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[tokio::test]
async fn ids_of_composite_keys_come_back_whole() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Place {
        #[column(composite_key)]
        shelf: String,
        #[column(composite_key)]
        at: i16,
        #[column(index)]
        kind: u8,
    }
    let f = Fixture::new().await;
    let shelves = ["", ":", r"\", r"\:a", "a:b:", "\0é"];
    let mut places: Vec<_> =
        shelves.iter().map(|shelf| Place { shelf: (*shelf).into(), at: -7, kind: (shelf.len() % 2) as u8 }).collect();
    Place::save_many(&f.db, &mut places).await.unwrap().into_result().unwrap();
    let ids: Vec<(String, i16)> = Place::all().ids(&f.db).try_collect().await.unwrap();
    assert_eq!(ids, places.iter().map(Place::id).collect::<Vec<_>>());
    assert_eq!(Place::load_many(&f.db, &ids).await.unwrap(), places.iter().cloned().map(Some).collect::<Vec<_>>());
    let odd: Vec<(String, i16)> = Place::filter_by(|p| p.kind.eq(1)).limit(1).ids(&f.db).try_collect().await.unwrap();
    assert_eq!(odd, [(":".to_owned(), -7)]);
}

/// Short rows come packed, long ones do not, and the packing has a form for each magnitude of a
/// length.
#[tokio::test]
async fn values_of_any_length_come_back_whole() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Note {
        #[column(primary_key)]
        id: u32,
        body: Option<Vec<u8>>,
        #[column(sort)]
        length: u32,
    }
    let f = Fixture::new().await;
    let lengths = [0, 1, 31, 32, 127, 128, 255, 256, 1_990, 2_010, 32_767, 32_768, 65_535, 65_536, 70_000];
    let body = |length: u32| (0..length).map(|at| (at * 7 + length) as u8).collect::<Vec<u8>>();
    let note = |id: usize, length: u32| Note { id: id as u32, body: Some(body(length)), length };
    let mut notes: Vec<_> = lengths.into_iter().enumerate().map(|(id, length)| note(id, length)).collect();
    // Enough of them that a page with the longest is packed.
    notes.extend((100..180).map(|id| Note { id, body: None, length: 70_000 }));
    Note::save_many(&f.db, &mut notes).await.unwrap().into_result().unwrap();
    let ascending = Note::all().order_by(|n| n.length.asc());
    assert_eq!(ascending.fetch(&f.db).await.unwrap(), notes);
    assert_eq!(Note::all().fetch(&f.db).await.unwrap(), notes);
    for (at, expected) in notes.iter().take(lengths.len()).enumerate() {
        let one = ascending.clone().offset(at as u64).limit(1);
        assert_eq!(one.fetch(&f.db).await.unwrap(), std::slice::from_ref(expected));
    }
    assert_eq!(Note::filter_by(|n| n.length.ge(70_000)).limit(81).fetch(&f.db).await.unwrap(), notes[14..]);
}

#[tokio::test]
async fn a_query_deletes_what_it_would_deliver() {
    let f = Fixture::new().await;
    let all = items(900);
    type Case = (Query<Item>, fn(&Item) -> bool);
    let queries: [Case; 4] = [
        (Item::filter_by(|u| u.country.eq("DE") | u.price.is_none()), |item| {
            item.country.as_deref() == Some("DE") || item.price.is_none()
        }),
        (Item::filter_by(|u| u.title.starts_with("a") & !u.size.ge(Size::Medium)), |item| {
            item.title.starts_with('a') && item.size.is_none_or(|size| size < Size::Medium)
        }),
        (Item::filter_by(|u| u.weight.lt(0.0)).order_by(|u| u.title.desc()), |item| item.weight < 0.0),
        (Item::all(), |_| true),
    ];
    for (query, matches) in queries {
        Item::save_many(&f.db, &mut all.clone()).await.unwrap().into_result().unwrap();
        let matching = all.iter().filter(|item| matches(item)).count() as u64;
        assert!(matching > 100);
        assert_eq!(query.clone().limit(0).delete(&f.db).await.unwrap(), 0);
        // The first few in its order, then those after some.
        let first = query.clone().limit(7).fetch(&f.db).await.unwrap();
        assert_eq!(query.clone().limit(7).delete(&f.db).await.unwrap(), 7);
        for item in &first {
            assert!(!Item::exists(&f.db, &item.id).await.unwrap());
        }
        let kept = query.clone().limit(3).fetch(&f.db).await.unwrap();
        assert_eq!(query.clone().offset(3).delete(&f.db).await.unwrap(), matching - 10);
        assert_eq!(query.fetch(&f.db).await.unwrap(), kept);
        assert_eq!(query.delete(&f.db).await.unwrap(), 3);
        assert_eq!(query.delete(&f.db).await.unwrap(), 0);
        let left = all.len() as u64 - matching;
        assert_eq!(indexes::assert_exact::<Item>(&f).await.0 as u64, left);
    }
    let refused = Item::filter_by(|u| u.country.eq("x".repeat(2000))).delete(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::InvalidQuery { .. }), "{refused}");
}

/// What has left the filter when its turn comes stays, and what changed but still matches goes.
#[tokio::test]
async fn a_query_deletes_no_record_that_somebody_saved_from_it() {
    let f = Fixture::new().await;
    let mut all: Vec<_> = items(900).into_iter().map(|item| Item { country: Some("USA".into()), ..item }).collect();
    for round in 0..6 {
        Item::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
        let (db, ids) = (f.db.clone(), all.iter().map(|item| item.id.clone()).collect::<Vec<_>>());
        let saver = tokio::spawn(async move {
            let mut saved = Vec::new();
            // From the end, so that the two meet in the middle.
            for (at, id) in ids.into_iter().enumerate().rev() {
                let patched = if (at + round) % 2 == 0 {
                    Item::patch(&db, &id, |u| [u.country.set("DE")]).await
                } else {
                    Item::patch(&db, &id, |u| [u.age.set(3)]).await
                };
                match patched {
                    Ok(_) if (at + round) % 2 == 0 => saved.push(id),
                    Ok(_) => {}
                    Err(error) => assert!(error.is_not_found(), "{error}"),
                }
            }
            saved
        });
        let db = f.db.clone();
        let deleted =
            tokio::spawn(
                async move { Item::filter_by(|u| u.country.eq("USA") & u.age.lt(250)).delete(&db).await.unwrap() },
            );
        let (saved, deleted) = (saver.await.unwrap(), deleted.await.unwrap());
        assert_eq!(deleted as usize + saved.len(), all.len());
        assert_eq!(Item::filter_by(|u| u.country.eq("DE")).count(&f.db).await.unwrap(), saved.len() as u64);
        assert_eq!(indexes::assert_exact::<Item>(&f).await.0, saved.len());
    }
}

#[tokio::test]
async fn a_selected_column_has_its_default_and_an_unreadable_one_is_an_error_of_its_record_alone() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Old {
        #[column(primary_key)]
        id: u32,
        name: String,
    }
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    #[model(name = "Old")]
    struct New {
        #[column(primary_key)]
        id: u32,
        name: String,
        #[column(default = 7)]
        level: u8,
        remark: Option<String>,
        late: String,
    }
    let f = Fixture::new().await;
    Old { id: 3, name: "a".into() }.save(&f.db).await.unwrap();
    Old { id: 4, name: "b".into() }.save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("HSET").arg(f.key("{Old}:r:3")).arg("level").arg("high")).await;
    let found: Vec<_> = New::all().select(|n| (n.id, n.level, n.remark, n.name)).stream(&f.db).collect().await;
    assert!(matches!(&found[0], Err(Error::Corrupt { column: Some("level"), .. })), "{found:?}");
    assert_eq!(found[1].as_ref().unwrap(), &(4, 7, None, "b".to_owned()));
    let missing = New::all().select(|n| n.late).first(&f.db).await.unwrap_err();
    assert!(matches!(missing, Error::MissingColumn { column: "late", .. }), "{missing}");
    assert_eq!(New::all().select(|n| n.id).fetch(&f.db).await.unwrap(), [3, 4]);
}

/// The parts of an OR that match nothing leave an AND in the script, which is none in the query.
#[tokio::test]
async fn a_count_is_right_where_all_of_an_or_but_one_and_vanishes() {
    let (f, items) = store(Stored::OneSegment).await;
    let query = Item::filter_by(|u| (u.age.lt(3) & u.title.gt("é")) | (u.age.eq(0) & u.title.gt("😀")));
    let expected = items.iter().filter(|item| item.age < 3 && item.title.as_str() > "é").count() as u64;
    for budget in [0, 300, 1_000] {
        let db = f.db.with_query_budget(Duration::from_micros(budget));
        assert_eq!(query.count(&db).await.unwrap(), expected);
    }
}

/// How often the commands were called since the last `CONFIG RESETSTAT`.
async fn calls(f: &Fixture, commands: &[&str]) -> u64 {
    let stats: String = f.run(redis::cmd("INFO").arg("commandstats")).await;
    let of = |command: &&str| -> u64 {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    };
    commands.iter().map(of).sum()
}

/// No call evaluates more of a filter than it has time for, and none evaluates again what another
/// one has.
#[tokio::test]
async fn a_long_filter_is_evaluated_once_and_in_several_calls() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Part {
        #[column(primary_key)]
        id: u32,
        #[column(index)]
        number: u32,
        #[column(sort)]
        weight: u32,
    }
    let server = subconscious::testing::TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let records = 5_000;
    let mut parts: Vec<_> = (0..records).map(|id| Part { id, number: id, weight: id % 100 }).collect();
    Part::save_many(&f.db, &mut parts).await.unwrap().into_result().unwrap();
    let values = 15_000;
    let many = Part::filter_by(|p| p.number.is_in(0..values) & p.weight.ge(50));
    let reset = async || {
        let () = f.run(redis::cmd("CONFIG").arg("RESETSTAT")).await;
    };
    let bounded = async |name: &str| {
        let (scripts, lists) = (calls(&f, &["evalsha", "eval"]).await, calls(&f, &["get", "smembers", "exists"]).await);
        // Each posting list is read once, by a command of its own.
        assert!(
            lists >= u64::from(values) && lists <= u64::from(values) + 10 * scripts,
            "{name}: {lists} reads of lists"
        );
    };
    reset().await;
    assert_eq!(many.count(&f.db).await.unwrap(), 2_500);
    bounded("count").await;
    reset().await;
    assert_eq!(many.fetch(&f.db).await.unwrap().len(), 2_500);
    bounded("fetch").await;
    reset().await;
    let heaviest = many.clone().order_by(|p| p.weight.desc()).limit(10).fetch(&f.db).await.unwrap();
    assert!(heaviest.iter().all(|part| part.weight == 99) && heaviest.len() == 10);
    bounded("order").await;
    reset().await;
    assert_eq!(many.count_by(&f.db, |p| p.number).await.unwrap().len(), 2_500);
    bounded("groups").await;
    // A filter of many parts, each of which is short.
    let nots = || Part::filter_by(|p| (0..200).fold(p.weight.ge(50), |all, at| all & !p.number.eq(at * 10 + 5)));
    let expected = parts.iter().filter(|part| part.weight >= 50 && !(part.number < 2_000 && part.number % 10 == 5));
    assert_eq!(nots().count(&f.db).await.unwrap(), expected.count() as u64);
    reset().await;
    assert_eq!(many.delete(&f.db).await.unwrap(), 2_500);
    // The deletes read no containers but those that they change: two of each record.
    let lists = calls(&f, &["get", "smembers"]).await;
    assert!(lists <= u64::from(values) + 10_000, "delete: {lists} reads of lists");
    assert_eq!(Part::all().count(&f.db).await.unwrap(), 2_500);
    assert!(Part::check(&f.db).await.unwrap().is_clean());
}
