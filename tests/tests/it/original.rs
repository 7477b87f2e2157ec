//! The behaviours of the original: the Python library of the same name, whose tests these scenarios
//! follow.

use futures::TryStreamExt;
use subconscious::{Error, Query, RedisModel};
use subconscious_tests::Fixture;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct TestUser {
    #[column(primary_key)]
    id: Uuid,
    #[column(index, sort)]
    name: Option<String>,
    #[column(index)]
    age: u32,
    #[column(index)]
    locale: Option<u32>,
    #[column(index)]
    status: Option<Status>,
}

#[derive(Debug, Clone, Copy, PartialEq, subconscious::ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
}

fn user(name: Option<&str>, age: u32) -> TestUser {
    TestUser {
        id: Uuid::new_v4(),
        name: name.map(Into::into),
        age,
        locale: Some(age + 10),
        status: Some(Status::Active),
    }
}

async fn names(f: &Fixture, query: Query<TestUser>) -> Vec<String> {
    query.stream(&f.db).map_ok(|user| user.name.unwrap_or_default()).try_collect().await.unwrap()
}

#[tokio::test]
async fn what_is_saved_is_loaded() {
    let f = Fixture::new().await;
    let mut user = user(Some("Test name"), 100);
    user.save(&f.db).await.unwrap();
    assert_eq!(TestUser::load(&f.db, user.id).await.unwrap(), Some(user));
    assert_eq!(TestUser::load(&f.db, Uuid::new_v4()).await.unwrap(), None);
}

#[derive(Debug, PartialEq, RedisModel)]
struct Numbered {
    #[column(primary_key, auto_increment)]
    id: u64,
    name: Option<String>,
    #[column(auto_increment, index)]
    auto_id: u32,
}

#[tokio::test]
async fn numbers_are_assigned_in_order() {
    let f = Fixture::new().await;
    for expected in 1..=3 {
        let mut record = Numbered { id: 0, name: Some("foo".into()), auto_id: 0 };
        record.save(&f.db).await.unwrap();
        assert_eq!((record.id, record.auto_id), (expected, expected as u32));
        assert_eq!(Numbered::load(&f.db, expected).await.unwrap(), Some(record));
    }
    let mut first = Numbered::load(&f.db, 1).await.unwrap().unwrap();
    first.name = Some("bar".into());
    first.save(&f.db).await.unwrap();
    assert_eq!(Numbered::load(&f.db, 1).await.unwrap().unwrap().name.as_deref(), Some("bar"));
    assert_eq!(Numbered::filter_by(|n| n.auto_id.eq(1)).fetch(&f.db).await.unwrap(), [first]);
}

#[tokio::test]
async fn a_number_that_was_not_assigned_is_refused() {
    let f = Fixture::new().await;
    let refused = Numbered { id: 777, name: None, auto_id: 0 }.save(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "id", .. }), "{refused}");
    let refused = Numbered { id: 0, name: None, auto_id: 5 }.save(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "auto_id", .. }), "{refused}");
    assert!(matches!(Numbered { id: 0, name: None, auto_id: 0 }.update(&f.db).await, Err(Error::NotFound { .. })));
    let records = f.keys().await.into_iter().filter(|key| key.starts_with(b"{Numbered}:r:")).count();
    assert_eq!(records, 0);

    let mut record = Numbered { id: 0, name: None, auto_id: 0 };
    record.save(&f.db).await.unwrap();
    record.auto_id += 1;
    assert!(matches!(record.save(&f.db).await, Err(Error::BadData { column: "auto_id", .. })));
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Diner {
    #[column(composite_key)]
    table_num: u32,
    #[column(composite_key)]
    seat_num: u32,
    comments: Option<String>,
}

#[tokio::test]
async fn a_composite_key_is_found_whole_and_in_part() {
    let f = Fixture::new().await;
    let mut polite = Diner { table_num: 1, seat_num: 4, comments: Some("Very polite".into()) };
    let mut rude = Diner { table_num: 2, seat_num: 5, comments: Some("Very rude".into()) };
    polite.save(&f.db).await.unwrap();
    rude.save(&f.db).await.unwrap();
    assert_eq!(Diner::load(&f.db, (1, 4)).await.unwrap(), Some(polite.clone()));
    let whole = Diner::filter_by(|d| d.table_num.eq(1) & d.seat_num.eq(4));
    assert_eq!(whole.fetch(&f.db).await.unwrap(), [polite.clone()]);
    assert_eq!(Diner::filter_by(|d| d.table_num.eq(1)).fetch(&f.db).await.unwrap(), [polite]);
    assert_eq!(Diner::filter_by(|d| d.table_num.eq(999)).first(&f.db).await.unwrap(), None);
    assert!(Diner::filter_by(|d| d.table_num.is_in([1, 2])).first(&f.db).await.unwrap().is_some());
}

