//! Enums that read texts that they do not know, as a newer version of the program stores them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use subconscious::testing::TestServer;
use subconscious::{ColumnEnum, Cursor, Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Status {
    Open,
    Closed,
    #[column(other)]
    Other(String),
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Order {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    status: Status,
    #[column(index)]
    before: Option<Status>,
    #[column(index)]
    all: Vec<Status>,
    note: u8,
}

mod newer {
    use subconscious::{ColumnEnum, RedisModel};

    #[derive(Debug, Clone, PartialEq, ColumnEnum)]
    #[column(rename_all = "lowercase")]
    pub(super) enum Status {
        Open,
        Closed,
        Archived,
        Lost,
    }

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Order {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index, sort)]
        pub(super) status: Status,
        #[column(index)]
        pub(super) before: Option<Status>,
        #[column(index)]
        pub(super) all: Vec<Status>,
        pub(super) note: u8,
    }
}

/// That keeps nothing of what it does not know.
mod forgetful {
    use subconscious::{ColumnEnum, RedisModel};

    #[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
    #[column(rename_all = "lowercase")]
    pub(super) enum Status {
        Open,
        Closed,
        #[column(other)]
        Unknown,
    }

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Order {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index, sort)]
        pub(super) status: Status,
        #[column(index)]
        pub(super) before: Option<Status>,
        #[column(index)]
        pub(super) all: Vec<Status>,
        pub(super) note: u8,
    }
}

fn other(text: &str) -> Status {
    Status::Other(text.into())
}

fn order(id: u32, status: Status) -> Order {
    Order { id, all: vec![status.clone(), Status::Open], before: Some(status.clone()), status, note: 0 }
}

