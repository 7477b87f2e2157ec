//! rust_decimal's numbers as a column type.

use std::io::Write as _;

use super::{ColumnValue, IndexValue, Kind, SortValue, SumValue, ValueError};
use rust_decimal::Decimal;

/// Stored with its scale. `1.5` and `1.50` are two texts, and each is read back as it was saved, as
/// is `-0.00`. In an index and in an order, `1.5` and `1.50` are one number, as they are for `==`.
/// A key would tell them apart, so a `Decimal` can't be a key.
impl ColumnValue for Decimal {
    const TYPE: &'static str = "decimal";
    const KIND: Kind = Kind::Decimal;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        write!(out, "{self}").map_err(|error| ValueError::new(error.to_string()))
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let not = || ValueError::not("a decimal number", stored);
        let text = std::str::from_utf8(stored).map_err(|_| not())?;
        let mut value = Decimal::from_str_exact(text).map_err(|_| not())?;
        // Parsing drops the sign of a zero.
        value.set_sign_negative(text.starts_with('-'));
        // Other forms of a number, such as `+1` and `1_000`, are refused: they would give one value
        // two names.
        let mut again = Vec::with_capacity(stored.len());
        value.encode(&mut again)?;
        if again == stored { Ok(value) } else { Err(not()) }
    }
}

impl IndexValue for Decimal {}
impl SortValue for Decimal {}

impl SumValue for Decimal {
    type Sum = Decimal;
    type Mean = Decimal;
    fn add(sum: Decimal, value: Decimal, times: u64) -> Option<Decimal> {
        sum.checked_add(value.checked_mul(times.into())?)
    }
    fn mean(sum: Decimal, count: u64) -> Decimal {
        sum / Decimal::from(count)
    }
    fn of_score(_: f64) -> Option<Decimal> {
        None
    }
}
