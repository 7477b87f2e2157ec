//! Records that expire: gone from every answer at the same moment, whoever looks first.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::{Fixture, indexes};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Session {
    #[column(primary_key)]
    id: u32,
    #[column(unique)]
    token: String,
    #[column(index, sort)]
    level: u8,
    #[column(sort)]
    score: i64,
    #[column(index)]
    tags: Vec<String>,
    hits: u64,
}

fn session(id: u32) -> Session {
    Session {
        id,
        token: format!("t{id}"),
        level: (id % 3) as u8,
        score: i64::from(id),
        tags: vec!["x".into()],
        hits: 0,
    }
}

/// Waits until the record's hash is gone, which is when it is due.
async fn wait_for<M: RedisModel>(db: &Db, id: M::Id)
where
    M::Id: Clone + subconscious::value::IntoValue<M::Id>,
{
    while M::exists(db, id.clone()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

const SHORT: Duration = Duration::from_millis(30);

/// Also in the millisecond in which it expires.
#[tokio::test]
async fn a_record_that_expires_now_is_gone_from_every_answer() {
    let f = Fixture::new().await;
    for id in 0..200 {
        session(0).save(&f.db).await.unwrap();
        session(0).expire(&f.db, Duration::ZERO).await.unwrap();
        if id % 2 == 0 {
            assert_eq!(Session::all().count(&f.db).await.unwrap(), 0);
            assert_eq!(Session::filter_by(|s| s.token.eq("t0")).count(&f.db).await.unwrap(), 0);
        }
        // Its unique value is free.
        Session { id: id + 1, ..session(0) }.insert(&f.db).await.unwrap();
        assert!(Session::delete_by_id(&f.db, id + 1).await.unwrap());
    }
    Session::purge_expired(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<Session>(&f).await.0, 0);
}

/// Some servers remove a record in the millisecond of its deadline already, if they come across it
/// then.
#[tokio::test]
async fn what_the_server_has_removed_is_in_no_answer_from_that_moment() {
    let server = TestServer::builder().arg("--hz", "500").start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let records = 300;
    let mut sessions: Vec<_> = (0..records).map(session).collect();
    Session::save_many(&f.db, &mut sessions).await.unwrap().into_result().unwrap();
    let begin = SystemTime::now() + Duration::from_millis(500);
    let expire = async |session: &Session| {
        session.expire_at(&f.db, begin + Duration::from_millis(u64::from(session.id))).await.unwrap()
    };
    stream::iter(&sessions).for_each_concurrent(100, expire).await;
    for session in sessions {
        while Session::exists(&f.db, session.id).await.unwrap() {}
        let Session { id, ref token, score, .. } = session;
        match id % 4 {
            0 => assert!(Session::check(&f.db).await.unwrap().is_clean()),
            1 => assert_eq!(Session::filter_by(|s| s.score.between(score, score)).count(&f.db).await.unwrap(), 0),
            2 => assert_eq!(Session::filter_by(|s| s.token.eq(token)).count(&f.db).await.unwrap(), 0),
            _ => Session { id: records + id, ..session }.insert(&f.db).await.unwrap(),
        }
    }
    indexes::assert_exact::<Session>(&f).await;
}

#[tokio::test]
async fn an_expired_record_is_in_no_answer() {
    let f = Fixture::new().await;
    for id in 0..6 {
        session(id).save(&f.db).await.unwrap();
    }
    session(1).expire(&f.db, SHORT).await.unwrap();
    session(4).expire(&f.db, Duration::from_secs(500)).await.unwrap();
    let left = Session::ttl(&f.db, 4u32).await.unwrap().unwrap();
    assert!(left <= Duration::from_secs(500) && left > Duration::from_secs(400), "{left:?}");
    assert_eq!(Session::ttl(&f.db, 0u32).await.unwrap(), None);
    assert!(Session::ttl(&f.db, 99u32).await.unwrap_err().is_not_found());
    assert!(session(99).expire(&f.db, SHORT).await.unwrap_err().is_not_found());
    // The values of its last write are those that its entries were made of.
    if let Err(error) = Session::patch(&f.db, 1u32, |s| [s.level.set(2), s.score.incr(40)]).await {
        panic!("expired too early: {error}");
    }
    wait_for::<Session>(&f.db, 1).await;
    assert_eq!(Session::filter_by(|s| s.level.eq(2)).count(&f.db).await.unwrap(), 2);
    indexes::assert_exact::<Session>(&f).await;
    assert_eq!(Session::all().count(&f.db).await.unwrap(), 5);
    let ids: Vec<u32> = Session::all()
        .order_by(|s| s.score.desc())
        .fetch(&f.db)
        .await
        .unwrap()
        .into_iter()
        .map(|session| session.id)
        .collect();
    assert_eq!(ids, [5, 4, 3, 2, 0]);
}

#[tokio::test]
async fn the_first_count_page_and_lookup_after_an_expiry_are_right() {
    let f = Fixture::new().await;
    for round in 0..4 {
        for id in 0..300 {
            let mut session = session(id);
            session.save(&f.db).await.unwrap();
        }
        for id in 0..150 {
            session(id).expire(&f.db, SHORT).await.unwrap();
        }
        for id in 0..150 {
            wait_for::<Session>(&f.db, id).await;
        }
        match round {
            0 => assert_eq!(Session::all().count(&f.db).await.unwrap(), 150),
            1 => assert_eq!(Session::filter_by(|s| s.tags.contains("x")).fetch(&f.db).await.unwrap().len(), 150),
            2 => assert!(!Session::filter_by(|s| s.token.eq("t7")).exists(&f.db).await.unwrap()),
            _ => assert_eq!(Session::purge_expired(&f.db).await.unwrap(), 150),
        }
        indexes::assert_exact::<Session>(&f).await;
    }
}

#[tokio::test]
async fn a_value_of_an_expired_record_is_free_and_its_id_can_be_used_again() {
    let f = Fixture::new().await;
    session(1).save(&f.db).await.unwrap();
    session(2).save(&f.db).await.unwrap();
    session(1).expire(&f.db, SHORT).await.unwrap();
    session(2).expire(&f.db, SHORT).await.unwrap();
    wait_for::<Session>(&f.db, 1).await;
    wait_for::<Session>(&f.db, 2).await;
    // Patches do not clean up, so that the owner of the value is found to be gone.
    session(3).save(&f.db).await.unwrap();
    session(4).save(&f.db).await.unwrap();
    Session::patch(&f.db, 3u32, |s| [s.token.set("t1")]).await.unwrap();
    session(2).insert(&f.db).await.unwrap();
    assert_eq!(Session::ttl(&f.db, 2u32).await.unwrap(), None);
    assert_eq!(Session::all().count(&f.db).await.unwrap(), 3);
    indexes::assert_exact::<Session>(&f).await;
}

#[tokio::test]
async fn a_patch_may_take_the_value_of_a_record_that_nobody_has_cleaned_up() {
    let f = Fixture::new().await;
    session(1).save(&f.db).await.unwrap();
    session(2).save(&f.db).await.unwrap();
    session(1).expire(&f.db, SHORT).await.unwrap();
    wait_for::<Session>(&f.db, 1).await;
    Session::patch(&f.db, 2u32, |s| [s.token.set("t1")]).await.unwrap();
    let found = Session::filter_by(|s| s.token.eq("t1")).fetch(&f.db).await.unwrap();
    assert_eq!(found, [Session { token: "t1".into(), ..session(2) }]);
    indexes::assert_exact::<Session>(&f).await;
}

#[tokio::test]
async fn a_save_keeps_a_running_time_to_live_and_persist_ends_it() {
    let f = Fixture::new().await;
    session(1).save(&f.db).await.unwrap();
    session(1).expire_at(&f.db, SystemTime::now() + Duration::from_secs(1000)).await.unwrap();
    let mut changed = Session { level: 9, ..session(1) };
    changed.save(&f.db).await.unwrap();
    assert!(Session::ttl(&f.db, 1u32).await.unwrap().unwrap() > Duration::from_secs(900));
    indexes::assert_exact::<Session>(&f).await;
    changed.persist(&f.db).await.unwrap();
    assert_eq!(Session::ttl(&f.db, 1u32).await.unwrap(), None);
    indexes::assert_exact::<Session>(&f).await;
    changed.expire_at(&f.db, SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(Session::load(&f.db, 1u32).await.unwrap(), None);
    assert_eq!(Session::all().count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<Session>(&f).await;
    // As long as there can be.
    session(2).save(&f.db).await.unwrap();
    session(2).expire(&f.db, Duration::MAX).await.unwrap();
    assert!(Session::ttl(&f.db, 2u32).await.unwrap().unwrap() > Duration::from_secs(7000 * 365 * 86_400));
    // Deleted and taken records leave nothing to be purged.
    assert!(Session::take(&f.db, 2u32).await.unwrap().is_some());
    assert_eq!(f.keys().await, [b"{Session}:meta"]);
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(ttl = "1h")]
struct Fixed {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    kind: u8,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(ttl = "1h", renew)]
struct Sliding {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    kind: u8,
}

#[tokio::test]
async fn a_model_can_give_its_records_a_time_to_live_from_the_first_or_the_last_write() {
    let f = Fixture::new().await;
    let hour = Duration::from_secs(3600);
    let short = Duration::from_secs(60);

    let mut fixed = Fixed { id: 1, kind: 1 };
    fixed.save(&f.db).await.unwrap();
    let left = Fixed::ttl(&f.db, 1u32).await.unwrap().unwrap();
    assert!(left <= hour && left > hour - short, "{left:?}");
    fixed.expire(&f.db, short).await.unwrap();
    fixed.kind = 2;
    fixed.save(&f.db).await.unwrap();
    Fixed::patch(&f.db, 1u32, |f| [f.kind.set(3)]).await.unwrap();
    assert!(Fixed::ttl(&f.db, 1u32).await.unwrap().unwrap() <= short);
    fixed.persist(&f.db).await.unwrap();
    fixed.save(&f.db).await.unwrap();
    assert_eq!(Fixed::ttl(&f.db, 1u32).await.unwrap(), None);
    indexes::assert_exact::<Fixed>(&f).await;

    let mut sliding = Sliding { id: 1, kind: 1 };
    sliding.save(&f.db).await.unwrap();
    sliding.expire(&f.db, short).await.unwrap();
    sliding.save(&f.db).await.unwrap();
    assert!(Sliding::ttl(&f.db, 1u32).await.unwrap().unwrap() > hour - short);
    sliding.expire(&f.db, short).await.unwrap();
    Sliding::patch(&f.db, 1u32, |s| [s.kind.set(2)]).await.unwrap();
    assert!(Sliding::ttl(&f.db, 1u32).await.unwrap().unwrap() > hour - short);
    indexes::assert_exact::<Sliding>(&f).await;

    let mut many: Vec<_> = (0..50).map(|id| Fixed { id, kind: 7 }).collect();
    Fixed::save_many(&f.db, &mut many).await.unwrap().into_result().unwrap();
    for record in &many {
        record.expire(&f.db, SHORT).await.unwrap();
    }
    wait_for::<Fixed>(&f.db, 49).await;
    assert_eq!(Fixed::filter_by(|f| f.kind.eq(7)).count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<Fixed>(&f).await;
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Offer {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    shop: String,
    #[column(expires_at, sort)]
    until: Option<DateTime<Utc>>,
}

#[tokio::test]
async fn a_column_can_say_until_when_a_record_lives() {
    let f = Fixture::new().await;
    let later = DateTime::from_timestamp(4_000_000_000, 123_456_789).unwrap();
    let mut offer = Offer { id: 1, shop: "a".into(), until: Some(later) };
    offer.save(&f.db).await.unwrap();
    let deadline: i64 = f.run(redis::cmd("PEXPIRETIME").arg(f.key("{Offer}:r:1"))).await;
    // Rounded up: it has not ended before.
    assert_eq!(deadline, 4_000_000_000_124);
    indexes::assert_exact::<Offer>(&f).await;
    assert_eq!(Offer::load(&f.db, 1u32).await.unwrap().unwrap(), offer);

    offer.until = None;
    offer.save(&f.db).await.unwrap();
    assert_eq!(Offer::ttl(&f.db, 1u32).await.unwrap(), None);
    Offer::patch(&f.db, 1u32, |o| [o.until.set(later)]).await.unwrap();
    assert!(Offer::ttl(&f.db, 1u32).await.unwrap().is_some());
    indexes::assert_exact::<Offer>(&f).await;
    Offer::patch(&f.db, 1u32, |o| [o.until.clear()]).await.unwrap();
    assert_eq!(Offer::ttl(&f.db, 1u32).await.unwrap(), None);
    indexes::assert_exact::<Offer>(&f).await;

    // The verbs move the column, too.
    offer.expire(&f.db, Duration::from_secs(100)).await.unwrap();
    offer.reload(&f.db).await.unwrap();
    let deadline: i64 = f.run(redis::cmd("PEXPIRETIME").arg(f.key("{Offer}:r:1"))).await;
    assert_eq!(offer.until.unwrap().timestamp_millis(), deadline);
    indexes::assert_exact::<Offer>(&f).await;
    offer.persist(&f.db).await.unwrap();
    offer.reload(&f.db).await.unwrap();
    assert_eq!(offer.until, None);

    offer.until = Some(Utc::now() + Duration::from_millis(40));
    offer.save(&f.db).await.unwrap();
    wait_for::<Offer>(&f.db, 1).await;
    assert_eq!(Offer::filter_by(|o| o.shop.eq("a")).count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<Offer>(&f).await;

    // What is over already is saved and gone.
    offer.until = DateTime::from_timestamp(-5, 0);
    offer.save(&f.db).await.unwrap();
    assert_eq!(Offer::load(&f.db, 1u32).await.unwrap(), None);
    assert_eq!(Offer::all().fetch(&f.db).await.unwrap(), []);
    indexes::assert_exact::<Offer>(&f).await;
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Lease {
    #[column(primary_key)]
    id: u32,
    #[column(expires_at)]
    until: u64,
}

#[tokio::test]
async fn how_long_a_record_lives_is_set_by_its_id() {
    let f = Fixture::new().await;
    session(7).save(&f.db).await.unwrap();
    let left = async || Session::ttl(&f.db, 7u32).await.unwrap();
    Session::expire_by_id(&f.db, 7u32, Duration::from_secs(100)).await.unwrap();
    assert!(left().await.is_some_and(|left| left > Duration::from_secs(90)));
    Session::persist_by_id(&f.db, 7u32).await.unwrap();
    assert_eq!(left().await, None);
    Session::expire_at_by_id(&f.db, 7u32, SystemTime::now() + Duration::from_secs(50)).await.unwrap();
    assert!(left().await.is_some_and(|left| left < Duration::from_secs(51)));
    Session::expire_by_id(&f.db, 7u32, Duration::ZERO).await.unwrap();
    assert!(!Session::exists(&f.db, 7u32).await.unwrap());
    for error in [
        Session::expire_by_id(&f.db, 8u32, Duration::from_secs(1)).await.unwrap_err(),
        Session::expire_at_by_id(&f.db, 8u32, SystemTime::now()).await.unwrap_err(),
        Session::persist_by_id(&f.db, 8u32).await.unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error:?}");
    }
    assert_eq!(Session::all().count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<Session>(&f).await;
}

#[tokio::test]
async fn a_record_whose_time_is_no_option_cannot_live_for_ever() {
    let f = Fixture::new().await;
    let lease = Lease { id: 1, until: 4_000_000_000_123 };
    lease.clone().save(&f.db).await.unwrap();
    let deadline: i64 = f.run(redis::cmd("PEXPIRETIME").arg(f.key("{Lease}:r:1"))).await;
    assert_eq!(deadline, 4_000_000_000_123);
    let refused = lease.persist(&f.db).await.unwrap_err();
    assert!(matches!(refused, Error::BadData { column: "until", .. }), "{refused:?}");
}

/// 10,000 records, or as many as `EXPIRING_RECORDS` says, are due at the same moment, or were
/// before they were told, and the first to come are several at a time.
#[tokio::test]
async fn a_storm_of_expiries_is_cleaned_up_in_steps_and_answers_are_right_from_the_first() {
    let storm = std::env::var("EXPIRING_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(10_000);
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let mut stay: Vec<_> = (0..100).map(|id| Session { tags: vec![], ..session(id) }).collect();
    Session::save_many(&f.db, &mut stay).await.unwrap().into_result().unwrap();
    let mut go: Vec<_> = (1_000..1_000 + storm).map(session).collect();
    Session::save_many(&f.db, &mut go).await.unwrap().into_result().unwrap();
    let at = SystemTime::now() + Duration::from_millis(u64::from(storm) / 14);
    let expire = async |id: u32| session(id).expire_at(&f.db, at).await.unwrap();
    stream::iter(1_000..1_000 + storm).for_each_concurrent(500, expire).await;
    wait_for::<Session>(&f.db, 1_000 + storm - 1).await;
    let (count, tagged, page, found) = tokio::join!(
        async { Session::all().count(&f.db).await.unwrap() },
        async { Session::filter_by(|s| s.tags.contains("x")).count(&f.db).await.unwrap() },
        async { Session::all().order_by(|s| s.score.desc()).limit(3).fetch(&f.db).await.unwrap() },
        async { Session::filter_by(|s| s.token.eq("t1234")).exists(&f.db).await.unwrap() },
    );
    assert_eq!((count, tagged, found), (100, 0, false));
    assert_eq!(page.iter().map(|session| session.id).collect::<Vec<_>>(), [99, 98, 97]);
    indexes::assert_exact::<Session>(&f).await;
}

/// Programs that only write leave no more and more expired entries behind.
#[tokio::test]
async fn saves_and_deletes_remove_some_expired_records_on_their_way() {
    let f = Fixture::new().await;
    for id in 0..30 {
        session(id).save(&f.db).await.unwrap();
        session(id).expire(&f.db, Duration::ZERO).await.unwrap();
    }
    let left = async || f.run::<u64>(redis::cmd("ZCARD").arg(f.key("{Session}:ttl"))).await;
    // Each of the saves in between has removed what was there.
    assert_eq!(left().await, 1);
    for id in 100..120 {
        session(id).save(&f.db).await.unwrap();
    }
    for id in 100..119 {
        session(id).expire(&f.db, Duration::ZERO).await.unwrap();
    }
    assert_eq!(left().await, 19);
    assert!(session(119).delete(&f.db).await.unwrap());
    assert_eq!(left().await, 11);
    let mut some = [session(200), session(201)];
    Session::save_many(&f.db, &mut some).await.unwrap().into_result().unwrap();
    assert_eq!(left().await, 0);
    assert_eq!(indexes::assert_exact::<Session>(&f).await.0, 2);
}

/// More have expired than a save removes on its way, so that one of them is saved anew before its
/// old row is cleaned up.
#[tokio::test]
async fn a_record_that_is_saved_anew_outlives_its_old_row() {
    let f = Fixture::new().await;
    for id in 0..20 {
        session(id).save(&f.db).await.unwrap();
    }
    for id in 0..20 {
        session(id).expire(&f.db, Duration::ZERO).await.unwrap();
    }
    session(9).save(&f.db).await.unwrap();
    let left: u64 = f.run(redis::cmd("ZCARD").arg(f.key("{Session}:ttl"))).await;
    assert_eq!(left, 12);
    assert_eq!(Session::purge_expired(&f.db).await.unwrap(), 12);
    assert_eq!(Session::load(&f.db, 9u32).await.unwrap(), Some(session(9)));
    assert_eq!(indexes::assert_exact::<Session>(&f).await.0, 1);
}

/// New records and those that are there already, in one call, beside some that expire.
#[tokio::test]
async fn many_saves_where_records_expire_give_each_its_own_row() {
    let f = Fixture::new().await;
    let mut first: Vec<_> = (0..10).map(session).collect();
    Session::save_many(&f.db, &mut first).await.unwrap().into_result().unwrap();
    for id in [0, 4] {
        session(id).expire(&f.db, Duration::from_secs(1000)).await.unwrap();
    }
    let mut mixed: Vec<_> =
        (0..40).map(|at| Session { hits: 7, ..session(if at % 3 == 0 { at / 4 } else { 100 + at }) }).collect();
    Session::save_many(&f.db, &mut mixed).await.unwrap().into_result().unwrap();
    let ids: std::collections::BTreeSet<u32> = first.iter().chain(&mixed).map(|session| session.id).collect();
    assert_eq!(indexes::assert_exact::<Session>(&f).await.0, ids.len());
    for session in &mixed {
        assert_eq!(Session::load(&f.db, session.id).await.unwrap().as_ref(), Some(session));
    }
    assert!(Session::ttl(&f.db, 0u32).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_may_live_longer_than_redis_can_count() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Stone {
        #[column(primary_key)]
        id: u32,
        #[column(expires_at)]
        until: Option<u64>,
        #[column(index)]
        kind: u8,
    }
    let f = Fixture::new().await;
    for until in [u64::MAX, i64::MAX as u64, 1 << 53, 253_402_300_800_000] {
        let mut stone = Stone { id: 1, until: Some(until), kind: 1 };
        stone.save(&f.db).await.unwrap();
        assert_eq!(Stone::load(&f.db, 1u32).await.unwrap(), Some(stone));
        // Until the end of the year 9999.
        let deadline: i64 = f.run(redis::cmd("PEXPIRETIME").arg(f.key("{Stone}:r:1"))).await;
        assert_eq!(deadline, 253_402_300_799_999);
        indexes::assert_exact::<Stone>(&f).await;
    }
}

/// Redis counts in milliseconds. What is asked for more exactly is rounded up, so that no record
/// goes before its time.
#[tokio::test]
async fn times_between_milliseconds_are_rounded_up() {
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Lease {
        #[column(primary_key)]
        id: u32,
        #[column(expires_at)]
        until: Option<SystemTime>,
    }
    #[derive(Debug, Clone, PartialEq, RedisModel)]
    struct Plain {
        #[column(primary_key)]
        id: u32,
    }
    let f = Fixture::new().await;
    let milliseconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let deadline = async |key: &str| -> i64 { f.run(redis::cmd("PEXPIRETIME").arg(f.key(key))).await };
    let time = async || -> i64 {
        let time: (i64, i64) = f.run(&mut redis::cmd("TIME")).await;
        time.0 * 1000 + time.1 / 1000
    };
    let whole = SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds(SystemTime::now()) as u64 + 100_000);
    for (nanoseconds, more) in [(0, 0), (1, 1), (500_000, 1), (999_999, 1), (1_000_000, 1)] {
        let until = whole + Duration::from_nanos(nanoseconds);
        let wanted = milliseconds(whole) + more;
        let mut lease = Lease { id: 1, until: Some(until) };
        lease.save(&f.db).await.unwrap();
        assert_eq!(deadline("{Lease}:r:1").await, wanted, "save, {nanoseconds}");
        assert_eq!(Lease::load(&f.db, 1u32).await.unwrap(), Some(lease.clone()));
        Lease::patch(&f.db, 1u32, |l| l.until.clear()).await.unwrap();
        Lease::patch(&f.db, 1u32, |l| l.until.set(until)).await.unwrap();
        assert_eq!(deadline("{Lease}:r:1").await, wanted, "patch, {nanoseconds}");
        let mut plain = Plain { id: 1 };
        plain.save(&f.db).await.unwrap();
        plain.expire_at(&f.db, until).await.unwrap();
        assert_eq!(deadline("{Plain}:r:1").await, wanted, "expire_at, {nanoseconds}");
        let life = Duration::from_secs(100) + Duration::from_nanos(nanoseconds);
        let before = time().await;
        plain.expire(&f.db, life).await.unwrap();
        let (at, after) = (deadline("{Plain}:r:1").await, time().await);
        let least = before + 100_000 + more;
        assert!((least..=after + 100_000 + more).contains(&at), "expire, {nanoseconds}: {at}, {least}");
    }
    // Times of long ago are no times to come.
    for until in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - Duration::from_nanos(1_500_000)] {
        Lease { id: 2, until: Some(until) }.save(&f.db).await.unwrap();
        assert_eq!(Lease::load(&f.db, 2u32).await.unwrap(), None);
    }
    // A life of less than a millisecond is one. Nobody has cleaned up since, so that its end is
    // still noted.
    let mut plain = Plain { id: 2 };
    plain.save(&f.db).await.unwrap();
    let before = time().await;
    plain.expire(&f.db, Duration::from_nanos(1)).await.unwrap();
    let noted: f64 = f.run(redis::cmd("ZSCORE").arg(f.key("{Plain}:ttl")).arg(1)).await;
    assert!(noted as i64 > before, "{noted} {before}");
}
