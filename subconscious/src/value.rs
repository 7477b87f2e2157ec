//! Column values: how a Rust type becomes the bytes of a hash field, and how those bytes are
//! ordered.
//!
//! A type that implements [`ColumnValue`] can be the type of a column. The other traits say which
//! attributes such a column may have, such as `index` or `sort`.
//!
//! A value has one stored form, chosen so that a person can read it with `HGETALL`. Everything else
//! is derived from the stored form by its [`Kind`]: its name in an index and its place in a sorted
//! set. The scripts do it for records (`scripts/shared/rows.lua`), Rust does it for filters, bounds
//! and orders.

use std::borrow::Cow;

use crate::model::layout::LONGEST_INDEXED;
use crate::text::Excerpt;

/// A type that can be the value of a column. An `Option` of it makes the column nullable.
///
/// These types implement it: integers, `f32` and `f64` (NaN is refused), `bool`, `char`, `String`,
/// `Vec<u8>`, `Uuid`, `SystemTime`, enums with [`ColumnEnum`](derive@crate::ColumnEnum#), `Vec<T>`
/// and `BTreeSet<T>` of most of these, and any serde type as `Json<T>`. Features add the dates and
/// times of `chrono`, `time` and `jiff`, `Decimal` of `rust_decimal`, and `Bytes` of `bytes`. Every
/// value is read back exactly as it was saved, except that an `OffsetDateTime` is read back in UTC.
///
/// Implement it for a type of your own by delegating to a type that has it:
///
/// ```
/// use subconscious::{ColumnValue, value::{IndexValue, Kind, ValueError}};
///
/// #[derive(Debug, Clone, PartialEq)]
/// struct Email(String);
///
/// impl ColumnValue for Email {
///     const TYPE: &'static str = String::TYPE;
///     const KIND: Kind = String::KIND;
///     fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> { self.0.encode(out) }
///     fn decode(stored: &[u8]) -> Result<Self, ValueError> { String::decode(stored).map(Email) }
/// }
/// impl IndexValue for Email {} // so that a column of it may have `index` and `unique`
/// ```
///
/// Other traits allow such a column more: [`SortValue`] (`sort`), [`KeyValue`] (a key) and
/// [`ElementValue`] (an element of a list).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a column",
    label = "not a column type",
    note = "an enum becomes one by `#[derive(subconscious::ColumnEnum)]`; a map, a struct or any other serde type is wrapped in `subconscious::Json`",
    note = "other columns are a number, bool, char, String, Vec<u8>, Uuid, a date (feature `chrono`, `time` or `jiff`), Decimal (feature `rust_decimal`), a list, or an Option of one",
    note = "for a type of your own, implement `subconscious::ColumnValue`, or leave the field out with `#[column(skip)]`"
)]
pub trait ColumnValue: Sized + Send + Sync + 'static {
    /// The type's name in the stored schema and in messages. If the name changes, columns of the
    /// type have to be [migrated](crate::RedisModel::migrate). A key can't be migrated.
    const TYPE: &'static str;

    /// How indexes and orders read the stored form.
    const KIND: Kind;

    /// Appends the stored form. [`decode`](Self::decode) must make the same value of it again.
    /// Equal values of an [`IndexValue`] must have equal stored forms. In the kinds
    /// [`Float`](Kind::Float) and [`Decimal`](Kind::Decimal), forms may differ: an index treats
    /// equal numbers as one value in any form.
    ///
    /// # Errors
    ///
    /// Returns an error if the value has no stored form, such as NaN.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError>;

    /// Reads the stored form back.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not the stored form of a value of this type.
    fn decode(stored: &[u8]) -> Result<Self, ValueError>;

    /// Does the same as [`decode`](Self::decode), but may keep the bytes, which saves copying them.
    ///
    /// # Errors
    ///
    /// As `decode`.
    fn decode_owned(stored: Vec<u8>) -> Result<Self, ValueError> {
        Self::decode(&stored)
    }

    /// The ordinal of the value, its place among all values of the type, if the type is of kind
    /// [`Kind::Ordinal`]; 0 for every other type.
    fn ordinal(&self) -> u16 {
        0
    }
}

/// A type whose values can be compared by equality: a column of it may have `index` and `unique`.
/// Equal values have equal stored forms: see [`ColumnValue::encode`].
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot be compared by equality",
    label = "not one comparable value",
    note = "a list with `index` has `contains`, `contains_any` and `contains_all`",
    note = "implement `subconscious::value::IndexValue` for the type if equal values have equal stored forms"
)]
pub trait IndexValue: ColumnValue {}

