//! Every column type, kept to the last bit and found by value.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use subconscious::{ColumnEnum, ColumnValue, Error, Filter, Json, RedisModel, value};
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
    #[column(index, sort)]
    amount: Decimal,
    json: Json<BTreeMap<String, f64>>,
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
        amount: Decimal::MIN,
        json: Json::default(),
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
        amount: Decimal::MAX,
        json: Json(BTreeMap::from([("\0".into(), f64::MIN_POSITIVE), ("😀".into(), -0.0)])),
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
    check!(offset utc date timestamp civil_day amount);
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

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Entry {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    amount: Option<Decimal>,
    #[column(index)]
    rare: bool,
}

/// Zeros, neighbours, powers of ten, numbers that share a double, and equal ones of several scales;
/// then random ones.
fn amounts() -> Vec<Option<Decimal>> {
    let mut texts: Vec<String> =
        ["0", "-0", "0.00", "-0.000", "0.0000000000000000000000000001"].map(String::from).into();
    for text in [
        "1",
        "1.0",
        "1.00",
        "1.5",
        "1.50",
        "0.1",
        "0.10",
        "0.01",
        "0.010",
        "0.09",
        "0.11",
        "9",
        "9.99",
        "10",
        "10.0",
        "99",
        "100",
        "100.0",
        "101",
        "0.1000000000000000055511151231",
        "0.1000000000000000055511151232",
        "0.1000000000000000000000000000",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740992.5",
        "9007199254740994",
        "1234567890123456789012345678",
        "1234567890123456789012345679",
        "1234567890123456789012345678.0",
        "123456789012345678901234567.8",
        "12345678901234567.89012345678",
        "12345678901234567.89012345679",
        "79228162514264337593543950335",
        "79228162514264337593543950334",
        "7.9228162514264337593543950335",
        "0.0000000000000000000000000010",
        "0.000000000000000000000000001",
        "0.5",
        "0.50000000000000000000000001",
    ] {
        texts.extend([text.to_owned(), format!("-{text}")]);
    }
    let mut amounts: Vec<_> = texts.iter().map(|text| Some(Decimal::decode(text.as_bytes()).unwrap())).collect();
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..300 {
        let sign = if random(2) == 0 { 1 } else { -1 };
        let mantissa = i128::from(random(1 << 31)) * 10i128.pow(random(19) as u32) + i128::from(random(12));
        amounts.push((random(20) > 0).then(|| Decimal::from_i128_with_scale(sign * mantissa, random(29) as u32)));
    }
    amounts
}

