use std::cmp::Ordering;
use std::fmt::Debug;
use std::time::SystemTime;

use proptest::prelude::*;
use uuid::Uuid;

use super::{ColumnValue, Kind, SortKey, index_form};

fn stored<T: ColumnValue>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out).unwrap();
    out
}

fn round_trip<T: ColumnValue + PartialEq + Debug>(value: &T) {
    assert_eq!(&T::decode(&stored(value)).unwrap(), value);
}

/// The order of a sorted set: by score, then by member, which ends with the row.
fn order<T: ColumnValue>(left: &T, right: &T) -> Ordering {
    let place = |value: &T, row: u32| {
        let key = SortKey::of(T::KIND, &stored(value));
        let score: f64 = std::str::from_utf8(&key.score).unwrap().parse().unwrap();
        (score, [key.tail, row.to_be_bytes().to_vec()].concat())
    };
    // The rows are compared both ways round: they decide only if the values are equal.
    let by_row = |left_row, right_row| {
        let (left, right) = (place(left, left_row), place(right, right_row));
        left.0.partial_cmp(&right.0).unwrap().then(left.1.cmp(&right.1))
    };
    match (by_row(0, 0x7FFF_FFFF), by_row(0x7FFF_FFFF, 0)) {
        (left, right) if left == right => left,
        _ => Ordering::Equal,
    }
}

fn same_order<T: ColumnValue + Ord>(left: &T, right: &T) {
    assert_eq!(order(left, right), left.cmp(right));
    let (left_key, right_key) = (SortKey::of(T::KIND, &stored(left)), SortKey::of(T::KIND, &stored(right)));
    assert_eq!(left_key.compare(&right_key), left.cmp(right));
}

/// Integers near the limits of the types, near 2^53, and anywhere.
fn integers() -> impl Strategy<Value = i128> {
    let near = |middle: i128| (-3i128..=3).prop_map(move |step| middle.saturating_add(step));
    prop_oneof![
        any::<i128>(),
        any::<i64>().prop_map(i128::from),
        near(0),
        near(1 << 53),
        near(-(1 << 53)),
        near(i128::from(i64::MIN)),
        near(i128::from(u64::MAX)),
        near(i128::MAX),
        near(i128::MIN),
    ]
}

proptest! {
    #[test]
    fn integers_keep_value_and_order(left in integers(), right in integers()) {
        round_trip(&left);
        same_order(&left, &right);
        if let (Ok(left), Ok(right)) = (i64::try_from(left), i64::try_from(right)) {
            round_trip(&left);
            same_order(&left, &right);
        }
        if let (Ok(left), Ok(right)) = (u128::try_from(left), u128::try_from(right)) {
            round_trip(&left);
            same_order(&left, &right);
        }
    }

    #[test]
    fn floats_keep_every_bit_and_order(left in any::<f64>(), right in any::<f64>()) {
        prop_assume!(!left.is_nan() && !right.is_nan());
        prop_assert_eq!(f64::decode(&stored(&left)).unwrap().to_bits(), left.to_bits());
        prop_assert_eq!(order(&left, &right), left.partial_cmp(&right).unwrap());
    }

    #[test]
    fn short_floats_keep_every_bit_and_order(left in any::<f32>(), right in any::<f32>()) {
        prop_assume!(!left.is_nan() && !right.is_nan());
        prop_assert_eq!(f32::decode(&stored(&left)).unwrap().to_bits(), left.to_bits());
        prop_assert_eq!(order(&left, &right), left.partial_cmp(&right).unwrap());
    }

    #[test]
    fn text_keeps_value_and_order(left in any::<String>(), right in any::<String>()) {
        round_trip(&left);
        same_order(&left, &right);
    }

    #[test]
    fn bytes_keep_value_and_order(left in prop::collection::vec(0u8..4, 0..6), right in prop::collection::vec(0u8..4, 0..6)) {
        let high = |bytes: Vec<u8>| bytes.into_iter().map(|byte| if byte == 3 { 0xFF } else { byte }).collect::<Vec<u8>>();
        let (left, right) = (high(left), high(right));
        round_trip(&left);
        same_order(&left, &right);
    }

    #[test]
    fn chars_and_uuids_keep_value_and_order(left in any::<(char, u128)>(), right in any::<(char, u128)>()) {
        round_trip(&left.0);
        same_order(&left.0, &right.0);
        let (left, right) = (Uuid::from_u128(left.1), Uuid::from_u128(right.1));
        round_trip(&left);
        same_order(&left, &right);
    }

    #[test]
    fn few_valued_types_keep_value_and_order(left in any::<(u8, i8, bool)>(), right in any::<(u8, i8, bool)>()) {
        round_trip(&left.0);
        round_trip(&left.1);
        round_trip(&left.2);
        prop_assert_eq!(left.0.ordinal().cmp(&right.0.ordinal()), left.0.cmp(&right.0));
        prop_assert_eq!(left.1.ordinal().cmp(&right.1.ordinal()), left.1.cmp(&right.1));
        prop_assert_eq!(left.2.ordinal().cmp(&right.2.ordinal()), left.2.cmp(&right.2));
    }
}

