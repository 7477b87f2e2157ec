//! What a query asks for, without its model.

use std::collections::BTreeSet;

use crate::model::schema::ModelSchema;
use crate::query::filter::Condition;

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderKey {
    /// The position of the column in the schema.
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

impl OrderKey {
    /// The ascending order of a column, nulls last.
    pub(crate) fn ascending(column: usize) -> Self {
        Self { column, descending: false, nulls_first: false }
    }

    /// The same order from its end to its beginning.
    pub(crate) fn reversed(self) -> Self {
        Self { descending: !self.descending, nulls_first: !self.nulls_first, ..self }
    }
}

/// A filter and an order.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) condition: Condition,
    /// Empty for row order.
    pub(crate) order: Vec<OrderKey>,
    /// Whether rows are read from the last to the first, if there is no order.
    pub(crate) backwards: bool,
}

impl Request {
    /// A request in row order.
    pub(crate) fn of(condition: Condition) -> Self {
        Self { condition, order: Vec::new(), backwards: false }
    }

    /// The columns of the filter and the order, and `others`, as far as they are fields of the
    /// record's hash.
    pub(crate) fn fields(&self, schema: &ModelSchema, others: &[usize]) -> Vec<usize> {
        let mut columns: BTreeSet<usize> = others.iter().copied().collect();
        self.condition.columns(&mut columns);
        columns.extend(self.order.iter().map(|key| key.column));
        // A key that is not a field can't be part of a filter or an order.
        columns.into_iter().filter(|at| schema.stored.contains(at)).collect()
    }

    /// The same request, from the end to the beginning.
    pub(crate) fn reversed(&self) -> Self {
        Self {
            condition: self.condition.clone(),
            order: self.order.iter().map(|key| key.reversed()).collect(),
            backwards: !self.backwards,
        }
    }
}
