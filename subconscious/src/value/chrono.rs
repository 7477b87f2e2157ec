//! chrono's dates and times as column types.

use super::{
    ColumnValue, ElementValue, IndexValue, KeyValue, Kind, SortValue, TimeUnit, TimeValue, ValueError, parse_integer,
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

const NANOSECONDS: i128 = 1_000_000_000;

impl ColumnValue for DateTime<Utc> {
    const TYPE: &'static str = "datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let nanoseconds = i128::from(self.timestamp_subsec_nanos());
        if nanoseconds >= NANOSECONDS {
            return Err(ValueError::new(
                "a leap second cannot be stored, as nanoseconds since the epoch have no place for it. Give the second before or after",
            ));
        }
        (i128::from(self.timestamp()) * NANOSECONDS + nanoseconds).encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let nanoseconds: i128 = parse_integer(stored)?;
        i64::try_from(nanoseconds.div_euclid(NANOSECONDS))
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, nanoseconds.rem_euclid(NANOSECONDS) as u32))
            .ok_or_else(|| ValueError::not("a time that chrono can hold", stored))
    }
}

impl ColumnValue for NaiveDateTime {
    const TYPE: &'static str = "naive datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.and_utc().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        DateTime::<Utc>::decode(stored).map(|time| time.naive_utc())
    }
}

/// Stored as a day number. The first day of the year 1 is day 1, as chrono counts.
impl ColumnValue for NaiveDate {
    const TYPE: &'static str = "date";
    const KIND: Kind = Kind::Integer;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.num_days_from_ce().encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        NaiveDate::from_num_days_from_ce_opt(parse_integer(stored)?)
            .ok_or_else(|| ValueError::not("a date that chrono can hold", stored))
    }
}

impl TimeValue for DateTime<Utc> {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

/// Such times are taken to be in UTC.
impl TimeValue for NaiveDateTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

mark!(DateTime<Utc>, NaiveDateTime, NaiveDate);
elements!(DateTime<Utc>, NaiveDateTime, NaiveDate);
