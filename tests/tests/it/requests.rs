//! Queries whose filters, orders and cursors come from a request.

use std::collections::BTreeSet;

use subconscious::{ColumnEnum, Cursor, Direction, Error, Filter, Order, Page, RedisModel};
use subconscious_tests::{Fixture, indexes};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Ticket {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    state: State,
    #[column(index, rename = "for")]
    assignee: Option<String>,
    #[column(index)]
    tags: BTreeSet<String>,
    #[column(unique)]
    code: Option<Uuid>,
    #[column(sort)]
    rank: f64,
    #[column(sort)]
    due: Option<i64>,
    note: String,
}

async fn tickets(f: &Fixture) -> Vec<Ticket> {
    let ticket = |id: u32| Ticket {
        id,
        state: if id.is_multiple_of(3) { State::Closed } else { State::Open },
        assignee: (!id.is_multiple_of(4)).then(|| format!("user {}", id % 4)),
        tags: [format!("tag{}", id % 2), "all,".into()].into(),
        code: (!id.is_multiple_of(5)).then(|| Uuid::from_u128(0xABCD_EF00 + u128::from(id))),
        rank: [0.0, -0.0, 1.5, -2.25, f64::INFINITY][id as usize % 5],
        due: (!id.is_multiple_of(6)).then_some(i64::from(id % 6) + (1 << 53)),
        note: String::new(),
    };
    let mut all: Vec<Ticket> = (0..60).map(ticket).collect();
    Ticket::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    all
}

async fn ids(f: &Fixture, filter: Filter<Ticket>) -> Vec<u32> {
    let found = Ticket::filter_by(|_| filter).fetch(&f.db).await.unwrap();
    found.into_iter().map(|ticket| ticket.id).collect()
}

fn expected(all: &[Ticket], matches: impl Fn(&Ticket) -> bool) -> Vec<u32> {
    all.iter().filter(|ticket| matches(ticket)).map(|ticket| ticket.id).collect()
}

#[tokio::test]
async fn filters_are_combined_from_any_number() {
    let f = Fixture::new().await;
    let all = tickets(&f).await;
    let t = Ticket::columns();
    assert_eq!(ids(&f, Filter::all([])).await, expected(&all, |_| true));
    assert_eq!(ids(&f, Filter::any([])).await, Vec::<u32>::new());
    let some = || [t.state.eq(State::Closed), t.assignee.eq("user 1")];
    let closed = |ticket: &Ticket| ticket.state == State::Closed;
    let of_user_1 = |ticket: &Ticket| ticket.assignee.as_deref() == Some("user 1");
    assert_eq!(ids(&f, Filter::all(some())).await, expected(&all, |t| closed(t) && of_user_1(t)));
    assert_eq!(ids(&f, Filter::any(some())).await, expected(&all, |t| closed(t) || of_user_1(t)));
    let none: [Option<Filter<Ticket>>; 2] = [None, None];
    assert_eq!(ids(&f, Filter::all(none.into_iter().flatten())).await.len(), 60);
    // Null is not a value.
    assert_eq!(ids(&f, t.assignee.ne("user 1")).await, expected(&all, |t| !of_user_1(t)));
    assert_eq!(ids(&f, t.code.ne(Uuid::from_u128(0xABCD_EF07))).await, expected(&all, |t| t.id != 7));
}

