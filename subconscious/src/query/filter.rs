//! Filters: typed by the model on the outside, an expression over stored forms on the inside.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Deref, Not};

use crate::error::{Error, Result};
use crate::model::RedisModel;
use crate::model::schema::ModelSchema;
use crate::sealed::Sealed;
use crate::value::ValueError;

/// A condition on the records of the model `M`, made by the methods of [`Column`](crate::Column)
/// and combined with `&`, `|` and `!`.
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
/// `!` is the complement among the model's records, so it includes the records in which the column
/// is null. `&` binds tighter than `|`. `&&` and `||` are for `bool` alone.
#[must_use = "a filter does nothing until a query is made with it"]
pub struct Filter<M> {
    pub(crate) condition: Condition,
    model: PhantomData<fn() -> M>,
}

impl<M> Filter<M> {
    pub(crate) fn new(condition: Condition) -> Self {
        Self { condition, model: PhantomData }
    }

    /// The records that match all of the filters. Of no filters, that is every record.
    ///
    /// ```no_run
    /// # use subconscious::{Db, Filter, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8, #[column(index)] country: Option<String> }
    /// # async fn run(db: Db, country: Option<String>, least_age: Option<u8>) -> subconscious::Result<()> {
    /// let wanted = User::filter_by(|u| {
    ///     let country = country.map(|country| u.country.eq(country));
    ///     let age = least_age.map(|age| u.age.ge(age));
    ///     Filter::all([country, age].into_iter().flatten())
    /// });
    /// # let _ = wanted.fetch(&db).await?;
    /// # Ok(()) }
    /// ```
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::new(filters.into_iter().map(|filter| filter.condition).fold(Condition::All, Condition::and))
    }

    /// The records that match at least one of the filters. Of no filters, that is none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::new(filters.into_iter().map(|filter| filter.condition).fold(Condition::Nothing, Condition::or))
    }
}

/// What the closure of a filter answers: a [`Filter`].
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is no filter",
    label = "expected `Filter<{M}>`",
    note = "a filter is made by the methods of a column, and filters are joined by `&`, `|` and `!`, not by `&&` and `||`: \
            `u.country.eq(\"CH\") & !u.age.lt(18)`"
)]
pub trait IntoFilter<M>: Sealed {
    /// The filter.
    fn into_filter(self) -> Filter<M>;
}

impl<M> Sealed for Filter<M> {}

#[diagnostic::do_not_recommend]
impl<M> IntoFilter<M> for Filter<M> {
    fn into_filter(self) -> Self {
        self
    }
}

impl<M: RedisModel> Filter<M> {
    /// The records whose column of this name has the value, both of which may come from a request.
    /// The name is that of the stored field, which is the field's own unless `rename` says
    /// otherwise. The value is in its stored form, as `HGETALL` shows it: a number in decimal
    /// digits, a `bool` as `true` or `false`, an enum by the name of its variant, a time in
    /// nanoseconds since the Unix epoch. A list has the value if it contains it.
    ///
    /// ```no_run
    /// # use subconscious::{Db, Filter, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(index)] country: Option<String> }
    /// # async fn run(db: Db, parameters: Vec<(String, String)>) -> subconscious::Result<()> {
    /// let filters = parameters.iter().map(|(name, value)| Filter::by_name(name, value));
    /// let filter = Filter::all(filters.collect::<subconscious::Result<Vec<_>>>()?);
    /// let users = User::filter_by(|_| filter).fetch(&db).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidQuery`] if the model has no such column, if the column has neither `index`
    /// nor `sort` nor `unique`, or if its type cannot have the value.
    pub fn by_name(name: &str, value: &str) -> Result<Self> {
        let schema = M::schema();
        let (column, found) =
            schema.named(name, ("Filter by", "`index`, `sort` or `unique`"), |column| column.is_indexed())?;
        let invalid =
            |reason| Error::InvalidQuery { model: schema.name(), reason: format!("{}: {reason}", found.name()) };
        let stored = found.compared(value.as_bytes()).map_err(invalid)?;
        Ok(Self::new(Condition::Equals { column, stored }))
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

/// A bound of a range: the stored form and the ordinal of a value, and whether the value itself is
/// in the range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    pub(crate) stored: Vec<u8>,
    pub(crate) ordinal: u16,
    pub(crate) inclusive: bool,
}

/// A condition, with columns by their positions and values in their stored forms.
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
    And(Parts),
    Or(Parts),
    Not(Box<Condition>),
    /// A condition of more than [`DEEPEST`] levels. Its parts are dropped, so that no recursion
    /// over a condition overflows the stack.
    TooDeep,
    /// A comparison with a value that can't be stored.
    Invalid {
        column: usize,
        reason: ValueError,
    },
}