#[tokio::test]
async fn records_are_filtered_by_one_by_list_by_none_and_after_an_update() {
    let f = Fixture::new().await;
    user(None, 0).save(&f.db).await.unwrap();
    for age in 0..9 {
        user(Some(&format!("name-{age}")), age).save(&f.db).await.unwrap();
    }
    let count = async |query: Query<TestUser>| query.fetch(&f.db).await.unwrap().len();
    assert_eq!(count(TestUser::filter_by(|u| u.age.eq(1))).await, 1);
    assert_eq!(count(TestUser::filter_by(|u| u.age.is_in([1, 2]))).await, 2);
    assert_eq!(count(TestUser::filter_by(|u| u.name.is_none())).await, 1);
    let active = TestUser::filter_by(|u| u.status.eq(Status::Active)).fetch(&f.db).await.unwrap();
    assert_eq!(active.len(), 10);
    let mut first = active[0].clone();
    first.status = Some(Status::Inactive);
    first.save(&f.db).await.unwrap();
    assert_eq!(count(TestUser::filter_by(|u| u.status.eq(Status::Active))).await, 9);
    assert_eq!(TestUser::filter_by(|u| u.status.eq(Status::Inactive)).fetch(&f.db).await.unwrap(), [first]);
}

#[tokio::test]
async fn all_records_come_in_order_with_limit_and_offset() {
    let f = Fixture::new().await;
    for (name, age) in [("Test name", 100), ("ZTest name", 53), ("Test name2", 53)] {
        user(Some(name), age).save(&f.db).await.unwrap();
    }
    let ordered = || TestUser::all().order_by(|u| u.name.asc());
    assert_eq!(names(&f, ordered()).await, ["Test name", "Test name2", "ZTest name"]);
    assert_eq!(names(&f, TestUser::all().order_by(|u| u.name.desc())).await, ["ZTest name", "Test name2", "Test name"]);
    assert_eq!(names(&f, ordered().limit(1)).await, ["Test name"]);
    assert_eq!(names(&f, ordered().limit(1).offset(1)).await, ["Test name2"]);
    assert_eq!(names(&f, ordered().offset(1)).await, ["Test name2", "ZTest name"]);
    assert_eq!(names(&f, ordered().offset(999)).await, [""; 0]);
    assert_eq!(names(&f, ordered().limit(999)).await, ["Test name", "Test name2", "ZTest name"]);
    assert_eq!(names(&f, ordered().limit(0)).await, [""; 0]);

    let mut last = TestUser::all().order_by(|u| u.name.desc()).first(&f.db).await.unwrap().unwrap();
    last.name = Some("AATest name".into());
    last.save(&f.db).await.unwrap();
    assert_eq!(names(&f, ordered()).await, ["AATest name", "Test name", "Test name2"]);
}

#[tokio::test]
async fn a_query_is_built_step_by_step() {
    let f = Fixture::new().await;
    for age in 0..9 {
        user(Some(&format!("name-{age}")), age).save(&f.db).await.unwrap();
    }
    let active = || TestUser::query().filter(|u| u.status.eq(Status::Active));
    assert_eq!(names(&f, active()).await.len(), 9);
    assert_eq!(names(&f, TestUser::query()).await.len(), 9);
    let first = active().filter(|u| u.name.eq("name-1")).first(&f.db).await.unwrap().unwrap();
    assert_eq!((first.name.as_deref(), first.status), (Some("name-1"), Some(Status::Active)));
    assert_eq!(names(&f, active().order_by(|u| u.name.asc()).offset(1).limit(3)).await, ["name-1", "name-2", "name-3"]);
    assert_eq!(
        names(&f, active().order_by(|u| u.name.desc()).offset(1).limit(3)).await,
        ["name-7", "name-6", "name-5"]
    );
    assert_eq!(
        active().order_by(|u| u.name.desc()).first(&f.db).await.unwrap().unwrap().name.as_deref(),
        Some("name-8")
    );
}