#[tokio::test]
async fn an_order_without_an_index_answers_equality_and_nulls() {
    let f = Fixture::new().await;
    let all = tickets(&f).await;
    let t = Ticket::columns();
    for rank in [0.0, -0.0, 1.5, -2.25, f64::INFINITY, 7.0] {
        assert_eq!(ids(&f, t.rank.eq(rank)).await, expected(&all, |t| t.rank == rank), "{rank}");
        assert_eq!(ids(&f, t.rank.ne(rank)).await, expected(&all, |t| t.rank != rank), "{rank}");
    }
    let ranks = [1.5, -2.25, 1.5, 8.0];
    assert_eq!(ids(&f, t.rank.is_in(ranks)).await, expected(&all, |t| ranks.contains(&t.rank)));
    assert_eq!(ids(&f, t.rank.is_in(Vec::<f64>::new())).await, Vec::<u32>::new());
    // Neighbours that a double does not tell apart.
    let due = (1 << 53) + 1;
    assert_eq!(ids(&f, t.due.eq(due)).await, expected(&all, |t| t.due == Some(due)));
    let soon = [due, due + 2];
    let many = || (0..400).map(move |at| due + 2 * at);
    for dues in [soon.to_vec(), many().collect()] {
        let matches = |t: &Ticket| t.due.is_some_and(|due| dues.contains(&due));
        assert_eq!(ids(&f, t.due.is_in(dues.clone())).await, expected(&all, matches));
        let query = Ticket::filter_by(|t| t.due.is_in(dues.clone()) & t.state.eq(State::Open));
        let wanted = expected(&all, |t| matches(t) && t.state == State::Open);
        assert_eq!(query.count(&f.db).await.unwrap(), wanted.len() as u64);
        let newest = query.order_by(|t| t.due.desc()).limit(3).fetch(&f.db).await.unwrap();
        let mut wanted: Vec<_> = wanted.into_iter().map(|id| (all[id as usize].due, id)).collect();
        wanted.sort();
        wanted.reverse();
        wanted.truncate(3);
        assert_eq!(newest.into_iter().map(|t| (t.due, t.id)).collect::<Vec<_>>(), wanted);
    }
    assert_eq!(ids(&f, t.due.is_none()).await, expected(&all, |t| t.due.is_none()));
    assert_eq!(ids(&f, t.due.is_some()).await, expected(&all, |t| t.due.is_some()));
    indexes::assert_exact::<Ticket>(&f).await;
}

#[tokio::test]
async fn columns_are_named_by_a_request() {
    let f = Fixture::new().await;
    let all = tickets(&f).await;
    let named = |name: &str, value: &str| Filter::<Ticket>::by_name(name, value);
    type Test = dyn Fn(&Ticket) -> bool;
    let cases: [(&str, &str, &Test); 8] = [
        ("state", "Closed", &|t| t.state == State::Closed),
        ("for", "user 2", &|t| t.assignee.as_deref() == Some("user 2")),
        ("for", "", &|_| false),
        ("tags", "tag1", &|t| t.id % 2 == 1),
        ("tags", "all,", &|_| true),
        ("code", "00000000-0000-0000-0000-0000abcdef07", &|t| t.id == 7),
        ("rank", "1.5", &|t| t.rank == 1.5),
        ("due", "9007199254740993", &|t| t.due == Some(9_007_199_254_740_993)),
    ];
    for (name, value, matches) in cases {
        assert_eq!(ids(&f, named(name, value).unwrap()).await, expected(&all, matches), "{name} {value}");
    }
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::InvalidQuery { model: "Ticket", .. }), "{error:?}");
        error.to_string()
    };
    let query = "the query on Ticket cannot be run: ";
    let filters = "Filter by one of state, for, tags, code, rank, due";
    for (name, value, reason) in [
        ("assignee", "x", format!("there is no column \"assignee\". {filters}")),
        ("no\n\"such", "x", format!("there is no column \"no\\n\\\"such\". {filters}")),
        ("note", "x", format!("note has no `index`, `sort` or `unique`. {filters}")),
        ("state", "Ajar", "state: \"Ajar\" is none of Open, Closed".into()),
        ("due", "soon", "due: \"soon\" is not i64".into()),
        ("rank", "1.50", "rank: \"1.50\" is not f64".into()),
        ("due", "007", "due: \"007\" is not i64".into()),
        ("code", "7", "code: \"7\" is not a UUID".into()),
    ] {
        assert_eq!(refused(named(name, value).map(drop)), format!("{query}{reason}"));
    }
    let long = "x".repeat(70_000);
    assert!(refused(named("for", &long).map(drop)).contains("an indexed value has at most"));

    let by = |name: &str, direction| Order::<Ticket>::by_name(name, direction);
    for (direction, typed) in
        [(Direction::Asc, Ticket::columns().due.asc()), (Direction::Desc, Ticket::columns().due.desc())]
    {
        let orders = [by("due", direction).unwrap(), Ticket::columns().due.order(direction), typed.clone()];
        let mut found = Vec::new();
        for order in orders {
            found.push(Ticket::all().order_by(|_| order).fetch(&f.db).await.unwrap());
        }
        assert!(found[0] == found[1] && found[1] == found[2] && found[0].len() == 60);
        assert!(found[0][59].due.is_none(), "nulls come last in both directions");
        found[0].reverse();
        assert_eq!(Ticket::all().order_by(|_| typed.reversed()).fetch(&f.db).await.unwrap(), found[0]);
    }
    let orders = "Order by one of rank, due";
    assert_eq!(refused(by("state", Direction::Asc).map(drop)), format!("{query}state has no `sort`. {orders}"));
    assert_eq!(refused(by("x", Direction::Asc).map(drop)), format!("{query}there is no column \"x\". {orders}"));
}

