//! Dates and times of the crate `time` as column types. Their stored forms are the same as those of
//! chrono's types, so that a program may change from one crate to the other and keep its records.

use super::{
    ColumnValue, ElementValue, IndexValue, KeyValue, Kind, SortValue, TimeUnit, TimeValue, ValueError, parse_integer,
};
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcDateTime};

const NANOSECONDS: i128 = 1_000_000_000;

impl ColumnValue for UtcDateTime {
    const TYPE: &'static str = "datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.unix_timestamp_nanos().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let nanoseconds: i128 = parse_integer(stored)?;
        // In earlier versions of the crate, `from_unix_timestamp_nanos` truncates the seconds to 64
        // bits.
        i64::try_from(nanoseconds.div_euclid(NANOSECONDS))
            .ok()
            .and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|whole| whole.replace_nanosecond(nanoseconds.rem_euclid(NANOSECONDS) as u32).ok())
            .ok_or_else(|| ValueError::not("a time that the crate time can hold", stored))
    }
}

/// An instant. Its offset is not stored, so it is read back in UTC, equal to the saved value.
impl ColumnValue for OffsetDateTime {
    const TYPE: &'static str = "datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        match self.checked_to_utc() {
            Some(time) => time.encode(out),
            // It could be stored, but not be read back.
            None => Err(ValueError::new(
                "the time is in UTC beyond the years that the crate time can hold. Give one within them",
            )),
        }
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        UtcDateTime::decode(stored).map(OffsetDateTime::from)
    }
}

impl ColumnValue for PrimitiveDateTime {
    const TYPE: &'static str = "naive datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.as_utc().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        UtcDateTime::decode(stored).map(|time| PrimitiveDateTime::new(time.date(), time.time()))
    }
}

/// The Julian day before the first day of the year 1.
const JULIAN_DAY_0: i32 = 1_721_425;

/// Stored as a day number. The first day of the year 1 is day 1.
impl ColumnValue for Date {
    const TYPE: &'static str = "date";
    const KIND: Kind = Kind::Integer;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        (self.to_julian_day() - JULIAN_DAY_0).encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let day: i32 = parse_integer(stored)?;
        day.checked_add(JULIAN_DAY_0)
            .and_then(|day| Date::from_julian_day(day).ok())
            .ok_or_else(|| ValueError::not("a date that the crate time can hold", stored))
    }
}

impl TimeValue for UtcDateTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

impl TimeValue for OffsetDateTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

/// Such times are taken to be in UTC.
impl TimeValue for PrimitiveDateTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

mark!(UtcDateTime, OffsetDateTime, PrimitiveDateTime, Date);
elements!(UtcDateTime, OffsetDateTime, PrimitiveDateTime, Date);
