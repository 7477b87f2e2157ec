//! Sums and averages of a column.

use crate::error::{Error, Result};
use crate::model::codec::RecordReader;
use crate::model::index::Need;
use crate::model::target::Target;
use crate::query::exec::{self, groups};
use crate::query::filter::Condition;
use crate::query::request::Request;
use crate::server::Db;
use crate::value::{ColumnType, SumValue};

use redis::Value;

/// What the records that match have in a column, taken together.
pub(crate) struct Total<T: SumValue> {
    pub(crate) sum: T::Sum,
    /// The number of records that have a value.
    pub(crate) count: u64,
}

/// Adds up the values of the records that match.
pub(crate) async fn total<T>(db: &Db, mut target: Target, condition: &Condition, at: usize) -> Result<Total<T::Value>>
where
    T: ColumnType,
    T::Value: SumValue,
{
    target.need([Need::Order(at)]);
    let (schema, prefix) = (target.schema, target.keys.prefix.clone());
    let column = &schema.columns()[at];
    let mut total = Total { sum: Default::default(), count: 0 };
    let mut beyond = false;
    let mut add = |value: T::Value, times: u64| {
        total.count += times;
        match T::Value::add(total.sum, value, times) {
            Some(sum) => total.sum = sum,
            None => beyond = true,
        }
    };
    let read = |key: &[u8], id: &[u8], stored: Value| {
        RecordReader::some(schema, &[at], key, id, vec![stored].into_iter()).column::<T>()
    };
    let request = Request::of(condition.clone());
    if column.has_values() {
        for (mut values, count) in groups::count(db, target, request, &[at]).await? {
            let value = read(prefix.as_bytes(), b"", values.pop().flatten().map_or(Value::Nil, Value::BulkString))?;
            if let Some(value) = value.into_value() {
                add(value, count);
            }
        }
    } else {
        let mut left = Vec::new();
        let by_score = |row: u32, score: f64| match T::Value::of_score(score) {
            Some(value) => add(value, 1),
            None => left.push(row),
        };
        let values = exec::values::Values::read(db, target, request, at, by_score).await?;
        left.extend(values.undecided());
        for rows in left.chunks(exec::values::STEP) {
            for (hit, stored) in values.of(rows).await? {
                if let Some(value) = read(&hit.key, &hit.id, stored)?.into_value() {
                    add(value, 1);
                }
            }
        }
    }
    if beyond {
        let reason =
            format!("the sum of `{}` is beyond the range of its type. Add up fewer records at a time", column.name());
        return Err(Error::InvalidQuery { model: schema.name(), reason });
    }
    Ok(total)
}
