//! Which way a query takes, and what it says of it.

use std::time::Duration;

use subconscious::{Db, Plan, PlanWay, Query, RedisModel};
use subconscious_tests::Fixture;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Visit {
    #[column(primary_key, sort)]
    id: u32,
    #[column(index, sort)]
    level: u8,
    #[column(index)]
    page: Option<u16>,
    #[column(sort)]
    at: i64,
}

async fn visits(f: &Fixture) {
    let page = |id: u32| match id % 300 {
        0 => Some(1),
        1..=50 => Some(2),
        51..=200 => Some(3),
        _ => None,
    };
    let visit = |id: u32| Visit { id, level: (id % 7) as u8, page: page(id), at: i64::from(id * 7919 % 3_000) };
    let mut all: Vec<_> = (0..3_000).map(visit).collect();
    Visit::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    // The first call of a script takes another round trip, as the server does not know it.
    Visit::all().first(&f.db).await.unwrap();
}

/// No call shall end before it is done, however busy the machine is.
const PLENTY: Duration = Duration::from_secs(10);

async fn ways(f: &Fixture, query: Query<Visit>) -> (Vec<PlanWay>, Plan) {
    ways_with(&f.db.with_query_budget(PLENTY), query).await
}

async fn ways_with(db: &Db, query: Query<Visit>) -> (Vec<PlanWay>, Plan) {
    let plan = query.explain(db).await.unwrap();
    assert_eq!(plan.rows, query.fetch(db).await.unwrap().len() as u64);
    (plan.steps.iter().map(|step| step.way).collect(), plan)
}

#[tokio::test]
async fn a_query_takes_the_cheaper_way() {
    let f = Fixture::new().await;
    visits(&f).await;
    let on = |page: u16| Visit::filter_by(|v| v.page.eq(page));

    // Every second row matches: the ten newest are soon met, 10 of 16, which 1,875 of 3,000 are.
    let (way, plan) = ways(&f, on(3).order_by(|v| v.at.desc()).limit(10)).await;
    assert_eq!(way, [PlanWay::Walk]);
    assert_eq!((plan.looked_at, plan.estimated_rows), (16, Some(1_875)), "{plan:?}");
    assert_eq!(plan.steps[0].why.as_deref(), Some("enough of the first rows of the order match"));
    assert_eq!((plan.round_trips, plan.commands), (1, 1));
    // Ten of all match: all of the order would be walked.
    let (way, plan) = ways(&f, on(1).order_by(|v| v.at.desc()).limit(10)).await;
    assert_eq!((way, plan.looked_at), (vec![PlanWay::Gather], 10));
    assert_eq!(plan.steps[0].why.as_deref(), Some("no more than 10 rows match"));
    let (way, plan) = ways(&f, on(1).filter(|v| v.level.le(9)).order_by(|v| v.at.desc()).limit(10)).await;
    assert_eq!((way, plan.looked_at), (vec![PlanWay::Gather], 10));
    let why = plan.steps[0].why.as_deref().unwrap();
    assert!(why.starts_with("a walk would take about ") && why.contains(" us, gathering "), "{why}");
    // What would take longer than a call may is done here rather than on the server.
    let short = f.db.with_query_budget(Duration::from_micros(60));
    let (way, plan) = ways_with(&short, on(2).order_by(|v| v.at.asc())).await;
    assert_eq!((way, plan.rows), (vec![PlanWay::Bitmaps, PlanWay::Order], 500));
    // Of wide ranges, only one is known from the index; the other is compared here.
    let ranges = Visit::filter_by(|v| v.at.between(600, 900) & v.id.lt(700)).order_by(|v| v.level.asc()).limit(5);
    let plan = ranges.explain(&short).await.unwrap();
    let filter = plan.filter.as_ref().unwrap();
    let rows = (0..700).filter(|id| (600..=900).contains(&(id * 7919 % 3_000))).count() as u64;
    assert_eq!((filter.rows, filter.parts[0].rows), (rows, 301), "{plan}");
    // As if the two were independent.
    assert_eq!((filter.estimated_rows, filter.parts[0].estimated_rows), (Some(71), Some(301)), "{plan}");
    // A page of several keys, of which the first has few values, is one of the next key. The values
    // before it have no rows that match.
    let several =
        || Visit::filter_by(|v| v.page.eq(3) & v.level.ge(1)).order_by(|v| v.level.asc()).order_by(|v| v.at.desc());
    let (way, plan) = ways_with(&f.db.with_query_budget(Duration::from_micros(1_250)), several().limit(5)).await;
    assert_eq!(way, [PlanWay::Bitmaps, PlanWay::Walk], "{plan:?}");
    assert_eq!(plan.round_trips, 3, "{plan:?}");
    // If few rows match, or many are wanted, all of them are sorted here.
    let (way, _) = ways(&f, on(3).order_by(|v| v.level.asc()).order_by(|v| v.at.desc()).limit(5)).await;
    assert_eq!(way, [PlanWay::Bitmaps, PlanWay::Sort]);
    // Without a filter, and with a range of the same column, the order is walked and no other row
    // is looked at.
    for query in [Visit::all(), Visit::filter_by(|v| v.at.ge(1_000) & v.at.lt(2_000))] {
        let (way, plan) = ways(&f, query.order_by(|v| v.at.asc()).offset(700).limit(20)).await;
        assert_eq!((way, plan.looked_at), (vec![PlanWay::Walk], 20));
    }
    let (way, plan) = ways(&f, on(3).order_by(|v| v.level.desc()).limit(20)).await;
    assert_eq!((way, plan.looked_at), (vec![PlanWay::Values], 0));
    let (way, plan) = ways(&f, on(2).limit(20)).await;
    assert_eq!((way, plan.looked_at), (vec![PlanWay::Scan], 0));
    // A range that is wider than what can be listed is tested for the rows that match the rest: one
    // by one, or in one command if these are few.
    let within = |page: u16| Visit::filter_by(move |v| v.at.between(600, 2_400) & v.page.eq(page)).limit(5);
    let (way, plan) = ways_with(&f.db.with_query_budget(Duration::from_millis(2)), within(2)).await;
    assert!(way == [PlanWay::Scan] && plan.looked_at >= 5, "{plan:?}");
    let (way, plan) = ways_with(&short, within(1)).await;
    assert_eq!((way, plan.looked_at), (vec![PlanWay::Scan], 0));
}

