//! Typed handles of columns, from which filters and orders are made.

use std::fmt;
use std::marker::PhantomData;

use crate::query::filter::{Bound, Condition, Filter};
use crate::query::order::{Direction, Order};
use crate::sealed::Sealed;
use crate::value::{
    ColumnType, ColumnValue, IndexValue, IntegerValue, IntoValue, Kind, ListValue, SetValue, TextValue,
};
use crate::write::patch::{ChangeRequest, ColumnChange};

/// A column of the model `M`, of type `T`, with the capabilities `C` that its attributes give it.
/// The closures of queries and patches get a handle for each column: `|u| u.age.ge(18)`.
///
/// | a column with | has |
/// | --- | --- |
/// | `index`, `sort` or `unique` | [`eq`](Column::eq), [`ne`](Column::ne), [`is_in`](Column::is_in) |
/// | `index` or `sort`, of an `Option` | [`is_none`](Column::is_none), [`is_some`](Column::is_some) |
/// | `index`, of a list | [`contains`](Column::contains), [`contains_any`](Column::contains_any), [`contains_all`](Column::contains_all) |
/// | `sort` | [`lt`](Column::lt), [`le`](Column::le), [`gt`](Column::gt), [`ge`](Column::ge), [`between`](Column::between) |
/// | `sort`, of a `String` | [`starts_with`](Column::starts_with) |
/// | `sort`, for an order | [`asc`](Column::asc), [`desc`](Column::desc), [`order`](Column::order) |
///
/// In a [`patch`](crate::RedisModel::patch), all columns have [`set`](Column::set), except keys and
/// columns that Redis assigns. An `Option` also has [`clear`](Column::clear) and
/// [`set_or_clear`](Column::set_or_clear), an integer also has [`incr`](Column::incr) and
/// [`decr`](Column::decr). All but keys have [`expected`](Column::expected).
///
/// A column is compared with values of its own type. An `Option` column is compared with values of
/// the type inside it.
pub struct Column<M, T, C> {
    at: usize,
    types: Types<M, T, C>,
}

/// The types of a column as the result of a function, so that the column is `Send` and `Sync`
/// whatever they are.
type Types<M, T, C> = PhantomData<fn() -> (M, T, C)>;

/// What a column's attributes let it do: `index`, `sort`, and its role in the model.
#[derive(Debug)]
pub struct Caps<const INDEX: bool, const SORT: bool, R = roles::Plain>(PhantomData<R>);

impl<const INDEX: bool, const SORT: bool, R> Sealed for Caps<INDEX, SORT, R> {}

/// The role of a column in its model.
pub mod roles {
    /// A column without another role.
    #[derive(Debug)]
    pub struct Plain;
    /// A column with `unique`.
    #[derive(Debug)]
    pub struct Unique;
    /// A column of the key.
    #[derive(Debug)]
    pub struct Key;
    /// The column with `version`.
    #[derive(Debug)]
    pub struct Version;
    /// A column with `auto_increment`, `created_at` or `updated_at`.
    #[derive(Debug)]
    pub struct Automatic;
}

/// A column with `index`.
#[diagnostic::on_unimplemented(
    message = "this column has no index to filter by",
    label = "needs `index`",
    note = "add `#[column(index)]` to the field"
)]
pub trait Indexed: Sealed {}
#[diagnostic::do_not_recommend]
impl<const SORT: bool, R> Indexed for Caps<true, SORT, R> {}

/// A column with `index`, `sort` or `unique`.
#[diagnostic::on_unimplemented(
    message = "this column has no index to filter by",
    label = "needs `index`, `sort` or `unique`",
    note = "add `#[column(index)]` to the field"
)]
pub trait Found: Sealed {}
#[diagnostic::do_not_recommend]
impl<const SORT: bool, R> Found for Caps<true, SORT, R> {}
#[diagnostic::do_not_recommend]
impl<R> Found for Caps<false, true, R> {}
#[diagnostic::do_not_recommend]
impl Found for Caps<false, false, roles::Unique> {}

/// A column whose index lists nulls: one with `index` or `sort`.
#[diagnostic::on_unimplemented(
    message = "this column has no index that lists nulls",
    label = "needs `index` or `sort`",
    note = "add `#[column(index)]` to the field"
)]
pub trait NullsFound: Sealed {}
#[diagnostic::do_not_recommend]
impl<const SORT: bool, R> NullsFound for Caps<true, SORT, R> {}
#[diagnostic::do_not_recommend]
impl<R> NullsFound for Caps<false, true, R> {}

