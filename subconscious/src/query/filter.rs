//! Filters: typed without, an expression over stored forms within.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Not};

use redis::Value;

use crate::schema::ModelSchema;
use crate::value::{Kind, SortKey, ValueError, index_form, list};

/// A condition on the records of the model `M`, made by the methods of [`Column`](crate::Column) and combined with `&`, `|` and `!`.
///
/// ```no_run
/// # use subconscious::{Db, RedisModel};
/// # #[derive(RedisModel)]
/// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8, #[column(index)] country: Option<String> }
/// # async fn run(db: Db) -> subconscious::Result<()> {
/// let some = User::filter_by(|u| (u.age.lt(18) | u.age.ge(65)) & !u.country.is_in(["CH", "DE"])).fetch(&db).await?;
/// # Ok(()) }
/// ```
///
/// `!` is the complement among the model's records: it includes those in which the column is null. `&` binds tighter than `|`; `&&` and `||`
/// are for `bool` alone.
#[must_use = "a filter does nothing until a query is made with it"]
pub struct Filter<M> {
    pub(crate) condition: Condition,
    model: PhantomData<fn() -> M>,
}

impl<M> Filter<M> {
    pub(crate) fn new(condition: Condition) -> Self {
        Self { condition, model: PhantomData }
    }
}

impl<M> Clone for Filter<M> {
    fn clone(&self) -> Self {
        Self::new(self.condition.clone())
    }
}

impl<M> fmt::Debug for Filter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl<M> BitAnd for Filter<M> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self::new(self.condition.and(other.condition))
    }
}

impl<M> BitOr for Filter<M> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self::new(self.condition.or(other.condition))
    }
}

impl<M> Not for Filter<M> {
    type Output = Self;
    fn not(self) -> Self {
        Self::new(self.condition.not())
    }
}

/// A bound of a range: the stored form of a value and its ordinal, and whether the value itself is in the range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    pub(crate) stored: Vec<u8>,
    pub(crate) ordinal: u16,
    pub(crate) inclusive: bool,
}

/// A condition, by positions of columns and stored forms of values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    All,
    Nothing,
    Equals {
        column: usize,
        stored: Vec<u8>,
    },
    IsNull {
        column: usize,
    },
    Range {
        column: usize,
        low: Option<Bound>,
        high: Option<Bound>,
    },
    /// The text begins with this.
    StartsWith {
        column: usize,
        beginning: Vec<u8>,
    },
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// A value that can't be stored was compared with.
    Invalid {
        column: usize,
        reason: ValueError,
    },
}

impl Condition {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, condition) | (condition, Self::All) => condition,
            (Self::And(mut parts), Self::And(more)) => {
                parts.extend(more);
                Self::And(parts)
            }
            (Self::And(mut parts), condition) | (condition, Self::And(mut parts)) => {
                parts.push(condition);
                Self::And(parts)
            }
            (left, right) => Self::And(vec![left, right]),
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, condition) | (condition, Self::Nothing) => condition,
            (Self::Or(mut parts), Self::Or(more)) => {
                parts.extend(more);
                Self::Or(parts)
            }
            (Self::Or(mut parts), condition) | (condition, Self::Or(mut parts)) => {
                parts.push(condition);
                Self::Or(parts)
            }
            (left, right) => Self::Or(vec![left, right]),
        }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Adds the columns that it is about.
    pub(crate) fn columns(&self, found: &mut BTreeSet<usize>) {
        match self {
            Self::All | Self::Nothing => {}
            Self::Equals { column, .. }
            | Self::IsNull { column }
            | Self::Range { column, .. }
            | Self::StartsWith { column, .. }
            | Self::Invalid { column, .. } => {
                found.insert(*column);
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.columns(found)),
            Self::Not(inner) => inner.columns(found),
        }
    }

    /// The first value that was compared with and can't be stored.
    pub(crate) fn invalid(&self) -> Option<(usize, &ValueError)> {
        match self {
            Self::Invalid { column, reason } => Some((*column, reason)),
            Self::And(parts) | Self::Or(parts) => parts.iter().find_map(Self::invalid),
            Self::Not(inner) => inner.invalid(),
            _ => None,
        }
    }

    /// Whether a record matches, by its fields in the order of `columns`.
    pub(crate) fn matches(&self, schema: &ModelSchema, columns: &[usize], fields: &[Value]) -> bool {
        let stored = |column: usize| {
            let at = columns.iter().position(|&stored| stored == column)?;
            match fields.get(at) {
                Some(Value::BulkString(stored)) => Some((schema.columns()[column].kind, stored.as_slice())),
                _ => None,
            }
        };
        match self {
            Self::All => true,
            Self::Nothing | Self::Invalid { .. } => false,
            Self::Equals { column, stored: wanted } => stored(*column).is_some_and(|(kind, found)| match kind {
                Kind::List => list::entries(found).iter().any(|element| element == wanted),
                _ => index_form(kind, found) == index_form(kind, wanted),
            }),
            Self::IsNull { column } => stored(*column).is_none(),
            Self::Range { column, low, high } => stored(*column).is_some_and(|(kind, found)| {
                let ordinal = |stored: &[u8]| schema.columns()[*column].ordinal_of(stored);
                let beyond = |bound: &Bound, wanted: std::cmp::Ordering| {
                    let order = if kind == Kind::Ordinal {
                        ordinal(found).cmp(&Some(bound.ordinal))
                    } else {
                        SortKey::of(kind, found).compare(&SortKey::of(kind, &bound.stored))
                    };
                    order == wanted || (bound.inclusive && order.is_eq())
                };
                low.as_ref().is_none_or(|low| beyond(low, std::cmp::Ordering::Greater))
                    && high.as_ref().is_none_or(|high| beyond(high, std::cmp::Ordering::Less))
            }),
            Self::StartsWith { column, beginning } => {
                stored(*column).is_some_and(|(_, found)| found.starts_with(beginning))
            }
            Self::And(parts) => parts.iter().all(|part| part.matches(schema, columns, fields)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(schema, columns, fields)),
            Self::Not(inner) => !inner.matches(schema, columns, fields),
        }
    }
}