#[tokio::test]
async fn a_plan_prints_as_a_tree_and_travels_as_json() {
    let f = Fixture::new().await;
    visits(&f).await;
    let query = Visit::filter_by(|v| (v.page.is_in([1u16, 2]) | v.page.is_none()) & !v.level.ge(3) & v.at.lt(2_000));
    let mut plan = query
        .order_by(|v| v.at.desc().nulls_first())
        .offset(2)
        .limit(5)
        .explain(&f.db.with_query_budget(PLENTY))
        .await
        .unwrap();
    assert!(!plan.script_time.is_zero() && plan.bytes > 50, "{plan:?}");
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    assert!(json.contains(r#""way":"walk""#), "{json}");
    (plan.script_time, plan.bytes) = (Duration::from_micros(210), 120);
    let expected = "\
Visit in at desc nulls first, limit 5, offset 2
  walk along the order, 1 call: enough of the first rows of the order match
  5 rows of an estimated 725 that match, 29 looked at one by one
  1 round trip, 1 command, 210 us of scripts, 120 bytes
  filter
  └ and: 429 rows
    ├ or: 1500 rows
    │ ├ page = \"1\": 10 rows
    │ ├ page = \"2\": 500 rows
    │ └ page is null: 990 rows
    ├ not: 1287 rows
    │ └ level >= \"3\": 1713 rows
    └ at < \"2000\": 2000 rows";
    assert_eq!(plan.to_string(), expected);
    let some = Visit::filter_by(|v| v.page.is_in(1..=20u16)).explain(&f.db).await.unwrap().filter.unwrap();
    assert!(
        some.condition.starts_with(r#"page in ("1", "2", "#) && some.condition.ends_with(r#""10", and 10 more)"#),
        "{some:?}"
    );
    assert_eq!((some.rows, some.parts.len()), (2_010, 0));
    let all = Visit::all().limit(1).explain(&f.db.with_query_budget(PLENTY)).await.unwrap().to_string();
    assert!(
        all.starts_with("Visit in row order, limit 1\n  scan of the matching rows, 1 call\n  1 row, 0 looked"),
        "{all}"
    );
    assert!(all.ends_with("\n  no filter"), "{all}");
}

/// One value of a unique column has a script of its own, which reads its owner.
#[tokio::test]
async fn a_unique_value_is_answered_by_its_owner() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Account {
        #[column(primary_key)]
        id: uuid::Uuid,
        #[column(unique)]
        email: Option<String>,
        #[column(unique, sort)]
        number: u32,
        #[column(expires_at)]
        until: Option<std::time::SystemTime>,
    }
    let f = Fixture::new().await;
    let account = |number: u32| Account {
        id: uuid::Uuid::from_u128(number.into()),
        email: (number != 0).then(|| format!("{number}:@")),
        number,
        until: None,
    };
    let mut all: Vec<_> = (0..50).map(account).collect();
    Account::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let by_email = |email: &str| Account::filter_by(|a| a.email.eq(email));
    // The first call of a script takes another round trip.
    by_email("").fetch(&f.db).await.unwrap();
    let plan = by_email("7:@").explain(&f.db).await.unwrap();
    assert_eq!(plan.steps.iter().map(|step| (step.way, step.calls)).collect::<Vec<_>>(), [(PlanWay::Owner, 1)]);
    assert_eq!((plan.rows, plan.looked_at), (1, 1), "{plan}");
    assert!(!plan.script_time.is_zero() && plan.bytes > 0, "{plan}");

    assert_eq!(by_email("7:@").fetch(&f.db).await.unwrap(), [account(7)]);
    assert_eq!(by_email("7").fetch(&f.db).await.unwrap(), []);
    let by_number = Account::filter_by(|a| a.number.eq(9)).order_by(|a| a.number.desc());
    assert_eq!(by_number.fetch(&f.db).await.unwrap(), [account(9)]);
    assert_eq!(
        by_number.clone().select(|a| (a.email, a.number)).fetch(&f.db).await.unwrap(),
        [(Some("9:@".into()), 9)]
    );
    assert!(by_number.clone().offset(1).fetch(&f.db).await.unwrap().is_empty());
    assert!(by_number.clone().limit(0).fetch(&f.db).await.unwrap().is_empty());
    assert_eq!((by_number.count(&f.db).await.unwrap(), by_number.exists(&f.db).await.unwrap()), (1, true));
    for query in [by_number, by_email("9:@")] {
        let page = query.page(&f.db).await.unwrap();
        assert_eq!((page.items, page.next.is_none(), page.previous.is_none()), (vec![account(9)], true, true));
    }

    // A record that changes, expires, is evicted, or goes with others that expired.
    Account::patch(&f.db, account(7).id, |a| a.email.set("8")).await.unwrap();
    assert_eq!(by_email("7:@").first(&f.db).await.unwrap(), None);
    assert_eq!(by_email("8").first(&f.db).await.unwrap().unwrap().number, 7);
    account(9).expire(&f.db, Duration::from_millis(1)).await.unwrap();
    while Account::exists(&f.db, account(9).id).await.unwrap() {}
    assert_eq!(by_email("9:@").first(&f.db).await.unwrap(), None);
    assert_eq!(by_email("8").first(&f.db).await.unwrap().unwrap().number, 7);
    let () = f.run(redis::cmd("DEL").arg(f.key(&format!("{{Account}}:r:{}", account(3).id)))).await;
    assert_eq!(by_email("3:@").first(&f.db).await.unwrap(), None);
    Account::delete_by_id(&f.db, account(4).id).await.unwrap();
    assert_eq!(by_email("4:@").first(&f.db).await.unwrap(), None);
}