/// A column with `sort`.
#[diagnostic::on_unimplemented(
    message = "this column has no order",
    label = "needs `sort`",
    note = "add `#[column(sort)]` to the field"
)]
pub trait Sorted: Sealed {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, R> Sorted for Caps<INDEX, true, R> {}

/// A column that a patch can set: neither a part of the key nor a column that Redis assigns.
#[diagnostic::on_unimplemented(
    message = "this column cannot be set by a patch",
    label = "is a key, or Redis assigns it",
    note = "a record keeps its key; `version`, `auto_increment`, `created_at` and `updated_at` are assigned by Redis"
)]
pub trait Settable: Sealed {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Settable for Caps<INDEX, SORT, roles::Plain> {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Settable for Caps<INDEX, SORT, roles::Unique> {}

/// A column whose value a patch can expect: any that is not a part of the key.
#[diagnostic::on_unimplemented(
    message = "a patch expects no value of the key",
    label = "is a key",
    note = "the id that is given to `patch` says which record it is"
)]
pub trait Expectable: Sealed {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Expectable for Caps<INDEX, SORT, roles::Plain> {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Expectable for Caps<INDEX, SORT, roles::Unique> {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Expectable for Caps<INDEX, SORT, roles::Version> {}
#[diagnostic::do_not_recommend]
impl<const INDEX: bool, const SORT: bool> Expectable for Caps<INDEX, SORT, roles::Automatic> {}

/// A column that can be null.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` is never null",
    label = "is not an `Option`",
    note = "make the field an `Option` if it can be null"
)]
pub trait Nullable: ColumnType {}
impl<T: ColumnValue> Nullable for Option<T> {}

impl<M, T, C> Clone for Column<M, T, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, T, C> Copy for Column<M, T, C> {}

/// What an operator such as `==` or `<` between a column and a value would need. Nothing has it, so
/// that the compiler says what to write instead.
#[diagnostic::on_unimplemented(
    message = "a column is not compared by an operator, which answers `bool` and no filter",
    label = "write `.eq(..)`, `.ne(..)`, `.lt(..)`, `.le(..)`, `.gt(..)` or `.ge(..)`",
    note = "filters are joined by `&`, `|` and `!`: `u.country.eq(\"CH\") & !u.age.lt(18)`"
)]
pub trait Operand: Sealed {}

#[doc(hidden)]
impl<M, T, C, V: Operand> PartialEq<V> for Column<M, T, C> {
    fn eq(&self, _: &V) -> bool {
        false
    }
}

#[doc(hidden)]
impl<M, T, C, V: Operand> PartialOrd<V> for Column<M, T, C> {
    fn partial_cmp(&self, _: &V) -> Option<std::cmp::Ordering> {
        None
    }
}

impl<M, T, C> fmt::Debug for Column<M, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({})", self.at)
    }
}

impl<M, T, C> Column<M, T, C> {
    /// The column at this position in the model's schema.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(at: usize) -> Self {
        Self { at, types: PhantomData }
    }
}

impl<M, T: ColumnType, C> Column<M, T, C> {
    /// The stored form and the ordinal of a value to compare with, or [`Condition::Invalid`] if the
    /// value can't be stored or indexed.
    fn stored(self, value: &T::Value) -> Result<(Vec<u8>, u16), Condition> {
        let mut stored = Vec::new();
        value
            .encode(&mut stored)
            .and_then(|()| T::Value::KIND.check_indexed(&stored))
            .map_err(|reason| Condition::Invalid { column: self.at, reason })?;
        Ok((stored, value.ordinal()))
    }

    fn equals(self, value: &T::Value) -> Condition {
        match self.stored(value) {
            Ok((stored, _)) => Condition::Equals { column: self.at, stored },
            Err(invalid) => invalid,
        }
    }

    fn range(self, low: Option<(T::Value, bool)>, high: Option<(T::Value, bool)>) -> Filter<M> {
        let bound = |edge: Option<(T::Value, bool)>| match edge {
            None => Ok(None),
            Some((value, inclusive)) => {
                self.stored(&value).map(|(stored, ordinal)| Some(Bound { stored, ordinal, inclusive }))
            }
        };
        Filter::new(match (bound(low), bound(high)) {
            (Ok(low), Ok(high)) => Condition::Range { column: self.at, low, high },
            (Err(invalid), _) | (_, Err(invalid)) => invalid,
        })
    }