#[tokio::test]
async fn decimals_are_found_and_ordered_as_numbers() {
    let f = Fixture::new().await;
    let mut all: Vec<Entry> =
        amounts().into_iter().enumerate().map(|(at, amount)| Entry { id: at as u32, amount, rare: at < 85 }).collect();
    Entry::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    indexes::assert_exact::<Entry>(&f).await;
    // Every record again with another amount, and then with the first one in another scale: old
    // values leave the indexes.
    let mut others = all.clone();
    others.rotate_left(17);
    for (other, own) in others.iter_mut().zip(&all) {
        (other.id, other.rare) = (own.id, own.rare);
    }
    Entry::save_many(&f.db, &mut others).await.unwrap().into_result().unwrap();
    indexes::assert_exact::<Entry>(&f).await;
    for (other, own) in others.iter_mut().zip(&all) {
        other.amount = own.amount.map(|amount| amount.normalize());
    }
    Entry::save_many(&f.db, &mut others).await.unwrap().into_result().unwrap();
    Entry::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    indexes::assert_exact::<Entry>(&f).await;

    // Decimals that are equal may differ in their scales, which `==` of records does not show.
    let shown = |entries: &[Entry]| entries.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
    let sorted = |descending: bool, wanted: &dyn Fn(&Entry) -> bool| {
        let mut entries: Vec<Entry> = all.iter().filter(|entry| wanted(entry)).cloned().collect();
        entries.sort_by(|left, right| {
            let order = match (left.amount, right.amount) {
                (Some(left_amount), Some(right_amount)) => left_amount.cmp(&right_amount).then(left.id.cmp(&right.id)),
                (None, None) => left.id.cmp(&right.id),
                (Some(_), None) => return Ordering::Less,
                (None, Some(_)) => return Ordering::Greater,
            };
            if descending { order.reverse() } else { order }
        });
        shown(&entries)
    };
    for descending in [false, true] {
        let order = |query: subconscious::Query<Entry>| {
            query.order_by(|u| if descending { u.amount.desc() } else { u.amount.asc() })
        };
        let found = order(Entry::all()).fetch(&f.db).await.unwrap();
        assert_eq!(shown(&found), sorted(descending, &|_| true));
        // Few matches: read and sorted by the script.
        let found = order(Entry::filter_by(|u| u.rare.eq(true))).fetch(&f.db).await.unwrap();
        assert_eq!(shown(&found), sorted(descending, &|entry| entry.rare));
        // The same, page by page.
        let (mut paged, mut at) = (Vec::new(), 0);
        while let Some(entry) = order(Entry::filter_by(|u| u.rare.eq(true))).offset(at).first(&f.db).await.unwrap() {
            paged.push(entry);
            at += 1;
        }
        assert_eq!(shown(&paged), sorted(descending, &|entry| entry.rare));
        let found = order(Entry::filter_by(|u| u.amount.ge(Decimal::ONE_HUNDRED))).fetch(&f.db).await.unwrap();
        let wanted = |entry: &Entry| entry.amount.is_some_and(|amount| amount >= Decimal::ONE_HUNDRED);
        assert_eq!(shown(&found), sorted(descending, &wanted));
    }
    for bound in all[..90].iter().step_by(3).filter_map(|entry| entry.amount) {
        let check = async |filter: Filter<Entry>, wanted: &dyn Fn(Ordering) -> bool, what: &str| {
            let wanted: Vec<Entry> = all
                .iter()
                .filter(|entry| entry.amount.is_some_and(|amount| wanted(amount.cmp(&bound))))
                .cloned()
                .collect();
            assert_eq!(
                Entry::filter_by(|_| filter.clone()).count(&f.db).await.unwrap(),
                wanted.len() as u64,
                "{what} {bound}"
            );
            let found = Entry::filter_by(|_| filter).fetch(&f.db).await.unwrap();
            assert_eq!(shown(&found), shown(&wanted), "{what} {bound}");
        };
        let u = Entry::columns();
        check(u.amount.eq(bound), &Ordering::is_eq, "eq").await;
        check(u.amount.lt(bound), &Ordering::is_lt, "lt").await;
        check(u.amount.le(bound), &Ordering::is_le, "le").await;
        check(u.amount.gt(bound), &Ordering::is_gt, "gt").await;
        check(u.amount.ge(bound), &Ordering::is_ge, "ge").await;
        check(u.amount.between(bound, bound), &Ordering::is_eq, "between").await;
    }
    for entry in &all {
        assert!(entry.delete(&f.db).await.unwrap());
    }
    indexes::assert_exact::<Entry>(&f).await;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Line {
    Text(String),
    Total { amount: u128, rate: Option<f64> },
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Invoice {
    #[column(primary_key)]
    id: u32,
    lines: Json<Vec<Line>>,
    notes: Option<Json<Vec<Option<String>>>>,
    #[column(index)]
    paid: bool,
}

#[tokio::test]
async fn any_serde_type_is_a_column() {
    let f = Fixture::new().await;
    let lines = vec![Line::Text("\0\u{202E}\"😀".into()), Line::Total { amount: u128::MAX, rate: Some(0.1 + 0.2) }];
    let mut invoice = Invoice { id: 1, lines: Json(lines), notes: Some(vec![None].into()), paid: false };
    invoice.save(&f.db).await.unwrap();
    assert_eq!(Invoice::load(&f.db, 1).await.unwrap().as_ref(), Some(&invoice));
    invoice.lines.push(Line::Text(String::new()));
    invoice.notes = None;
    invoice.save(&f.db).await.unwrap();
    assert_eq!(Invoice::filter_by(|i| i.paid.eq(false)).fetch(&f.db).await.unwrap(), [invoice.clone()]);
    let key = f.key("{Invoice}:r:1");
    let fields: BTreeMap<String, String> = f.run(redis::cmd("HGETALL").arg(&key)).await;
    assert!(!fields.contains_key("notes"));
    assert!(fields["lines"].starts_with(r#"[{"Text":"\u0000"#), "{}", fields["lines"]);

    invoice.lines.push(Line::Total { amount: 0, rate: Some(f64::NAN) });
    let error = invoice.save(&f.db).await.unwrap_err();
    assert!(matches!(error, Error::BadData { column: "lines", .. }) && error.to_string().contains("NaN"), "{error}");
    for (stored, why) in
        [(r#"[{"Text":"\ud800"}]"#, "hex escape"), (r#"[{"Number":1}]"#, "unknown variant"), ("", "EOF")]
    {
        f.run::<()>(redis::cmd("HSET").arg(&key).arg("lines").arg(stored)).await;
        let error = Invoice::load(&f.db, 1).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { column: Some("lines"), .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