#[cfg(feature = "chrono")]
proptest! {
    #[test]
    fn times_keep_value_and_order(
        left in (-8_000_000_000_000i64..8_000_000_000_000, 0u32..1_000_000_000),
        right in (-8_000_000_000_000i64..8_000_000_000_000, 0u32..1_000_000_000),
        near in any::<bool>(),
    ) {
        use chrono::{DateTime, NaiveDate, Utc};
        let time = |(seconds, nanoseconds)| DateTime::<Utc>::from_timestamp(seconds, nanoseconds).unwrap();
        let left_time = time(left);
        let right_time = if near { time((left.0, right.1 % 2_000_000)) } else { time(right) };
        round_trip(&left_time);
        same_order(&left_time, &right_time);
        round_trip(&left_time.naive_utc());
        same_order(&left_time.naive_utc(), &right_time.naive_utc());
        let (left_day, right_day): (NaiveDate, NaiveDate) = (left_time.date_naive(), right_time.date_naive());
        round_trip(&left_day);
        same_order(&left_day, &right_day);
    }
}

/// Times whose milliseconds a double can hold exactly, and times far beyond.
fn system_times() -> impl Strategy<Value = SystemTime> {
    let near = |middle: i128| (-3_000_000i128..3_000_000).prop_map(move |step| middle + step);
    let exact = 1_000_000i128 << 53;
    let nanoseconds = prop_oneof![
        near(0),
        near(exact),
        near(-exact),
        near(2 * exact),
        near(-2 * exact),
        any::<i64>().prop_map(i128::from),
        any::<i64>().prop_map(|seconds| i128::from(seconds / 2) * 1_000_000_000),
    ];
    nanoseconds.prop_map(|nanoseconds| SystemTime::decode(nanoseconds.to_string().as_bytes()).unwrap())
}

proptest! {
    #[test]
    fn system_times_keep_value_and_order(left in system_times(), right in system_times()) {
        round_trip(&left);
        same_order(&left, &right);
    }
}

#[cfg(feature = "chrono")]
#[test]
fn times_at_the_edges_of_chrono_are_kept() {
    use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
    for time in
        [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::UNIX_EPOCH - TimeDelta::nanoseconds(1)]
    {
        round_trip(&time);
    }
    for day in [NaiveDate::MIN, NaiveDate::MAX] {
        round_trip(&day);
    }
    let leap = NaiveDate::from_ymd_opt(2016, 12, 31).unwrap().and_hms_milli_opt(23, 59, 59, 1_500).unwrap();
    assert!(leap.encode(&mut Vec::new()).unwrap_err().to_string().contains("leap second"));
}

#[test]
fn the_zeros_are_one_value_in_an_index_and_in_an_order() {
    assert_eq!(index_form(Kind::Float, &stored(&-0.0f64)), stored(&0.0f64));
    assert_eq!(SortKey::of(Kind::Float, &stored(&-0.0f64)), SortKey::of(Kind::Float, &stored(&0.0f64)));
    assert!(f64::decode(&stored(&-0.0f64)).unwrap().is_sign_negative());
}

#[test]
fn infinities_are_values_and_nan_is_not() {
    round_trip(&f64::INFINITY);
    round_trip(&f64::NEG_INFINITY);
    round_trip(&f64::MIN_POSITIVE);
    assert!(f64::NAN.encode(&mut Vec::new()).unwrap_err().to_string().starts_with("NaN"));
    assert!(f32::NAN.encode(&mut Vec::new()).is_err());
    assert!(f64::decode(b"NaN").is_err());
}