#[tokio::test]
async fn a_verb_of_all_records_refuses_a_part_of_them() {
    let f = Fixture::new().await;
    let db = &f.db;
    tickets(&f).await;
    let query = || Ticket::filter_by(|t| t.state.eq(State::Open)).order_by(|t| t.rank.desc());
    let cursor = query().limit(3).page(db).await.unwrap().next.unwrap();
    // An order changes nothing.
    assert_eq!(query().count(db).await.unwrap(), 40);
    assert_eq!(query().limit(3).offset(38).count(db).await.unwrap(), 2);
    assert_eq!(query().max(db, |t| t.rank).await.unwrap(), Some(f64::INFINITY));
    let reason = |error: Error| {
        assert!(matches!(error, Error::InvalidQuery { .. }), "{error:?}");
        error.to_string()
    };
    let refused = |verb: &str, part: &str| {
        let advice = "as it is of all records that match. Call it on a query without one";
        format!("the query on Ticket cannot be run: `{verb}` takes no {part}, {advice}")
    };
    let after = query().after(cursor.clone());
    assert_eq!(reason(after.count(db).await.unwrap_err()), refused("count", "cursor"));
    for (part, query) in [("limit", query().limit(3)), ("offset", query().offset(1)), ("cursor", after)] {
        assert_eq!(reason(query.min(db, |t| t.rank).await.unwrap_err()), refused("min", part));
        assert_eq!(reason(query.max(db, |t| t.rank).await.unwrap_err()), refused("max", part));
        assert_eq!(reason(query.sum(db, |t| t.rank).await.unwrap_err()), refused("sum", part));
        assert_eq!(reason(query.avg(db, |t| t.due).await.unwrap_err()), refused("avg", part));
        assert_eq!(reason(query.count_by(db, |t| t.state).await.unwrap_err()), refused("count_by", part));
    }
}

#[tokio::test]
async fn a_direction_a_cursor_and_a_page_travel_as_json() {
    assert_eq!("asc".parse::<Direction>().unwrap(), Direction::Asc);
    assert_eq!(serde_json::from_str::<Direction>("\"desc\"").unwrap(), Direction::Desc);
    assert_eq!(serde_json::to_string(&[Direction::Asc, Direction::Desc]).unwrap(), r#"["asc","desc"]"#);
    assert_eq!(Direction::Asc.reversed().to_string(), "desc");
    let error = "down".parse::<Direction>().unwrap_err();
    assert_eq!(error.to_string(), "\"down\" is not a direction, `asc` or `desc`");

    let f = Fixture::new().await;
    tickets(&f).await;
    let query = Ticket::all().order_by(|t| t.due.desc()).limit(7);
    let page = query.page(&f.db).await.unwrap().map(|ticket| ticket.id);
    let json = serde_json::to_string(&page).unwrap();
    let read: Page<u32> = serde_json::from_str(&json).unwrap();
    assert_eq!(read, page);
    let text = page.next.as_ref().unwrap().to_string();
    assert!(json.contains(&format!("\"next\":\"{text}\",\"previous\":null")), "{json}");
    let cursor: Cursor = serde_json::from_str(&format!("\"{text}\"")).unwrap();
    let next = query.after(cursor).page(&f.db).await.unwrap();
    assert_eq!(next.items.len(), 7);
    let error = serde_json::from_str::<Cursor>("\"zz\"").unwrap_err();
    assert!(error.to_string().contains("\"zz\" is not a cursor"), "{error}");
}