    /// Sets the column to the value in a patch.
    pub fn set(self, value: impl SetValue<T::Value>) -> ColumnChange<M>
    where
        C: Settable,
    {
        self.set_value(&value.into_value())
    }

    fn set_value(self, value: &T::Value) -> ColumnChange<M> {
        let mut stored = Vec::new();
        let encoded = value.encode(&mut stored);
        ColumnChange::new(self.at, encoded.map(|()| ChangeRequest::Set { stored, ordinal: value.ordinal() }))
    }

    /// Makes the column null in a patch.
    pub fn clear(self) -> ColumnChange<M>
    where
        C: Settable,
        T: Nullable,
    {
        ColumnChange::new(self.at, Ok(ChangeRequest::Clear))
    }

    /// Sets the column to the value in a patch, or makes it null if there is no value.
    pub fn set_or_clear(self, value: Option<T::Value>) -> ColumnChange<M>
    where
        C: Settable,
        T: Nullable,
    {
        match value {
            Some(value) => self.set_value(&value),
            None => self.clear(),
        }
    }

    /// Adds to the column in a patch. The sum is exact for every integer type. If it is outside the
    /// range of the type, the patch fails with [`Error::OutOfRange`](crate::Error::OutOfRange).
    /// Null counts as 0. [`Patched::get`](crate::Patched::get) has the sum.
    pub fn incr(self, by: T::Value) -> ColumnChange<M>
    where
        C: Settable,
        T::Value: IntegerValue,
    {
        self.add(&by, false)
    }

    /// Subtracts from the column in a patch: see [`incr`](Self::incr).
    pub fn decr(self, by: T::Value) -> ColumnChange<M>
    where
        C: Settable,
        T::Value: IntegerValue,
    {
        self.add(&by, true)
    }

    fn add(self, by: &T::Value, negated: bool) -> ColumnChange<M>
    where
        T::Value: IntegerValue,
    {
        let mut stored = Vec::new();
        let encoded = by.encode(&mut stored);
        if negated {
            match stored.first() {
                Some(b'-') => drop(stored.remove(0)),
                _ => stored.insert(0, b'-'),
            }
        }
        ColumnChange::new(
            self.at,
            encoded.map(|()| ChangeRequest::Add { by: stored, bounds: (T::Value::LEAST, T::Value::GREATEST) }),
        )
    }

    /// Lets a patch change the record only if the column has this value, which is often its
    /// version. Otherwise the patch fails with [`Error::Conflict`](crate::Error::Conflict). Another
    /// change of the patch may set the same column:
    /// `[u.state.expected(Open), u.state.set(Closed)]`.
    ///
    /// Stored forms are compared, so `12.50` is not `12.5`, and `-0.0` is not `0.0`.
    pub fn expected(self, value: impl SetValue<T::Value>) -> ColumnChange<M>
    where
        C: Expectable,
    {
        let mut stored = Vec::new();
        let encoded = value.into_value().encode(&mut stored);
        ColumnChange::new(self.at, encoded.map(|()| ChangeRequest::Expect(Some(stored))))
    }

    /// Lets a patch change the record only if the column is null: see [`expected`](Self::expected).
    pub fn expected_none(self) -> ColumnChange<M>
    where
        C: Expectable,
        T: Nullable,
    {
        ColumnChange::new(self.at, Ok(ChangeRequest::Expect(None)))
    }

    /// The position of the column in the model's schema.
    pub(crate) fn at(self) -> usize {
        self.at
    }