#[test]
fn only_the_stored_form_is_read() {
    for form in ["+1", "01", " 1", "1 ", "", "-", "1.0", "256"] {
        assert!(u8::decode(form.as_bytes()).is_err(), "{form:?}");
    }
    for form in ["1", "1e0", ".5", "inf ", "+inf", "infinity"] {
        assert!(f64::decode(form.as_bytes()).is_err(), "{form:?}");
    }
    for form in ["True", "1", ""] {
        assert!(bool::decode(form.as_bytes()).is_err(), "{form:?}");
    }
    for form in ["", "ab", "\u{1F600}x"] {
        assert!(char::decode(form.as_bytes()).is_err(), "{form:?}");
    }
    for form in [
        "67E55044-10B1-426F-9247-BB680E5FE0C8",
        "67e5504410b1426f9247bb680e5fe0c8",
        "{67e55044-10b1-426f-9247-bb680e5fe0c8}",
    ] {
        assert!(Uuid::decode(form.as_bytes()).is_err(), "{form:?}");
    }
    assert_eq!(String::decode(b"\xFF\xFE").unwrap_err().to_string(), "\"\\xff\\xfe\" is not UTF-8");
    assert_eq!(u16::decode(b"x").unwrap_err().to_string(), "\"x\" is not u16");
}

#[cfg(feature = "time")]
mod time_crate {
    use super::*;
    use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time, UtcDateTime, UtcOffset};

    fn nanoseconds() -> impl Strategy<Value = i128> {
        UtcDateTime::MIN.unix_timestamp_nanos()..=UtcDateTime::MAX.unix_timestamp_nanos()
    }

    proptest! {
        #[test]
        fn times_keep_value_and_order(left in nanoseconds(), right in nanoseconds(), near in any::<bool>(), hours in -23i8..=23) {
            let time = |nanoseconds| UtcDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
            let (left, right) = (time(left), time(if near { left - left % 5_000_000 + right % 5_000_000 } else { right }));
            round_trip(&left);
            same_order(&left, &right);
            let primitive = |time: UtcDateTime| PrimitiveDateTime::new(time.date(), time.time());
            round_trip(&primitive(left));
            same_order(&primitive(left), &primitive(right));
            round_trip(&left.date());
            same_order(&left.date(), &right.date());
            if let Some(elsewhere) = left.checked_to_offset(UtcOffset::from_hms(hours, 0, 0).unwrap()) {
                // The two are equal as instants.
                round_trip(&elsewhere);
                same_order(&elsewhere, &OffsetDateTime::from(right));
                prop_assert!(OffsetDateTime::decode(&stored(&elsewhere)).unwrap().offset().is_utc());
            }
        }
    }

    #[test]
    fn times_at_the_edges_are_kept_or_refused() {
        for time in [UtcDateTime::MIN, UtcDateTime::MAX, UtcDateTime::UNIX_EPOCH - Duration::nanoseconds(1)] {
            round_trip(&time);
        }
        for time in [PrimitiveDateTime::MIN, PrimitiveDateTime::MAX] {
            round_trip(&time);
        }
        for day in [Date::MIN, Date::MAX] {
            round_trip(&day);
        }
        for beyond in [
            OffsetDateTime::new_in_offset(Date::MAX, Time::MAX, UtcOffset::from_hms(-1, 0, 0).unwrap()),
            OffsetDateTime::new_in_offset(Date::MIN, Time::MIDNIGHT, UtcOffset::from_hms(1, 0, 0).unwrap()),
        ] {
            assert!(beyond.encode(&mut Vec::new()).unwrap_err().to_string().contains("beyond the years"));
        }
        let beyond = (UtcDateTime::MAX.unix_timestamp_nanos() + 1).to_string();
        assert!(UtcDateTime::decode(beyond.as_bytes()).unwrap_err().to_string().contains("can hold"));
        assert!(OffsetDateTime::decode(i128::MIN.to_string().as_bytes()).is_err());
        assert!(Date::decode(i32::MAX.to_string().as_bytes()).is_err());
    }
}

#[cfg(feature = "jiff")]
mod jiff_crate {
    use super::*;
    use jiff::civil::{Date, DateTime};
    use jiff::{Timestamp, tz::TimeZone};

    fn nanoseconds() -> impl Strategy<Value = i128> {
        Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond()
    }

