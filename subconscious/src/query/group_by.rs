//! Counts by the values of a column.

use std::collections::BTreeSet;

use redis::Value;

use crate::error::Result;
use crate::model::codec::RecordReader;
use crate::model::target::Target;
use crate::query::exec::groups;
use crate::query::filter::Condition;
use crate::query::request::Request;
use crate::server::Db;
use crate::value::list::ElementValue;
use crate::value::{ColumnType, IndexValue};

/// A column type that records can be counted by: see [`Query::count_by`](crate::Query::count_by).
#[diagnostic::on_unimplemented(
    message = "records cannot be counted by a column of type `{Self}`",
    label = "has no values that can be compared"
)]
pub trait Grouping: ColumnType {
    /// What the records of a group share: the value of the column, or an element of a list.
    type Group: ColumnType + Send + 'static;
}

impl<T: IndexValue> Grouping for T {
    type Group = T;
}
impl<T: IndexValue> Grouping for Option<T> {
    type Group = Self;
}
impl<T: ElementValue> Grouping for Vec<T> {
    type Group = T;
}
impl<T: ElementValue> Grouping for Option<Vec<T>> {
    type Group = T;
}
impl<T: ElementValue + Ord> Grouping for BTreeSet<T> {
    type Group = T;
}
impl<T: ElementValue + Ord> Grouping for Option<BTreeSet<T>> {
    type Group = T;
}

/// The number of matching records for each value of a column, the greatest number first.
pub(crate) async fn count_by<T: Grouping>(
    db: &Db,
    target: Target,
    condition: &Condition,
    column: usize,
) -> Result<Vec<(T::Group, u64)>> {
    let (schema, prefix) = (target.schema, target.keys.prefix.clone());
    let counts = groups::count(db, target, Request::of(condition.clone()), column).await?;
    let (columns, mut groups) = ([column], Vec::with_capacity(counts.len()));
    for (value, count) in counts {
        let key = value.as_deref().and_then(|value| schema.columns()[column].sort_key(value));
        let stored = value.map_or(Value::Nil, Value::BulkString);
        let mut record = RecordReader::values(schema, &columns, prefix.as_bytes(), vec![stored].into_iter());
        groups.push((record.column::<T::Group>()?, count, key));
    }
    groups.sort_by(|(_, one, key), (_, two, other)| {
        two.cmp(one).then_with(|| match (key, other) {
            (Some(key), Some(other)) => key.compare(other),
            // Null comes last.
            _ => key.is_none().cmp(&other.is_none()),
        })
    });
    Ok(groups.into_iter().map(|(group, count, _)| (group, count)).collect())
}