    /// Records whose column has the value.
    pub fn eq(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Found,
        T::Value: IndexValue,
    {
        Filter::new(self.equals(&value.into_value()))
    }

    /// Records whose column does not have the value. Null is not a value, so the records whose
    /// column is null match.
    pub fn ne(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Found,
        T::Value: IndexValue,
    {
        !self.eq(value)
    }

    /// Records whose column has one of the values. Without values, no record matches.
    pub fn is_in<I>(self, values: I) -> Filter<M>
    where
        C: Found,
        T::Value: IndexValue,
        I: IntoIterator,
        I::Item: IntoValue<T::Value>,
    {
        let parts = values.into_iter().map(|value| self.equals(&value.into_value()));
        Filter::new(parts.fold(Condition::Nothing, Condition::or))
    }

    /// Records whose list contains the value.
    pub fn contains(self, value: impl IntoValue<<T::Value as ListValue>::Element>) -> Filter<M>
    where
        C: Indexed,
        T::Value: ListValue,
    {
        Filter::new(self.has(&value.into_value()))
    }

    /// Records whose list contains at least one of the values. Without values, no record matches.
    pub fn contains_any<I>(self, values: I) -> Filter<M>
    where
        C: Indexed,
        T::Value: ListValue,
        I: IntoIterator,
        I::Item: IntoValue<<T::Value as ListValue>::Element>,
    {
        let parts = values.into_iter().map(|value| self.has(&value.into_value()));
        Filter::new(parts.fold(Condition::Nothing, Condition::or))
    }

    /// Records whose list contains all of the values. Without values, all records match, also those
    /// whose column is null.
    pub fn contains_all<I>(self, values: I) -> Filter<M>
    where
        C: Indexed,
        T::Value: ListValue,
        I: IntoIterator,
        I::Item: IntoValue<<T::Value as ListValue>::Element>,
    {
        let parts = values.into_iter().map(|value| self.has(&value.into_value()));
        Filter::new(parts.fold(Condition::All, Condition::and))
    }

    fn has(self, element: &<T::Value as ListValue>::Element) -> Condition
    where
        T::Value: ListValue,
    {
        let mut stored = Vec::new();
        match element.encode(&mut stored).and_then(|()| Kind::Bytes.check_indexed(&stored)) {
            Ok(()) => {
                // An index names an element by its own stored form, as the scripts read it from the
                // list.
                Condition::Equals { column: self.at, stored }
            }
            Err(reason) => Condition::Invalid { column: self.at, reason },
        }
    }

    /// Records whose column is null.
    pub fn is_none(self) -> Filter<M>
    where
        C: NullsFound,
        T: Nullable,
    {
        Filter::new(Condition::IsNull { column: self.at })
    }

    /// Records whose column is not null.
    pub fn is_some(self) -> Filter<M>
    where
        C: NullsFound,
        T: Nullable,
    {
        !self.is_none()
    }

    /// Records whose column is less than the value. Null never matches.
    pub fn lt(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Sorted,
    {
        self.range(None, Some((value.into_value(), false)))
    }

    /// Records whose column is at most the value. Null never matches.
    pub fn le(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Sorted,
    {
        self.range(None, Some((value.into_value(), true)))
    }

    /// Records whose column is greater than the value. Null never matches.
    pub fn gt(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Sorted,
    {
        self.range(Some((value.into_value(), false)), None)
    }

    /// Records whose column is at least the value. Null never matches.
    pub fn ge(self, value: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Sorted,
    {
        self.range(Some((value.into_value(), true)), None)
    }

    /// Records whose column is at least `low` and at most `high`: both ends are included. If `low`
    /// is greater than `high`, no record matches.
    pub fn between(self, low: impl IntoValue<T::Value>, high: impl IntoValue<T::Value>) -> Filter<M>
    where
        C: Sorted,
    {
        self.range(Some((low.into_value(), true)), Some((high.into_value(), true)))
    }

    /// Records whose text begins with this one. Bytes are compared, so upper and lower case differ.
    /// Null never matches.
    pub fn starts_with(self, beginning: impl AsRef<str>) -> Filter<M>
    where
        C: Sorted,
        T::Value: TextValue,
    {
        Filter::new(Condition::StartsWith { column: self.at, beginning: beginning.as_ref().into() })
    }

    /// From the least value to the greatest. Nulls come last. Equal values are in row order.
    pub fn asc(self) -> Order<M>
    where
        C: Sorted,
    {
        self.order(Direction::Asc)
    }

    /// From the greatest value to the least. Nulls come last. Equal values are in descending row
    /// order.
    pub fn desc(self) -> Order<M>
    where
        C: Sorted,
    {
        self.order(Direction::Desc)
    }

    /// In this direction: see [`asc`](Self::asc) and [`desc`](Self::desc).
    pub fn order(self, direction: Direction) -> Order<M>
    where
        C: Sorted,
    {
        Order::new(self.at, direction)
    }
}
