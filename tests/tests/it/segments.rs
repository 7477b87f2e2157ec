//! Tables of more rows than one segment has.

use futures::TryStreamExt;
use subconscious::{Query, RedisModel};
use subconscious_tests::Fixture;
use subconscious_tests::indexes::SEGMENT;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Event {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    level: u8,
    #[column(index)]
    rare: Option<u16>,
    #[column(sort)]
    at: Option<i64>,
}

fn event(id: u32) -> Event {
    Event {
        id,
        level: (id % 7) as u8,
        rare: id.is_multiple_of(5_000).then_some(1),
        at: (!id.is_multiple_of(10)).then_some(i64::from(id % 1_000)),
    }
}

/// Hands out rows from this one on.
async fn jump(f: &Fixture, row: u64) {
    let () = f.run(redis::cmd("HSET").arg(f.key("{Event}:meta")).arg("rows").arg(row)).await;
}

/// 140,000 records in three segments, with a gap in each. Rows are given in the order of the ids.
#[tokio::test]
async fn queries_reach_over_segments() {
    const RECORDS: u32 = 140_000;
    let f = Fixture::new().await;
    let mut all: Vec<Event> = (0..RECORDS).map(event).collect();
    let parts = [(0..35_000, 0), (35_000..90_000, SEGMENT - 35_000), (90_000..140_000, 2 * SEGMENT - 25_000)];
    for (part, row) in parts {
        jump(&f, row).await;
        Event::save_many(&f.db, &mut all[part]).await.unwrap().into_result().unwrap();
    }

    let check = async |query: Query<Event>, expected: Vec<&Event>, offset: usize, limit: usize| {
        assert_eq!(query.count(&f.db).await.unwrap(), expected.len() as u64, "{query:?}");
        let ids = |events: &[&Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
        let expected: Vec<&Event> = expected.into_iter().skip(offset).take(limit).collect();
        let query = query.offset(offset as u64).limit(limit as u64);
        let found = query.fetch(&f.db).await.unwrap();
        assert_eq!(ids(&found.iter().collect::<Vec<_>>()), ids(&expected), "{query:?}");
    };
    let matching = |condition: fn(&Event) -> bool| all.iter().filter(|event| condition(event)).collect::<Vec<_>>();

    check(Event::all(), all.iter().collect(), 69_900, 200).await;
    check(Event::all(), all.iter().collect(), 114_900, 5_000).await;
    check(Event::filter_by(|e| e.rare.eq(1)), matching(|e| e.rare.is_some()), 5, 100).await;
    check(
        Event::filter_by(|e| !e.level.eq(3) & e.at.lt(500)),
        matching(|e| e.level != 3 && e.at.is_some_and(|at| at < 500)),
        20_000,
        3_000,
    )
    .await;
    check(
        Event::filter_by(|e| e.rare.is_some() | e.at.between(10, 11)),
        matching(|e| e.rare.is_some() || matches!(e.at, Some(10 | 11))),
        0,
        400,
    )
    .await;

    // Ties in row order, which is the order of the ids here; nulls last.
    let mut by_time = all.iter().collect::<Vec<_>>();
    by_time.sort_by_key(|event| (event.at.is_none(), event.at));
    check(Event::all().order_by(|e| e.at.asc()), by_time.clone(), 125_500, 2_000).await;
    let common: Vec<_> = by_time.iter().copied().filter(|event| event.level < 5).collect();
    check(Event::filter_by(|e| e.level.lt(5)).order_by(|e| e.at.asc()), common, 50, 1_500).await;
    let rare: Vec<_> = by_time.iter().copied().filter(|event| event.rare.is_some()).collect();
    check(Event::filter_by(|e| e.rare.is_some()).order_by(|e| e.at.asc()), rare, 3, 100).await;
    let mut by_level = all.iter().rev().collect::<Vec<_>>();
    by_level.sort_by_key(|event| std::cmp::Reverse(event.level));
    check(Event::all().order_by(|e| e.level.desc()), by_level.clone(), 19_900, 1_500).await;
    let some: Vec<_> = by_level.into_iter().filter(|event| event.at.is_some_and(|at| at >= 900)).collect();
    check(Event::filter_by(|e| e.at.ge(900)).order_by(|e| e.level.desc()), some, 1_000, 1_500).await;

    // What was deleted leaves a row that is used again, in whichever segment it is.
    for id in [3, 70_000, 139_999] {
        assert!(Event::delete_by_id(&f.db, id).await.unwrap());
    }
    for id in 0..4 {
        event(1_000_000 + id).insert(&f.db).await.unwrap();
    }
    let rows: u64 = f.run(redis::cmd("HGET").arg(f.key("{Event}:meta")).arg("rows")).await;
    assert_eq!(rows, 2 * SEGMENT + 25_001);
    assert_eq!(Event::all().count(&f.db).await.unwrap(), u64::from(RECORDS) + 1);
}

/// Queries go through the rows of a set one by one.
#[tokio::test]
async fn a_common_value_is_a_bitmap_before_its_segment_is_full() {
    let f = Fixture::new().await;
    let bitmap = async |container: &str| -> bool {
        let key = |kind: &str| f.key(&format!("{{Event}}:{kind}:{container}"));
        f.run(redis::cmd("EXISTS").arg(key("b"))).await
    };
    for (segment, row) in [(0, 0), (1, SEGMENT)] {
        jump(&f, row).await;
        let mut all: Vec<Event> = (0..1_000).map(|at| event(segment * 100_000 + at)).collect();
        Event::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
        assert!(bitmap(&format!("level:{segment}:1")).await);
        // As many rows as that value, but of many more.
        jump(&f, row + 200_000).await;
        let rare = |at| Event { rare: Some(2), ..event(segment * 100_000 + 50_001 + at) };
        let mut all: Vec<Event> = (0..143).map(rare).collect();
        Event::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
        assert!(!bitmap(&format!("rare:{segment}:2")).await);
    }
}

/// Here are 610 empty segments between two that are not.
#[tokio::test]
async fn a_query_goes_on_where_one_call_ends() {
    let f = Fixture::new().await;
    for id in 0..10 {
        event(id).save(&f.db).await.unwrap();
    }
    jump(&f, 160_000_000).await;
    for id in 10..20 {
        event(id).save(&f.db).await.unwrap();
    }
    let query = Event::filter_by(|e| !e.level.eq(1));
    let expected: Vec<u32> = (0..20).filter(|id| id % 7 != 1).collect();
    assert_eq!(query.count(&f.db).await.unwrap(), expected.len() as u64);
    let ids: Vec<u32> = query.stream(&f.db).map_ok(|event| event.id).try_collect().await.unwrap();
    assert_eq!(ids, expected);
    for (offset, id) in expected.iter().enumerate() {
        let first = query.clone().offset(offset as u64).first(&f.db).await.unwrap().unwrap();
        assert_eq!(first.id, *id, "offset {offset}");
        assert!(query.clone().offset(offset as u64).exists(&f.db).await.unwrap());
    }
    assert!(!query.clone().offset(expected.len() as u64).exists(&f.db).await.unwrap());
    assert_eq!(query.offset(expected.len() as u64).first(&f.db).await.unwrap(), None);
}

/// However long calls may take, no list grows beyond what a script can pass on.
#[tokio::test]
async fn a_budget_of_plenty_lists_no_more_than_fits() {
    let f = Fixture::new().await;
    let mut all: Vec<Event> = (0..20_000).map(event).collect();
    Event::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let db = f.db.with_query_budget(std::time::Duration::from_secs(60));
    let matching = all.iter().filter(|event| event.level < 4 && event.at.is_some_and(|at| at >= 300)).count();
    let query = Event::filter_by(|e| e.level.lt(4) & e.at.ge(300));
    assert_eq!(query.count(&db).await.unwrap(), matching as u64);
    assert_eq!(query.fetch(&db).await.unwrap().len(), matching);
    // All that match, sorted; and few of them, which come last in the order.
    let found = Event::filter_by(|e| e.level.lt(4)).order_by(|e| e.at.desc()).fetch(&db).await.unwrap();
    assert_eq!(found.len(), all.iter().filter(|event| event.level < 4).count());
    assert!(found.is_sorted_by_key(|event| std::cmp::Reverse(event.at)));
    let rare = Event::filter_by(|e| e.rare.eq(1)).order_by(|e| e.at.desc()).fetch(&db).await.unwrap();
    assert_eq!(rare.len(), 4);
}