    proptest! {
        #[test]
        fn times_keep_value_and_order(left in nanoseconds(), right in nanoseconds(), near in any::<bool>()) {
            let time = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap();
            let (left, right) = (time(left), time(if near { left - left % 5_000_000 + right % 5_000_000 } else { right }));
            round_trip(&left);
            same_order(&left, &right);
            let (left, right): (DateTime, DateTime) = (TimeZone::UTC.to_datetime(left), TimeZone::UTC.to_datetime(right));
            round_trip(&left);
            same_order(&left, &right);
            round_trip(&left.date());
            same_order(&left.date(), &right.date());
        }
    }

    #[test]
    fn times_at_the_edges_are_kept() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_nanosecond(-1).unwrap()] {
            round_trip(&time);
        }
        for time in [DateTime::MIN, DateTime::MAX, DateTime::ZERO] {
            round_trip(&time);
        }
        for day in [Date::MIN, Date::MAX, Date::ZERO] {
            round_trip(&day);
        }
        for beyond in [i128::MIN, i128::MAX, Timestamp::MAX.as_nanosecond() + 1] {
            assert!(Timestamp::decode(beyond.to_string().as_bytes()).is_err());
        }
        for beyond in [i128::MIN, i128::MAX, i128::from(i64::MAX) * 1_000_000_000] {
            assert!(DateTime::decode(beyond.to_string().as_bytes()).is_err());
        }
        for beyond in [i32::MIN, i32::MAX] {
            assert!(Date::decode(beyond.to_string().as_bytes()).is_err());
        }
    }
}

/// A program may change from one date crate to another.
#[cfg(all(feature = "chrono", feature = "time", feature = "jiff"))]
mod all_dates {
    use super::*;
    use crate::value::TimeValue;

    fn read_as<T: ColumnValue + PartialEq + Debug, U: ColumnValue>(value: &T) {
        let other = U::decode(&stored(value)).unwrap();
        assert_eq!(stored(&other), stored(value));
        assert_eq!((T::TYPE, T::KIND), (U::TYPE, U::KIND));
    }

    proptest! {
        #[test]
        fn the_crates_read_each_other(seconds in -60_000_000_000i64..250_000_000_000, nanoseconds in 0u32..1_000_000_000) {
            let chrono = chrono::DateTime::from_timestamp(seconds, nanoseconds).unwrap();
            read_as::<_, time::UtcDateTime>(&chrono);
            read_as::<_, time::OffsetDateTime>(&chrono);
            read_as::<_, jiff::Timestamp>(&chrono);
            read_as::<_, std::time::SystemTime>(&chrono);
            read_as::<_, time::PrimitiveDateTime>(&chrono.naive_utc());
            read_as::<_, jiff::civil::DateTime>(&chrono.naive_utc());
            read_as::<_, time::Date>(&chrono.date_naive());
            read_as::<_, jiff::civil::Date>(&chrono.date_naive());
        }
    }

    #[test]
    fn they_mean_the_same() {
        let day = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        assert_eq!(stored(&day), b"738945");
        let other = time::Date::decode(b"738945").unwrap();
        assert_eq!(other.to_calendar_date(), (2024, time::Month::February, 29));
        assert_eq!(jiff::civil::Date::decode(b"738945").unwrap(), jiff::civil::date(2024, 2, 29));
        let moment = day.and_hms_nano_opt(23, 59, 58, 7).unwrap();
        let other = time::PrimitiveDateTime::decode(&stored(&moment)).unwrap();
        assert_eq!((other.date(), other.as_hms_nano()), (time::Date::decode(b"738945").unwrap(), (23, 59, 58, 7)));
        assert_eq!(
            jiff::civil::DateTime::decode(&stored(&moment)).unwrap(),
            jiff::civil::date(2024, 2, 29).at(23, 59, 58, 7)
        );
        fn unit<T: TimeValue>() -> crate::value::TimeUnit {
            T::UNIT
        }
        assert_eq!(unit::<time::OffsetDateTime>(), unit::<chrono::DateTime<chrono::Utc>>());
        assert_eq!(unit::<jiff::Timestamp>(), unit::<chrono::DateTime<chrono::Utc>>());
    }
}

#[cfg(feature = "rust_decimal")]
mod decimals {
    use super::*;
    use rust_decimal::Decimal;