/// A column type that may have `sort`. Its values have a total order: that of the [`Kind`] of their
/// stored forms.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot have `sort`: its values have no order",
    label = "has no order",
    note = "remove `sort`, or implement `subconscious::value::SortValue` for the type"
)]
pub trait SortValue: ColumnValue {}

/// A column type whose stored form is its text, so that it can be searched by prefix.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` is not text",
    label = "not text",
    note = "`starts_with` is for columns of type String"
)]
pub trait TextValue: SortValue {}
impl TextValue for String {}

/// A column type that may be the key or a part of it. A list or an `Option` never can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "cannot be a key",
    note = "a key is an integer, String, Vec<u8>, Uuid, bool, char, date or enum, and never an Option"
)]
pub trait KeyValue: IndexValue + Clone {}

/// A column type that may have `auto_increment`: an integer of at least 16 bits.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot have `auto_increment`",
    label = "not an integer of at least 16 bits",
    note = "use u64 or another integer type of at least 16 bits"
)]
pub trait AutoIncrementValue: ColumnValue {
    /// The greatest value of a type of less than 64 bits, in its stored form; `None` for wider
    /// types, because Redis counts only to 2^63 - 1.
    const GREATEST: Option<&'static str>;
}

/// An integer type: a column of it can be incremented by a patch.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` is not an integer",
    label = "not an integer",
    note = "`version`, `incr` and `decr` are for integers"
)]
pub trait IntegerValue: ColumnValue {
    /// The least value, in its stored form.
    const LEAST: &'static str;
    /// The greatest value, in its stored form.
    const GREATEST: &'static str;
}

/// A column type whose values can be added up: see [`Query::sum`](crate::Query::sum).
#[diagnostic::on_unimplemented(
    message = "values of type `{Self}` cannot be added up",
    label = "not a number",
    note = "`sum` and `avg` are for integers, floats and Decimal"
)]
pub trait SumValue: SortValue {
    /// The type of a sum. Its default is 0.
    type Sum: Copy + Default + Send + Sync + 'static;

    /// The type of an average.
    type Mean: Send + 'static;

    /// The sum, and so many times the value; `None` if that is beyond the range of the sum's type.
    fn add(sum: Self::Sum, value: Self, times: u64) -> Option<Self::Sum>;

    /// The average of so many values, at least one.
    fn mean(sum: Self::Sum, count: u64) -> Self::Mean;

    /// The value that is this number; `None` if other values are as near to it.
    fn of_score(score: f64) -> Option<Self>;
}

/// A column type that may be `version`: an integer, and not an `Option`.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot be `version`",
    label = "not an integer",
    note = "use u64 or another integer type"
)]
pub trait VersionValue: IntegerValue {}
impl<T: IntegerValue> VersionValue for T {}

/// A type of times: a column of it, or of an `Option` of it, may be `created_at`, `updated_at` or
/// `expires_at`.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` does not hold a time",
    label = "not a time",
    note = "use SystemTime, DateTime<Utc> (feature `chrono`), OffsetDateTime (feature `time`), Timestamp (feature `jiff`), or i64 or u64 for milliseconds since the Unix epoch"
)]
pub trait TimeValue: ColumnValue {
    /// The unit in which the stored form counts from the Unix epoch.
    const UNIT: TimeUnit;
}

/// The unit in which the stored form of a time counts from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Nanoseconds.
    Nanoseconds,
    /// Milliseconds.
    Milliseconds,
}

impl TimeUnit {
    /// The name of the unit in the scripts.
    pub(crate) fn code(self) -> &'static str {
        match self {
            TimeUnit::Nanoseconds => "ns",
            TimeUnit::Milliseconds => "ms",
        }
    }
}

/// A column type that may have `default`: any type that is not nullable. In a hash, a null looks
/// the same as a column that was not stored, and a default must not take the place of a null.
#[diagnostic::on_unimplemented(
    message = "a nullable column cannot have `default`",
    label = "is null where a stored record lacks the column",
    note = "remove `default`, or the `Option`"
)]
pub trait DefaultValue: ColumnValue {}

impl<T: ColumnValue> DefaultValue for T {}

/// How indexes and orders read the stored form of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Text and binary data, ordered as bytes.
    Bytes,
    /// A UUID in its hyphenated lower-case form: fixed width, ordered as bytes.
    Uuid,
    /// A decimal integer of any size.
    Integer,
    /// A floating-point number in the shortest decimal form that reads back to it.
    Float,
    /// A time as decimal nanoseconds since the Unix epoch.
    Nanoseconds,
    /// Several values, each followed by a comma. Within a value, `\c` stands for a comma and `\\`
    /// for a backslash.
    List,
    /// A decimal number such as `-12.50`, with at most 127 digits before the point. Trailing zeros
    /// of the fraction and the sign of a zero are stored, but do not count in indexes and orders.
    Decimal,
    /// One of few values, ordered by [`ColumnValue::ordinal`]: enums, bool, integers of 8 bits.
    Ordinal,
}

