//! Every column type, kept to the last bit and found by value.

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use subconscious::{ColumnEnum, ColumnValue, RedisModel, value};
use subconscious_tests::{Fixture, indexes};
use time::{OffsetDateTime, PrimitiveDateTime, UtcDateTime};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "kebab-case")]
enum Shape {
    RoundOne,
    #[column(rename = "Viereck ▢")]
    Square,
}

/// A type of the user's own.
#[derive(Debug, Clone, PartialEq)]
struct Email(String);

impl ColumnValue for Email {
    const TYPE: &'static str = String::TYPE;
    const KIND: value::Kind = String::KIND;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), value::ValueError> {
        self.0.encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, value::ValueError> {
        String::decode(stored).map(Email)
    }
}
impl value::IndexValue for Email {}
impl value::SortValue for Email {}

type Alias = Option<u16>;

#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(name = "all types")]
struct All {
    #[column(primary_key)]
    id: Uuid,
    #[column(index, sort)]
    i8: i8,
    #[column(index, sort)]
    i128: i128,
    #[column(index, sort)]
    u128: Option<u128>,
    #[column(index, sort)]
    u64: u64,
    #[column(index, sort)]
    alias: Alias,
    #[column(index, sort)]
    f32: f32,
    #[column(index, sort)]
    f64: f64,
    #[column(index, sort)]
    flag: bool,
    #[column(index, sort)]
    letter: char,
    #[column(index, sort)]
    text: Option<String>,
    #[column(index, sort)]
    bytes: Vec<u8>,
    #[column(index, sort)]
    shared: Bytes,
    #[column(index, sort)]
    other: Option<Uuid>,
    #[column(index, sort)]
    shape: Shape,
    #[column(index, sort)]
    email: Email,
    #[column(index, sort)]
    moment: DateTime<Utc>,
    #[column(index, sort)]
    local: Option<NaiveDateTime>,
    #[column(index, sort)]
    day: NaiveDate,
    #[column(index, sort)]
    offset: OffsetDateTime,
    #[column(index, sort)]
    utc: UtcDateTime,
    #[column(index, sort)]
    primitive: Option<PrimitiveDateTime>,
    #[column(index, sort)]
    date: time::Date,
    #[column(index, sort)]
    timestamp: jiff::Timestamp,
    #[column(index, sort)]
    civil: Option<jiff::civil::DateTime>,
    #[column(index, sort)]
    civil_day: jiff::civil::Date,
    #[column(index, sort, rename = "type of")]
    r#type: u32,
    #[column(skip)]
    cache: Vec<String>,
}

fn low() -> All {
    All {
        id: Uuid::nil(),
        i8: i8::MIN,
        i128: i128::MIN,
        u128: Some(0),
        u64: 0,
        alias: Some(0),
        f32: f32::NEG_INFINITY,
        f64: f64::MIN,
        flag: false,
        letter: '\0',
        text: Some(String::new()),
        bytes: vec![],
        shared: Bytes::new(),
        other: Some(Uuid::nil()),
        shape: Shape::RoundOne,
        email: Email("a@b".into()),
        moment: DateTime::<Utc>::MIN_UTC,
        local: Some(DateTime::UNIX_EPOCH.naive_utc()),
        day: NaiveDate::MIN,
        offset: UtcDateTime::MIN.into(),
        utc: UtcDateTime::MIN,
        primitive: Some(PrimitiveDateTime::MIN),
        date: time::Date::MIN,
        timestamp: jiff::Timestamp::MIN,
        civil: Some(jiff::civil::DateTime::MIN),
        civil_day: jiff::civil::Date::MIN,
        r#type: 0,
        cache: vec![],
    }
}

fn high() -> All {
    All {
        id: Uuid::max(),
        i8: i8::MAX,
        i128: i128::MAX,
        u128: Some(u128::MAX),
        u64: u64::MAX,
        alias: Some(u16::MAX),
        f32: f32::MAX,
        f64: f64::INFINITY,
        flag: true,
        letter: '😀',
        text: Some("{User}:r:*\r\n$3\0\u{202E}".into()),
        bytes: (0..=255).collect(),
        shared: Bytes::from_static(b"\xFF\xFE\0"),
        other: Some(Uuid::max()),
        shape: Shape::Square,
        email: Email("z@b".into()),
        moment: DateTime::<Utc>::MAX_UTC,
        local: Some(DateTime::<Utc>::UNIX_EPOCH.naive_utc() + chrono::TimeDelta::nanoseconds(1)),
        day: NaiveDate::MAX,
        offset: OffsetDateTime::UNIX_EPOCH.to_offset(time::UtcOffset::from_hms(-5, -30, 0).unwrap()),
        utc: UtcDateTime::MAX,
        primitive: Some(PrimitiveDateTime::MAX),
        date: time::Date::MAX,
        timestamp: jiff::Timestamp::MAX,
        civil: Some(jiff::civil::DateTime::MAX),
        civil_day: jiff::civil::Date::MAX,
        r#type: u32::MAX,
        cache: vec![],
    }
}

