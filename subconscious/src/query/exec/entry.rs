//! Rows with their sort keys.

use std::cmp::Ordering;

use redis::Value;

use crate::model::schema::ModelSchema;
use crate::query::exec::hit::Hit;
use crate::query::request::OrderKey;
use crate::value::SortKey;

/// A row with its sort keys, one for each column of the order; `None` for null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortEntry {
    pub(crate) keys: Vec<Option<SortKey>>,
    /// The row. In a position between two rows, it may be a number that no row has.
    pub(crate) row: i64,
}

impl SortEntry {
    /// The entry of a row whose columns were read; `None` if its record is gone.
    pub(super) fn of(schema: &ModelSchema, order: &[OrderKey], columns: &[usize], hit: &Hit) -> Option<Self> {
        let Value::Array(fields) = hit.fields.as_ref()? else { return None };
        let (_, fields) = fields.split_first()?;
        let key = |key: &OrderKey| {
            let column = &schema.columns()[key.column];
            let at = columns.iter().position(|&at| at == key.column)?;
            let Value::BulkString(stored) = fields.get(at)? else { return None };
            column.sort_key(stored)
        };
        Some(Self { keys: order.iter().map(key).collect(), row: i64::from(hit.row) })
    }

    /// Compares two entries. Entries with equal sort keys are in row order, which is descending if
    /// the last column is.
    pub(crate) fn compare(&self, other: &Self, order: &[OrderKey]) -> Ordering {
        let turned = |ordering: Ordering, descending: bool| if descending { ordering.reverse() } else { ordering };
        let mut keys = order.iter().zip(self.keys.iter().zip(&other.keys));
        let differs = keys.find_map(|(key, pair)| {
            let ordering = match pair {
                (Some(one), Some(two)) => turned(one.compare(two), key.descending),
                (one, two) => turned(one.is_none().cmp(&two.is_none()), key.nulls_first),
            };
            Some(ordering).filter(|ordering| ordering.is_ne())
        });
        let descending = order.last().is_some_and(|key| key.descending);
        differs.unwrap_or_else(|| turned(self.row.cmp(&other.row), descending))
    }
}

/// Sort keys as bytes. A null is 0. Any other sort key is 1, then its score and its tail, each
/// after its length.
pub(crate) fn write_keys(keys: &[Option<SortKey>]) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        let Some(SortKey { score, tail }) = key else {
            out.push(0);
            continue;
        };
        out.push(1);
        for part in [score, tail] {
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// Reads what [`write_keys`] wrote; `None` for anything else.
pub(crate) fn read_keys(mut bytes: &[u8], count: usize) -> Option<Vec<Option<SortKey>>> {
    let mut take = |length: usize| {
        let (taken, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(taken)
    };
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        if take(1)? == [0] {
            keys.push(None);
            continue;
        }
        let mut part = || {
            let length = u16::from_be_bytes(take(2)?.try_into().ok()?);
            take(usize::from(length)).map(<[u8]>::to_vec)
        };
        keys.push(Some(SortKey { score: part()?, tail: part()? }));
    }
    bytes.is_empty().then_some(keys)
}