impl Kind {
    /// Whether the score of a sort key says something of the value. A text's is always 0.
    pub(crate) fn has_scores(self) -> bool {
        matches!(self, Kind::Integer | Kind::Float | Kind::Nanoseconds | Kind::Decimal)
    }

    /// The code of the kind in the scripts.
    pub(crate) fn code(self) -> char {
        match self {
            Kind::Bytes | Kind::Uuid => 't',
            Kind::Integer => 'i',
            Kind::Float => 'f',
            Kind::Nanoseconds => 'n',
            Kind::List => 'l',
            Kind::Decimal => 'd',
            Kind::Ordinal => 'v',
        }
    }

    /// The kind with the code. Texts and UUIDs have the same one.
    pub(crate) fn of(code: char) -> Self {
        let kinds = [Kind::Integer, Kind::Float, Kind::Nanoseconds, Kind::List, Kind::Decimal, Kind::Ordinal];
        kinds.into_iter().find(|kind| kind.code() == code).unwrap_or(Kind::Bytes)
    }

    /// Refuses a stored value that is too long to be indexed. In a list, this applies to each
    /// element.
    pub(crate) fn check_indexed(self, stored: &[u8]) -> Result<(), ValueError> {
        if self == Kind::List {
            let elements = list::elements(stored).unwrap_or_default();
            return elements.iter().try_for_each(|element| Kind::Bytes.check_indexed(element));
        }
        if stored.len() <= LONGEST_INDEXED {
            return Ok(());
        }
        let reason = format!(
            "an indexed value has at most {LONGEST_INDEXED} bytes, {} has {}. Shorten it",
            Excerpt(stored),
            stored.len()
        );
        Err(ValueError::new(reason))
    }
}

/// Why a value can't be stored, or stored bytes can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(Cow<'static, str>);

impl ValueError {
    /// An error that says what is wrong with the value. A message has it after the column's name.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }

    /// An error that says that the stored bytes are not `wanted`, such as `"a UUID"`.
    pub fn not(wanted: &str, stored: &[u8]) -> Self {
        Self(format!("{} is not {wanted}", Excerpt(stored)).into())
    }

    /// The error for a variant that can't be saved, because it stands for values that the enum does
    /// not know.
    #[doc(hidden)]
    pub fn other_variant(variant: &str) -> Self {
        Self(
            format!(
                "the variant {variant} stands for stored texts that this program does not know, and which would be lost. Patch other columns, \
                 give this one another value, or let the variant hold the text: `{variant}(String)`"
            )
            .into(),
        )
    }

    /// The error for stored bytes that are not the name of a variant of an enum.
    #[doc(hidden)]
    pub fn unknown_variant(stored: &[u8], variants: &[&str]) -> Self {
        Self(format!("{} is none of {}", Excerpt(stored), variants.join(", ")).into())
    }
}

/// The ordinal of values that an enum does not know. It comes after the ordinals of all that it
/// knows.
#[doc(hidden)]
pub const OTHER: u16 = u16::MAX;

/// The type of the field of a variant with `#[column(other)]`, which holds the stored text.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot hold the values that an enum does not know",
    label = "not a `String`",
    note = "the field of the variant with `#[column(other)]` is a `String`"
)]
pub trait OtherValue: ColumnValue {
    /// The stored text.
    fn text(&self) -> &str;

    /// Reads the stored text.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not text.
    fn read(stored: &[u8]) -> Result<Self, ValueError> {
        Self::decode(stored)
    }
}

impl OtherValue for String {
    fn text(&self) -> &str {
        self
    }
}

/// The type of a column: a [`ColumnValue`], or an `Option` of one, which makes the column nullable.
///
/// It is not implemented outside this crate; implement [`ColumnValue`] instead.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a column",
    label = "not a column type",
    note = "an enum becomes one by `#[derive(subconscious::ColumnEnum)]`; a map, a struct or any other serde type is wrapped in `subconscious::Json`",
    note = "other columns are a number, bool, char, String, Vec<u8>, Uuid, a date (feature `chrono`, `time` or `jiff`), Decimal (feature `rust_decimal`), a list, or an Option of one",
    note = "for a type of your own, implement `subconscious::ColumnValue`, or leave the field out with `#[column(skip)]`"
)]
pub trait ColumnType: Sized {
    /// The type of the values that are not null.
    type Value: ColumnValue;
    /// Whether the column can be null.
    const NULLABLE: bool;
    /// The value, or `None` for null.
    fn value(&self) -> Option<&Self::Value>;
    /// The value itself, or `None` for null.
    fn into_value(self) -> Option<Self::Value>;
    /// Makes the column from a value; `None` if the value is null and the column can't be null.
    fn from_value(value: Option<Self::Value>) -> Option<Self>;
}