#[tokio::test]
async fn a_value_of_a_newer_program_is_read_and_kept() {
    use newer::Status as Newer;
    let f = Fixture::new().await;
    for (id, status) in (1..).zip([Newer::Lost, Newer::Open, Newer::Archived, Newer::Closed, Newer::Archived]) {
        let all = vec![status.clone(), Newer::Open];
        newer::Order { id, before: Some(status.clone()), all, status, note: 0 }.save(&f.db).await.unwrap();
    }
    let statuses = [other("lost"), Status::Open, other("archived"), Status::Closed, other("archived")];
    let wanted: Vec<Order> = (1..).zip(statuses).map(|(id, status)| order(id, status)).collect();
    assert_eq!(Order::all().fetch(&f.db).await.unwrap(), wanted);
    let ids = async |query: subconscious::Query<Order>| -> Vec<u32> {
        query.ids(&f.db).map(Result::unwrap).collect::<Vec<u32>>().await
    };
    assert_eq!(ids(Order::filter_by(|o| o.status.eq(other("archived")))).await, [3, 5]);
    assert_eq!(ids(Order::filter_by(|o| o.status.is_in([other("lost"), Status::Open]))).await, [1, 2]);
    assert_eq!(ids(Order::filter_by(|o| !o.before.eq(other("archived")))).await, [1, 2, 4]);
    assert_eq!(ids(Order::filter_by(|o| o.all.contains(other("lost")))).await, [1]);
    assert_eq!(ids(Order::filter_by(|o| o.status.gt(Status::Open))).await, [1, 3, 4, 5]);
    assert_eq!(ids(Order::filter_by(|o| o.status.le(Status::Closed))).await, [2, 4]);
    let counts: BTreeMap<Status, u64> = Order::all().count_by(&f.db, |o| o.status).await.unwrap().into_iter().collect();
    let all = [(Status::Open, 1), (Status::Closed, 1), (other("archived"), 2), (other("lost"), 1)];
    assert_eq!(counts, BTreeMap::from(all));

    // The older program writes them as they were, and changes what it likes.
    for mut order in wanted.clone() {
        order.note = 7;
        order.save(&f.db).await.unwrap();
    }
    let read = newer::Order::load(&f.db, 3u32).await.unwrap().unwrap();
    assert_eq!((read.status, read.before, read.note), (Newer::Archived, Some(Newer::Archived), 7));
    Order::patch(&f.db, 4u32, |o| [o.status.set(other("archived"))]).await.unwrap();
    // With the name of a variant, it is that variant.
    Order::patch(&f.db, 1u32, |o| [o.status.set(other("open"))]).await.unwrap();
    assert_eq!(Order::load(&f.db, 1u32).await.unwrap().unwrap().status, Status::Open);
    assert_eq!(ids(Order::filter_by(|o| o.status.eq(other("open")))).await, [1, 2]);
    assert_eq!(ids(Order::filter_by(|o| o.status.le(other("open")))).await, [1, 2]);
    indexes::assert_exact::<Order>(&f).await;
    let in_order = newer::Order::all().order_by(|o| o.status.asc()).fetch(&f.db).await.unwrap();
    assert_eq!(in_order.iter().map(|order| order.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    // Neither of them calls the other's places wrong.
    assert!(newer::Order::check(&f.db).await.unwrap().is_clean());
    let report = Order::check(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

/// They share one place in the order, so that a page may end in the middle of it.
#[tokio::test]
async fn values_that_are_not_known_come_last_and_no_page_misses_one() {
    let f = Fixture::new().await;
    let mut orders: Vec<Order> = (0..400)
        .map(|id| match id * 7 % 5 {
            0 => order(id, Status::Open),
            1 => order(id, Status::Closed),
            _ => order(id, other(&format!("x{}", id * 31 % 7))),
        })
        .collect();
    Order::save_many(&f.db, &mut orders).await.unwrap().into_result().unwrap();
    let rank = |order: &Order| match order.status {
        Status::Open => 0,
        Status::Closed => 1,
        Status::Other(_) => 2,
    };
    let mut wanted: Vec<(u8, u32)> = orders.iter().map(|order| (rank(order), order.id)).collect();
    wanted.sort_unstable();
    let mut backwards = wanted.clone();
    backwards.reverse();
    for budget in [0, 20, 1000] {
        let db = f.db.with_query_budget(Duration::from_micros(budget));
        for (descending, wanted) in [(false, &wanted), (true, &backwards)] {
            let all = Order::all().order_by(|o| if descending { o.status.desc() } else { o.status.asc() });
            let found = all.fetch(&db).await.unwrap();
            assert_eq!(&found.iter().map(|order| (rank(order), order.id)).collect::<Vec<_>>(), wanted, "{budget}");
            for size in [1, 7, 150] {
                let (mut found, mut next) = (Vec::new(), None::<Cursor>);
                loop {
                    let mut query = all.clone().limit(size);
                    if let Some(next) = next {
                        query = query.after(next);
                    }
                    let page = query.page(&db).await.unwrap();
                    found.extend(page.items.iter().map(|order| (rank(order), order.id)));
                    next = page.next;
                    if next.is_none() {
                        break;
                    }
                }
                assert_eq!(&found, wanted, "{budget} {size}");
            }
            let few = all.clone().filter(|o| o.status.is_in([other("x1"), other("x3")]) & !o.before.eq(other("x1")));
            let ids: Vec<u32> = few.fetch(&db).await.unwrap().iter().map(|order| order.id).collect();
            let x3 = |id: &u32| orders[*id as usize].status == other("x3");
            assert_eq!(ids, wanted.iter().map(|(_, id)| *id).filter(x3).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_value_that_would_be_lost_is_not_saved() {
    use forgetful::Status::{Open, Unknown};
    // Of its own, as a check goes through all keys of a server.
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    order(1, other("archived")).save(&f.db).await.unwrap();
    let mut read = forgetful::Order::load(&f.db, 1u32).await.unwrap().unwrap();
    assert_eq!((read.status, read.before, &read.all[..]), (Unknown, Some(Unknown), &[Unknown, Open][..]));
    let refused = read.save(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { model: "Order", column: "status", .. }), "{refused:?}");
    let (what, advice) = refused.to_string().split_once(". ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(what.contains("Unknown") && advice.contains("Unknown(String)"), "{refused}");
    let refused = forgetful::Order::patch(&f.db, 1u32, |o| [o.status.set(Unknown)]).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "status", .. }), "{refused:?}");
    let refused = forgetful::Order::filter_by(|o| o.status.eq(Unknown)).fetch(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::InvalidQuery { .. }), "{refused:?}");
    forgetful::Order::patch(&f.db, 1u32, |o| [o.note.set(3)]).await.unwrap();
    assert_eq!(Order::load(&f.db, 1u32).await.unwrap(), Some(Order { note: 3, ..order(1, other("archived")) }));
    assert_eq!(forgetful::Order::all().count_by(&f.db, |o| o.status).await.unwrap(), [(Unknown, 1)]);
    assert!(forgetful::Order::check(&f.db).await.unwrap().is_clean());
    (read.status, read.before) = (Open, None);
    read.all = vec![Open];
    read.save(&f.db).await.unwrap();
    indexes::assert_exact::<Order>(&f).await;

    // What is no text at all is read by neither.
    let () = f.run(redis::cmd("HSET").arg(f.key("{Order}:r:1")).arg("status").arg(b"\xFF")).await;
    assert!(matches!(Order::load(&f.db, 1u32).await, Err(Error::Corrupt { column: Some("status"), .. })));
}
