//! Counts by the values of one column or several.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use redis::Value;

use crate::error::Result;
use crate::model::codec::RecordReader;
use crate::model::target::Target;
use crate::query::column::{Column, Indexed};
use crate::query::exec::groups;
use crate::query::filter::Condition;
use crate::query::request::Request;
use crate::sealed::Sealed;
use crate::server::Db;
use crate::value::list::ElementValue;
use crate::value::{ColumnType, IndexValue, SortKey};

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

/// What records are counted by: a column with `index`, or a tuple of two to four of them.
#[diagnostic::on_unimplemented(
    message = "records cannot be counted by this",
    label = "not a column, nor a tuple of two to four columns",
    note = "count by one column with `index`, `|u| u.country`, or by two to four of them, `|u| (u.country, u.gender)`"
)]
pub trait Groups<M>: Sealed {
    /// What the records of a group share: a value, or a tuple of values.
    type Group: Send + 'static;

    /// Positions of the columns in the model's schema.
    #[doc(hidden)]
    fn columns(&self) -> Vec<usize>;

    /// Reads the values of a group.
    #[doc(hidden)]
    fn read(values: &mut RecordReader<'_>) -> Result<Self::Group>;
}

impl<M, T: Grouping, C: Indexed> Groups<M> for Column<M, T, C> {
    type Group = T::Group;

    fn columns(&self) -> Vec<usize> {
        vec![self.at()]
    }

    fn read(values: &mut RecordReader<'_>) -> Result<T::Group> {
        values.column::<T::Group>()
    }
}

macro_rules! tuple {
    ($($type:ident $caps:ident $at:tt),*) => {
        impl<M, $($type: Grouping, $caps: Indexed),*> Groups<M> for ($(Column<M, $type, $caps>,)*) {
            type Group = ($($type::Group,)*);

            fn columns(&self) -> Vec<usize> {
                vec![$(self.$at.at()),*]
            }

            fn read(values: &mut RecordReader<'_>) -> Result<Self::Group> {
                Ok(($(values.column::<$type::Group>()?,)*))
            }
        }
    };
}
tuple!(A K 0, B L 1);
tuple!(A K 0, B L 1, C N 2);
tuple!(A K 0, B L 1, C N 2, D O 3);

/// The number of matching records of each group, the greatest number first.
pub(crate) async fn count_by<M, G: Groups<M>>(
    db: &Db,
    target: Target,
    condition: &Condition,
    columns: Vec<usize>,
) -> Result<Vec<(G::Group, u64)>> {
    let (schema, prefix) = (target.schema, target.keys.prefix.clone());
    let counts = groups::count(db, target, Request::of(condition.clone()), &columns).await?;
    let mut groups = Vec::with_capacity(counts.len());
    for (values, count) in counts {
        let key = |(value, &at): (&Option<Vec<u8>>, &usize)| schema.columns()[at].sort_key(value.as_deref()?);
        let keys: Vec<Option<SortKey>> = values.iter().zip(&columns).map(key).collect();
        let stored: Vec<Value> = values.into_iter().map(|value| value.map_or(Value::Nil, Value::BulkString)).collect();
        let mut reader = RecordReader::values(schema, &columns, prefix.as_bytes(), stored.into_iter());
        groups.push((G::read(&mut reader)?, count, keys));
    }
    groups.sort_by(|(_, one, keys), (_, two, others)| two.cmp(one).then_with(|| compare(keys, others)));
    Ok(groups.into_iter().map(|(group, count, _)| (group, count)).collect())
}

/// Compares by one value after the other. Null comes last.
fn compare(keys: &[Option<SortKey>], others: &[Option<SortKey>]) -> Ordering {
    let one = |(key, other): (&Option<SortKey>, &Option<SortKey>)| match (key, other) {
        (Some(key), Some(other)) => key.compare(other),
        _ => key.is_none().cmp(&other.is_none()),
    };
    keys.iter().zip(others).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
