//! Column types of Rust's standard library, and `Uuid`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::{
    AutoIncrementValue, ColumnValue, ElementValue, IndexValue, IntegerValue, KeyValue, Kind, SortValue, SumValue,
    TimeUnit, TimeValue, ValueError, parse, parse_integer, sort_key::EXACT,
};

/// Reads a float and refuses a form that encoding would not have written, such as `1` or `1e0`.
fn parse_float<T: std::str::FromStr + ColumnValue>(stored: &[u8]) -> Result<T, ValueError> {
    let value = parse::<T>(stored).ok_or_else(|| ValueError::not(T::TYPE, stored))?;
    let mut again = Vec::with_capacity(stored.len());
    value.encode(&mut again)?;
    if again == stored { Ok(value) } else { Err(ValueError::not(T::TYPE, stored)) }
}

macro_rules! integers {
    ($($type:ty),* => $kind:expr, $ordinal:expr) => {$(
        impl ColumnValue for $type {
            const TYPE: &'static str = stringify!($type);
            const KIND: Kind = $kind;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
                use std::io::Write as _;
                write!(out, "{self}").map_err(|error| ValueError::new(error.to_string()))
            }
            fn decode(stored: &[u8]) -> Result<Self, ValueError> {
                parse_integer(stored)
            }
            fn ordinal(&self) -> u16 {
                let ordinal: fn(&$type) -> u16 = $ordinal;
                ordinal(self)
            }
        }
        impl IndexValue for $type {}
        impl SortValue for $type {}
        impl KeyValue for $type {}
    )*};
}
integers!(u16, u32, u64, u128, usize, i16, i32, i64, i128, isize => Kind::Integer, |_| 0);
integers!(u8 => Kind::Ordinal, |value| u16::from(*value));
integers!(i8 => Kind::Ordinal, |value| (i16::from(*value) + 128) as u16);

macro_rules! integer {
    ($($type:ty: $least:expr, $greatest:expr);*) => {$(
        impl IntegerValue for $type {
            const LEAST: &'static str = $least;
            const GREATEST: &'static str = $greatest;
        }
    )*};
}
integer!(
    u8: "0", "255"; i8: "-128", "127";
    u16: "0", "65535"; i16: "-32768", "32767";
    u32: "0", "4294967295"; i32: "-2147483648", "2147483647";
    u64: "0", "18446744073709551615"; i64: "-9223372036854775808", "9223372036854775807";
    u128: "0", "340282366920938463463374607431768211455";
    i128: "-170141183460469231731687303715884105728", "170141183460469231731687303715884105727"
);
#[cfg(target_pointer_width = "64")]
integer!(usize: "0", "18446744073709551615"; isize: "-9223372036854775808", "9223372036854775807");
#[cfg(target_pointer_width = "32")]
integer!(usize: "0", "4294967295"; isize: "-2147483648", "2147483647");

macro_rules! sums_of_integers {
    ($($type:ty),*) => {$(
        impl SumValue for $type {
            type Sum = i128;
            type Mean = f64;
            fn add(sum: i128, value: Self, times: u64) -> Option<i128> {
                let value = i128::try_from(value).ok()?;
                // Multiplying takes longer than all else.
                let value = if times == 1 { value } else { value.checked_mul(i128::from(times))? };
                sum.checked_add(value)
            }
            fn mean(sum: i128, count: u64) -> f64 {
                sum as f64 / count as f64
            }
            fn of_score(score: f64) -> Option<Self> {
                (score.abs() < EXACT).then_some(score as Self)
            }
        }
    )*};
}
sums_of_integers!(u8, i8, u16, u32, u64, u128, usize, i16, i32, i64, i128, isize);

impl TimeValue for i64 {
    const UNIT: TimeUnit = TimeUnit::Milliseconds;
}

impl TimeValue for u64 {
    const UNIT: TimeUnit = TimeUnit::Milliseconds;
}

elements!(u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool, char, String, Vec<u8>, Uuid, SystemTime);