    /// Numbers with few and many digits, and neighbours of powers of ten and of the limits up to
    /// which doubles differ, at all scales.
    fn decimals() -> impl Strategy<Value = Decimal> {
        const MOST: i128 = (1 << 96) - 1;
        let near = |middle: i128| (-3i128..=3).prop_map(move |step| (middle + step).clamp(-MOST, MOST));
        let mantissa = prop_oneof![
            -MOST..=MOST,
            -1_000i128..=1_000,
            any::<i64>().prop_map(i128::from),
            (0u32..=28).prop_flat_map(move |power| near(10i128.pow(power))),
            (0u32..=28).prop_flat_map(move |power| near(-10i128.pow(power))),
            near(1 << 53),
            near(-(1 << 53)),
            near(MOST),
            near(-MOST),
        ];
        (mantissa, 0u32..=28, any::<bool>()).prop_map(|(mantissa, scale, minus)| {
            let mut value = Decimal::from_i128_with_scale(mantissa, scale);
            if mantissa == 0 {
                value.set_sign_negative(minus);
            }
            value
        })
    }

    fn all_agree(left: Decimal, right: Decimal) {
        let again = Decimal::decode(&stored(&left)).unwrap();
        assert_eq!(again.serialize(), left.serialize(), "the sign of a zero and the scale, too");
        same_order(&left, &right);
        let (left_form, right_form) = (stored(&left), stored(&right));
        let same = index_form(Kind::Decimal, &left_form) == index_form(Kind::Decimal, &right_form);
        assert_eq!(same, left == right, "{left} {right}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn decimals_keep_every_digit_and_order(left in decimals(), right in decimals(), zeros in 0u32..=28) {
            all_agree(left, right);
            // The same number with another scale, and its neighbours at that scale.
            let mut other = left;
            other.rescale(zeros);
            all_agree(left, other);
            let step = Decimal::from_i128_with_scale(1, other.scale());
            for near in [other.checked_add(step), other.checked_sub(step)].into_iter().flatten() {
                all_agree(near, other);
                all_agree(near, left);
            }
        }
    }

    #[test]
    fn equal_decimals_are_one_value_in_an_index() {
        for (form, plain) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.00", "0"),
            ("-0.00", "0"),
            ("100", "100"),
            ("-100.00", "-100"),
            ("1.50", "1.5"),
            ("0.010", "0.01"),
            ("10.05", "10.05"),
            ("79228162514264337593543950335", "79228162514264337593543950335"),
        ] {
            let value = Decimal::decode(form.as_bytes()).unwrap();
            assert_eq!(stored(&value), form.as_bytes());
            assert_eq!(index_form(Kind::Decimal, form.as_bytes()), plain.as_bytes());
            assert_eq!(SortKey::of(Kind::Decimal, form.as_bytes()), SortKey::of(Kind::Decimal, plain.as_bytes()));
        }
        let tail = |form: &str| SortKey::of(Kind::Decimal, form.as_bytes()).tail;
        assert_eq!(tail("0.010"), b"\x8001\0");
        assert_eq!(tail("-12.5"), b"\x7D874\xFF");
    }

    #[test]
    fn only_the_stored_form_is_read() {
        for form in [
            "",
            "-",
            ".",
            "+1",
            "01",
            "1.",
            ".5",
            "1e3",
            "1_000",
            " 1",
            "--1",
            "1.2.3",
            "NaN",
            "79228162514264337593543950336",
            "0.00000000000000000000000000001",
        ] {
            assert!(Decimal::decode(form.as_bytes()).is_err(), "{form:?}");
            // Making a sort key of them must not panic either.
            SortKey::of(Kind::Decimal, form.as_bytes());
        }
        SortKey::of(Kind::Decimal, &[b'9'; 300]);
    }
}