#[tokio::test]
async fn every_type_is_kept_found_and_ordered() {
    let f = Fixture::new().await;
    let (mut low, mut high) = (low(), high());
    let mut nulls = All {
        id: Uuid::new_v4(),
        u128: None,
        alias: None,
        text: None,
        other: None,
        local: None,
        primitive: None,
        civil: None,
        ..low.clone()
    };
    high.cache = vec!["not stored".into()];
    for record in [&mut high, &mut nulls, &mut low] {
        record.save(&f.db).await.unwrap();
    }
    high.cache.clear();
    for record in [&low, &high, &nulls] {
        assert_eq!(All::load(&f.db, record.id).await.unwrap().as_ref(), Some(record));
    }
    indexes::assert_exact::<All>(&f).await;
    assert_eq!(
        All::load_many(&f.db, [high.id, Uuid::from_u128(5), low.id]).await.unwrap(),
        [Some(high.clone()), None, Some(low.clone())]
    );

    macro_rules! check {
        ($($column:ident)*) => {$(
            let value = high.$column.clone();
            let found = All::filter_by(|u| u.$column.eq(value.clone())).fetch(&f.db).await.unwrap();
            assert_eq!(found, [high.clone()], stringify!($column));
            assert_eq!(All::filter_by(|u| u.$column.ge(value.clone())).fetch(&f.db).await.unwrap(), [high.clone()], stringify!($column));
            assert_eq!(All::filter_by(|u| u.$column.lt(value)).count(&f.db).await.unwrap(), 2, stringify!($column));
            assert_eq!(All::all().order_by(|u| u.$column.desc()).first(&f.db).await.unwrap().as_ref(), Some(&high), stringify!($column));
            assert_eq!(All::all().order_by(|u| u.$column.asc()).offset(2).fetch(&f.db).await.unwrap(), [high.clone()], stringify!($column));
        )*};
    }
    check!(i8 i128 u64 f32 f64 flag letter bytes shared shape email moment day r#type);
    check!(offset utc date timestamp civil_day);
    macro_rules! check_nullable {
        ($($column:ident)*) => {$(
            let value = high.$column.clone().unwrap();
            assert_eq!(All::filter_by(|u| u.$column.eq(value.clone())).fetch(&f.db).await.unwrap(), [high.clone()], stringify!($column));
            assert_eq!(All::filter_by(|u| u.$column.lt(value)).fetch(&f.db).await.unwrap(), [low.clone()], stringify!($column));
            assert_eq!(All::filter_by(|u| u.$column.is_none()).fetch(&f.db).await.unwrap(), [nulls.clone()], stringify!($column));
            assert_eq!(All::filter_by(|u| u.$column.is_some()).count(&f.db).await.unwrap(), 2, stringify!($column));
            let ids = |records: Vec<All>| records.into_iter().map(|record| record.id).collect::<Vec<_>>();
            let ascending = All::all().order_by(|u| u.$column.asc()).fetch(&f.db).await.unwrap();
            assert_eq!(ids(ascending), [low.id, high.id, nulls.id], stringify!($column));
            let descending = All::all().order_by(|u| u.$column.desc()).fetch(&f.db).await.unwrap();
            assert_eq!(ids(descending), [high.id, low.id, nulls.id], stringify!($column));
        )*};
    }
    check_nullable!(u128 alias text other local primitive civil);
    let fields: std::collections::BTreeMap<String, Vec<u8>> =
        f.run(redis::cmd("HGETALL").arg(f.key(&format!("{{all types}}:r:{}", high.id)))).await;
    assert_eq!(fields["shape"], "Viereck ▢".as_bytes());
    assert_eq!(fields["type of"], b"4294967295");
    assert!(!fields.contains_key("cache") && !fields.contains_key("id"));
}

#[tokio::test]
async fn nothing_and_empty_text_are_two_values() {
    let f = Fixture::new().await;
    let mut empty = All { text: Some(String::new()), ..low() };
    let mut none = All { id: Uuid::new_v4(), text: None, ..low() };
    empty.save(&f.db).await.unwrap();
    none.save(&f.db).await.unwrap();
    assert_eq!(All::filter_by(|u| u.text.eq("")).fetch(&f.db).await.unwrap(), [empty.clone()]);
    assert_eq!(All::filter_by(|u| u.text.is_none()).fetch(&f.db).await.unwrap(), [none]);
    // An Option is cleared by saving None.
    empty.text = None;
    empty.save(&f.db).await.unwrap();
    assert_eq!(All::load(&f.db, empty.id).await.unwrap(), Some(empty));
    assert_eq!(All::filter_by(|u| u.text.is_none()).count(&f.db).await.unwrap(), 2);
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Pair {
    #[column(composite_key)]
    left: String,
    #[column(composite_key)]
    right: String,
    #[column(index)]
    tag: Option<String>,
}

#[tokio::test]
async fn ids_of_any_characters_are_kept_apart_and_found() {
    let f = Fixture::new().await;
    let texts = [
        "", "a:b", "a", "b:c", "c", "a\\", "\\:", ":", "{x}", "}{", "*", "?[a]", "\0", "\r\n", "😀", "\u{202E}", "r:",
        "#",
    ];
    let mut all = Vec::new();
    for left in texts {
        for right in texts {
            all.push(Pair { left: left.into(), right: right.into(), tag: Some(format!("{left}{right}")) });
        }
    }
    Pair::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    assert_eq!(Pair::all().count(&f.db).await.unwrap(), all.len() as u64);
    indexes::assert_exact::<Pair>(&f).await;
    for pair in &all {
        assert_eq!(Pair::load(&f.db, (&pair.left, &pair.right)).await.unwrap().as_ref(), Some(pair));
        let found = Pair::filter_by(|p| p.left.eq(&pair.left) & p.right.eq(&pair.right)).fetch(&f.db).await.unwrap();
        assert_eq!(found, std::slice::from_ref(pair));
    }
    assert_eq!(Pair::load(&f.db, ("a:b", "c")).await.unwrap().unwrap().left, "a:b");
    assert_eq!(Pair::load(&f.db, ("a", "b:c")).await.unwrap().unwrap().right, "b:c");
    assert!(Pair::delete_by_id(&f.db, ("a", "b:c")).await.unwrap());
    assert!(Pair::exists(&f.db, ("a:b", "c")).await.unwrap());
    assert!(!Pair::exists(&f.db, ("a", "b:c")).await.unwrap());
}

#[tokio::test]
async fn a_namespace_has_records_of_its_own() {
    let f = Fixture::new().await;
    let other = f.db.with_namespace(&format!("{}-b", f.db.namespace())).unwrap();
    let mut pair = Pair { left: "a".into(), right: "b".into(), tag: None };
    pair.save(&f.db).await.unwrap();
    assert!(!Pair::exists(&other, ("a", "b")).await.unwrap());
    assert_eq!(Pair::all().count(&other).await.unwrap(), 0);
    assert!(f.db.with_namespace("a{b").is_err());
}

#[derive(Debug, PartialEq, RedisModel)]
struct OnlyKey {
    #[column(primary_key)]
    id: char,
}

#[tokio::test]
async fn a_model_of_nothing_but_a_key_is_saved_again_and_again() {
    let f = Fixture::new().await;
    for _ in 0..2 {
        OnlyKey { id: '☃' }.save(&f.db).await.unwrap();
        assert_eq!(OnlyKey::load(&f.db, '☃').await.unwrap(), Some(OnlyKey { id: '☃' }));
        assert_eq!(OnlyKey::all().fetch(&f.db).await.unwrap(), [OnlyKey { id: '☃' }]);
    }
    indexes::assert_exact::<OnlyKey>(&f).await;
}

/// One model as three versions of a program have it, each with another crate for its dates.
mod dates {
    use subconscious::RedisModel;

    macro_rules! version {
        ($version:ident: $moment:ty, $local:ty, $day:ty) => {
            #[derive(Debug, Clone, PartialEq, RedisModel)]
            #[model(name = "Event")]
            pub(super) struct $version {
                #[column(primary_key)]
                pub(super) id: $moment,
                #[column(index, sort)]
                pub(super) local: $local,
                #[column(index, sort)]
                pub(super) day: $day,
            }
        };
    }
    version!(Chrono: chrono::DateTime<chrono::Utc>, chrono::NaiveDateTime, chrono::NaiveDate);
    version!(Time: time::OffsetDateTime, time::PrimitiveDateTime, time::Date);
    version!(Jiff: jiff::Timestamp, jiff::civil::DateTime, jiff::civil::Date);
}

#[tokio::test]
async fn a_program_may_change_to_another_crate_for_its_dates() {
    let f = Fixture::new().await;
    let id: DateTime<Utc> = "1969-12-31T23:59:59.999999999Z".parse().unwrap();
    let mut first = dates::Chrono { id, local: id.naive_utc(), day: NaiveDate::from_ymd_opt(2024, 2, 29).unwrap() };
    first.save(&f.db).await.unwrap();

    let moment = OffsetDateTime::UNIX_EPOCH - time::Duration::nanoseconds(1);
    let day = time::Date::from_calendar_date(2024, time::Month::February, 29).unwrap();
    let mut second = dates::Time { id: moment, local: PrimitiveDateTime::new(moment.date(), moment.time()), day };
    assert_eq!(dates::Time::load(&f.db, moment).await.unwrap().as_ref(), Some(&second));
    assert_eq!(dates::Time::filter_by(|e| e.day.eq(day)).fetch(&f.db).await.unwrap(), [second.clone()]);
    second.day = second.day.next_day().unwrap();
    second.save(&f.db).await.unwrap();

    let (moment, day) = (jiff::Timestamp::from_nanosecond(-1).unwrap(), jiff::civil::date(2024, 3, 1));
    let third = dates::Jiff { id: moment, local: jiff::tz::TimeZone::UTC.to_datetime(moment), day };
    let found = dates::Jiff::filter_by(|e| e.day.ge(day) & e.local.lt(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)));
    assert_eq!(found.fetch(&f.db).await.unwrap(), [third]);
    assert_eq!(dates::Jiff::filter_by(|e| e.day.lt(day)).count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<dates::Chrono>(&f).await;
}