macro_rules! auto_increment {
    ($($type:ty: $greatest:expr),*) => {$(
        impl AutoIncrementValue for $type {
            const GREATEST: Option<&'static str> = $greatest;
        }
    )*};
}
auto_increment!(u16: Some("65535"), i16: Some("32767"), u32: Some("4294967295"), i32: Some("2147483647"));
auto_increment!(u64: None, i64: None, u128: None, i128: None, usize: None, isize: None);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl ColumnValue for $type {
            const TYPE: &'static str = stringify!($type);
            const KIND: Kind = Kind::Float;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
                use std::io::Write as _;
                if self.is_nan() {
                    return Err(ValueError::new("NaN cannot be stored, as it equals nothing and has no order. Give a number, or null in an `Option`"));
                }
                write!(out, "{self:?}").map_err(|error| ValueError::new(error.to_string()))
            }
            fn decode(stored: &[u8]) -> Result<Self, ValueError> {
                parse_float(stored)
            }
        }
        impl IndexValue for $type {}
        impl SortValue for $type {}
    )*};
}
floats!(f32, f64);

macro_rules! sums_of_floats {
    ($($type:ty),*) => {$(
        impl SumValue for $type {
            type Sum = f64;
            type Mean = f64;
            fn add(sum: f64, value: Self, times: u64) -> Option<f64> {
                Some(sum + f64::from(value) * times as f64)
            }
            fn mean(sum: f64, count: u64) -> f64 {
                sum / count as f64
            }
            fn of_score(score: f64) -> Option<Self> {
                Some(score as Self)
            }
        }
    )*};
}
sums_of_floats!(f32, f64);

impl ColumnValue for bool {
    const TYPE: &'static str = "bool";
    const KIND: Kind = Kind::Ordinal;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        match stored {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(ValueError::not("true or false", stored)),
        }
    }
    fn ordinal(&self) -> u16 {
        u16::from(*self)
    }
}

impl ColumnValue for char {
    const TYPE: &'static str = "char";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(self.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let mut chars = std::str::from_utf8(stored).map_err(|_| ValueError::not("UTF-8", stored))?.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(ValueError::not("one character", stored)),
        }
    }
}

impl ColumnValue for String {
    const TYPE: &'static str = "text";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        std::str::from_utf8(stored).map(str::to_owned).map_err(|_| ValueError::not("UTF-8", stored))
    }
    fn decode_owned(stored: Vec<u8>) -> Result<Self, ValueError> {
        String::from_utf8(stored).map_err(|error| ValueError::not("UTF-8", error.as_bytes()))
    }
}

impl ColumnValue for Vec<u8> {
    const TYPE: &'static str = "bytes";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(self);
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        Ok(stored.to_vec())
    }
    fn decode_owned(stored: Vec<u8>) -> Result<Self, ValueError> {
        Ok(stored)
    }
}

impl ColumnValue for Uuid {
    const TYPE: &'static str = "uuid";
    const KIND: Kind = Kind::Uuid;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        // The parser accepts other forms of a UUID as well, which would give one value two names.
        let hyphenated_lower = stored.len() == 36 && !stored.iter().any(u8::is_ascii_uppercase);
        match Uuid::try_parse_ascii(stored) {
            Ok(uuid) if hyphenated_lower => Ok(uuid),
            _ => Err(ValueError::not("a UUID", stored)),
        }
    }
}

impl ColumnValue for SystemTime {
    const TYPE: &'static str = "datetime";
    const KIND: Kind = Kind::Nanoseconds;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        // The nanoseconds of any SystemTime fit in 128 bits, as its seconds have 64 bits.
        let nanoseconds = match self.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        nanoseconds.encode(out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let nanoseconds: i128 = parse_integer(stored)?;
        let size = nanoseconds.unsigned_abs();
        u64::try_from(size / 1_000_000_000)
            .ok()
            .map(|seconds| Duration::new(seconds, (size % 1_000_000_000) as u32))
            .and_then(|size| if nanoseconds < 0 { UNIX_EPOCH.checked_sub(size) } else { UNIX_EPOCH.checked_add(size) })
            .ok_or_else(|| ValueError::not("a time that this system can hold", stored))
    }
}

impl TimeValue for SystemTime {
    const UNIT: TimeUnit = TimeUnit::Nanoseconds;
}

mark!(bool, char, String, Vec<u8>, Uuid, SystemTime);