#[cfg(feature = "json")]
mod json {
    use super::*;
    use crate::Json;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Part {
        Nothing,
        Wrapped(Box<Part>),
        Pair(u128, i128),
        Fields { text: String, letter: char, flag: Option<bool> },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Whole {
        parts: Vec<Part>,
        wide: f64,
        narrow: f32,
        map: BTreeMap<String, Vec<Option<u8>>>,
        keys: BTreeMap<i64, ()>,
        nested: Json<Vec<u8>>,
    }

    fn part() -> impl Strategy<Value = Part> {
        let leaf = prop_oneof![
            Just(Part::Nothing),
            any::<(u128, i128)>().prop_map(|(left, right)| Part::Pair(left, right)),
            any::<(String, char, Option<bool>)>().prop_map(|(text, letter, flag)| Part::Fields { text, letter, flag }),
        ];
        leaf.prop_recursive(4, 8, 1, |inner| inner.prop_map(|part| Part::Wrapped(Box::new(part))))
    }

    proptest! {
        #[test]
        fn any_serde_type_is_kept(
            parts in prop::collection::vec(part(), 0..4),
            (wide, narrow) in any::<(u64, u32)>(),
            map in prop::collection::btree_map(any::<String>(), prop::collection::vec(any::<Option<u8>>(), 0..3), 0..3),
            keys in prop::collection::btree_map(any::<i64>(), Just(()), 0..3),
            nested in any::<Vec<u8>>(),
        ) {
            let (wide, narrow) = (f64::from_bits(wide), f32::from_bits(narrow));
            prop_assume!(wide.is_finite() && narrow.is_finite());
            let value = Json(Whole { parts, wide, narrow, map, keys, nested: Json(nested) });
            round_trip(&value);
            let again = Json::<Whole>::decode(&stored(&value)).unwrap();
            prop_assert_eq!((again.wide.to_bits(), again.narrow.to_bits()), (wide.to_bits(), narrow.to_bits()));
        }
    }

    fn refused<T: Serialize + DeserializeOwned + Send + Sync + 'static>(value: T, why: &str) {
        let error = Json(value).encode(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[derive(Serialize, Deserialize)]
    struct Deep(Vec<Deep>);

    fn deep(levels: u32) -> Deep {
        (1..levels).fold(Deep(Vec::new()), |inner, _| Deep(vec![inner]))
    }

    #[test]
    fn what_json_would_lose_is_refused() {
        refused(f64::NAN, "NaN");
        refused(vec![(1u8, f32::NEG_INFINITY)], "infinities");
        refused(BTreeMap::from([("a", f64::INFINITY)].map(|(key, value)| (key.to_owned(), Some(value)))), "infinities");
        refused(Some(None::<u8>), "Some of a value that is null");
        refused(vec![Some(())], "Some of a value that is null");
        refused(Some(serde_json::Value::Null), "Some of a value that is null");
        refused(BTreeMap::from([(vec![1u8], 1u8)]), "key must be a string");
        refused(deep(128), "127 levels");
        let stored = stored(&Json(deep(127)));
        assert!(Json::<Deep>::decode(&stored).is_ok());
        // Each variant of an enum is an object of one field, and so takes a level.
        let wrapped = |levels: u32| (0..levels).fold(Part::Nothing, |inner, _| Part::Wrapped(Box::new(inner)));
        round_trip(&Json(wrapped(127)));
        refused(wrapped(128), "127 levels");
        let pair = |levels: u32| (0..levels).fold(Part::Pair(1, 2), |inner, _| Part::Wrapped(Box::new(inner)));
        round_trip(&Json(pair(125)));
        refused(pair(126), "127 levels");
    }

    #[test]
    fn null_and_none_are_two_values() {
        round_trip(&Json(None::<u8>));
        assert_eq!(stored(&Json(None::<u8>)), b"null");
        round_trip(&Json(-0.0f64));
        assert_eq!(stored(&Json(-0.0f64)), b"-0.0");
    }

    #[test]
    fn other_layouts_are_read_and_other_values_are_not() {
        assert_eq!(Json::<Vec<u8>>::decode(b" [1,\n 2] ").unwrap().into_inner(), [1, 2]);
        for (text, why) in [
            (&b"[1,"[..], "EOF"),
            (b"[1] 2", "trailing characters"),
            (b"[256]", "expected u8"),
            (b"", "EOF"),
            (b"\xFF", "\\xff"),
        ] {
            let error = Json::<Vec<u8>>::decode(text).unwrap_err().to_string();
            assert!(error.contains("is not JSON of the column's type") && error.contains(why), "{error}");
        }
        for text in [&br#""\ud800""#[..], br#""\udc00x""#, b"\"\xED\xA0\x80\""] {
            let error = Json::<String>::decode(text).unwrap_err().to_string();
            assert!(["surrogate", "unicode", "hex escape"].iter().any(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn it_is_used_as_its_value() {
        let mut json = Json::from(vec![1]);
        json.push(2);
        assert_eq!((json.len(), json.into_inner()), (2, vec![1, 2]));
    }
}