/// Greatest number of nested levels of AND, OR and NOT in a filter.
pub(crate) const DEEPEST: u16 = 300;

/// The parts of an AND or an OR, and the number of levels of the deepest part.
#[derive(Clone, PartialEq)]
pub(crate) struct Parts {
    list: Vec<Condition>,
    deepest: u16,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}

impl Deref for Parts {
    type Target = [Condition];
    fn deref(&self) -> &[Condition] {
        &self.list
    }
}

impl Parts {
    fn push(&mut self, part: Condition) {
        self.deepest = self.deepest.max(part.levels());
        self.list.push(part);
    }

    fn join(one: Condition, two: Condition) -> Self {
        let mut parts = Self { list: Vec::with_capacity(2), deepest: 0 };
        parts.push(one);
        parts.push(two);
        parts
    }

    fn extend(mut self, more: Self) -> Self {
        self.deepest = self.deepest.max(more.deepest);
        self.list.extend(more.list);
        self
    }
}

impl Condition {
    /// Number of nested levels of AND, OR and NOT.
    fn levels(&self) -> u16 {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.deepest + 1,
            // A NOT is never directly within a NOT, so this recursion ends after one step.
            Self::Not(inner) => inner.levels() + 1,
            _ => 0,
        }
    }

    /// The condition, unless it has too many levels.
    fn limited(self) -> Self {
        if self.levels() > DEEPEST { Self::TooDeep } else { self }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::TooDeep, _) | (_, Self::TooDeep) => Self::TooDeep,
            (Self::All, condition) | (condition, Self::All) => condition,
            (Self::And(parts), Self::And(more)) => Self::And(parts.extend(more)),
            (Self::And(mut parts), condition) | (condition, Self::And(mut parts)) => {
                parts.push(condition);
                Self::And(parts).limited()
            }
            (left, right) => Self::And(Parts::join(left, right)).limited(),
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::TooDeep, _) | (_, Self::TooDeep) => Self::TooDeep,
            (Self::Nothing, condition) | (condition, Self::Nothing) => condition,
            (Self::Or(parts), Self::Or(more)) => Self::Or(parts.extend(more)),
            (Self::Or(mut parts), condition) | (condition, Self::Or(mut parts)) => {
                parts.push(condition);
                Self::Or(parts).limited()
            }
            (left, right) => Self::Or(Parts::join(left, right)).limited(),
        }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::TooDeep => Self::TooDeep,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)).limited(),
        }
    }

    /// Adds the columns that the condition uses.
    pub(crate) fn columns(&self, found: &mut BTreeSet<usize>) {
        match self {
            Self::All | Self::Nothing | Self::TooDeep => {}
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

    /// The reason if the condition is refused: it compares with a value that can't be stored, or it
    /// has too many levels.
    pub(crate) fn refusal(&self, schema: &ModelSchema) -> Option<String> {
        match self {
            Self::Invalid { column, reason } => Some(format!("{}: {reason}", schema.columns()[*column].name())),
            Self::TooDeep => Some(format!(
                "the filter has more than {DEEPEST} levels of AND, OR and NOT within each other; combine it with fewer levels"
            )),
            Self::And(parts) | Self::Or(parts) => parts.iter().find_map(|part| part.refusal(schema)),
            Self::Not(inner) => inner.refusal(schema),
            _ => None,
        }
    }
}