/// The type of a column in generated code: `<T as IsColumn>::Same` is `T`, if `T` is a
/// [`ColumnType`]. All calls for a column name its type in this way, so a type that can't be a
/// column causes only one error.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a column",
    label = "not a column type",
    note = "an enum becomes one by `#[derive(subconscious::ColumnEnum)]`; a map, a struct or any other serde type is wrapped in `subconscious::Json`",
    note = "other columns are a number, bool, char, String, Vec<u8>, Uuid, a date (feature `chrono`, `time` or `jiff`), Decimal (feature `rust_decimal`), a list, or an Option of one",
    note = "for a type of your own, implement `subconscious::ColumnValue`, or leave the field out with `#[column(skip)]`"
)]
pub trait IsColumn {
    /// The type itself.
    type Same;
}

impl<T: ColumnType> IsColumn for T {
    type Same = T;
}

impl<T: ColumnValue> ColumnType for T {
    type Value = T;
    const NULLABLE: bool = false;
    fn value(&self) -> Option<&T> {
        Some(self)
    }
    fn into_value(self) -> Option<T> {
        Some(self)
    }
    fn from_value(value: Option<T>) -> Option<T> {
        value
    }
}

impl<T: ColumnValue> ColumnType for Option<T> {
    type Value = T;
    const NULLABLE: bool = true;
    fn value(&self) -> Option<&T> {
        self.as_ref()
    }
    fn into_value(self) -> Option<T> {
        self
    }
    fn from_value(value: Option<T>) -> Option<Option<T>> {
        Some(value)
    }
}

/// A value that may be compared with a column of type `T`, or may name a record whose id is `T`: a
/// `T` or a reference to one. For text and bytes, it may also be a slice; for a composite key, it
/// is a tuple of such values.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be compared with a column of type `{T}`",
    label = "expected `{T}`",
    note = "give the value or a reference to it; null is tested by `is_none()` and `is_some()`"
)]
pub trait IntoValue<T> {
    /// The value.
    fn into_value(self) -> T;
}

/// A value that a patch may give a column whose values are of type `T`: whatever may be compared
/// with it.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be set in a column of type `{T}`",
    label = "expected `{T}`",
    note = "give the value or a reference to it; `clear()` makes an `Option` column null, and `set_or_clear(..)` takes an `Option`"
)]
pub trait SetValue<T>: IntoValue<T> {}
#[diagnostic::do_not_recommend]
impl<T, V: IntoValue<T>> SetValue<T> for V {}

impl<T: ColumnValue> IntoValue<T> for T {
    fn into_value(self) -> T {
        self
    }
}

impl<T: ColumnValue + Clone> IntoValue<T> for &T {
    fn into_value(self) -> T {
        self.clone()
    }
}

impl IntoValue<String> for &str {
    fn into_value(self) -> String {
        self.to_owned()
    }
}

impl IntoValue<Vec<u8>> for &[u8] {
    fn into_value(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> IntoValue<Vec<u8>> for &[u8; N] {
    fn into_value(self) -> Vec<u8> {
        self.to_vec()
    }
}

pub(crate) fn parse<T: std::str::FromStr>(stored: &[u8]) -> Option<T> {
    std::str::from_utf8(stored).ok()?.parse().ok()
}

/// Reads an integer and refuses a form that encoding would not have written: `+1`, `01`, `-0`.
fn parse_integer<T: std::str::FromStr + ColumnValue>(stored: &[u8]) -> Result<T, ValueError> {
    let canonical = match stored {
        [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] => parse::<T>(stored),
        _ => None,
    };
    canonical.ok_or_else(|| ValueError::not(T::TYPE, stored))
}

macro_rules! elements {
    ($($type:ty),*) => {$(impl ElementValue for $type {})*};
}

macro_rules! mark {
    ($($type:ty),*) => {$(
        impl IndexValue for $type {}
        impl SortValue for $type {}
        impl KeyValue for $type {}
    )*};
}

#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "chrono")]
mod chrono;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "json")]
pub(crate) mod json;
pub(crate) mod list;
#[cfg(feature = "rust_decimal")]
mod rust_decimal;
mod sort_key;
mod standard;
#[cfg(feature = "time")]
mod time;

pub use list::{ElementValue, Indexable, ListValue};
pub(crate) use sort_key::{SortKey, escape_beginning, index_form};

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
