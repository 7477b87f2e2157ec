//! jiff's dates and times as column types. Their stored forms are the same as those of chrono's
//! types, so that a program may change from one crate to the other and keep its records.

use super::{
    ColumnValue, ElementValue, IndexValue, KeyValue, Kind, SortValue, TimeUnit, TimeValue, ValueError, parse_integer,
};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};

const NANOSECONDS: i128 = 1_000_000_000;

impl ColumnValue for Timestamp {
    const TYPE: &'static str = "datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.as_nanosecond().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        Timestamp::from_nanosecond(parse_integer(stored)?)
            .map_err(|_| ValueError::not("a time that a jiff::Timestamp can hold", stored))
    }
}

/// The time from which civil times are counted. `Timestamp` was rejected, as its range ends a day
/// before that of civil times.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl ColumnValue for DateTime {
    const TYPE: &'static str = "naive datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.duration_since(EPOCH).as_nanos().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let nanoseconds: i128 = parse_integer(stored)?;
        i64::try_from(nanoseconds.div_euclid(NANOSECONDS))
            .ok()
            .map(|seconds| (SignedDuration::from_secs(seconds), nanoseconds.rem_euclid(NANOSECONDS) as i64))
            .and_then(|(whole, rest)| EPOCH.checked_add(whole).ok()?.checked_add(SignedDuration::from_nanos(rest)).ok())
            .ok_or_else(|| ValueError::not("a time that a jiff::civil::DateTime can hold", stored))
    }
}

/// The day number of 1970-01-01. Days are counted from there, because jiff refuses to add more days
/// than follow that day in its range.
const EPOCH_DAY: i64 = 719_163;

/// Stored as a day number. The first day of the year 1 is day 1.
impl ColumnValue for Date {
    const TYPE: &'static str = "date";
    const KIND: Kind = Kind::Integer;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        (self.duration_since(EPOCH.date()).as_hours() / 24 + EPOCH_DAY).encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let day: i32 = parse_integer(stored)?;
        EPOCH
            .date()
            .checked_add(SignedDuration::from_hours(24 * (i64::from(day) - EPOCH_DAY)))
            .map_err(|_| ValueError::not("a date that a jiff::civil::Date can hold", stored))
    }
}

impl TimeValue for Timestamp {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

/// Such times are taken to be in UTC.
impl TimeValue for DateTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

mark!(Timestamp, DateTime, Date);
elements!(Timestamp, DateTime, Date);
