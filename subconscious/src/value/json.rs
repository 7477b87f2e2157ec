//! Values of any serde type as a column type, stored as JSON.

use std::ops::{Deref, DerefMut};

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{self, Serialize, Serializer};

use super::{ColumnValue, Kind, ValueError};
use crate::text::Excerpt;

/// A column of any type that serde can write and read, such as lists, maps and your own structs. It
/// is stored as JSON.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use subconscious::{Json, RedisModel};
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// struct Address {
///     street: String,
///     lines: Vec<String>,
/// }
///
/// #[derive(Debug, RedisModel)]
/// struct Customer {
///     #[column(primary_key)]
///     id: u64,
///     address: Json<Address>,
///     billing: Option<Json<Address>>, // null is no field at all
/// }
///
/// let address = Address { street: "Aarestrasse 1".into(), lines: vec![] };
/// let customer = Customer { id: 1, address: Json(address), billing: None };
/// assert_eq!(customer.address.street, "Aarestrasse 1");
/// ```
///
/// Such a column can't have `index`, `sort` or `unique` and can't be a key, because equal values
/// may have several texts. Any JSON of the type is read, in any layout.
///
/// A value that can't be read back from JSON is refused when it is saved: NaN and infinities, a
/// `Some` of a value that is null itself, such as `Some(None)`, and more than 127 levels. What the
/// type's own attributes leave out, such as a field with `#[serde(skip)]`, is lost. Serde can't
/// read 128-bit integers in a type that is `flatten`ed, `untagged` or internally tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Json<T>(pub T);

impl<T> Json<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Json<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Serialized like the value itself.
impl<T: Serialize> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Deserialized like the value itself.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> ColumnValue for Json<T> {
    const TYPE: &'static str = "json";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let refused = |error: serde_json::Error| ValueError::new(format!("the value has no JSON: {error}"));
        self.0.serialize(Check { levels: LEVELS }).map_err(refused)?;
        serde_json::to_writer(out, &self.0).map_err(refused)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        let not = |error| ValueError::new(format!("{} is not JSON of the column's type: {error}", Excerpt(stored)));
        serde_json::from_slice(stored).map(Self).map_err(not)
    }
}

/// The most levels that serde_json reads; it writes any number of levels.
const LEVELS: u8 = 127;

/// Visits a value as serde_json does, and refuses what serde_json would write as null or could not
/// read again. Returns whether the value is written as null.
#[derive(Clone, Copy)]
struct Check {
    /// Levels that are left.
    levels: u8,
}

type Checked<T = bool> = Result<T, serde_json::Error>;

impl Check {
    fn deeper(self, levels: u8) -> Checked<Self> {
        match self.levels.checked_sub(levels) {
            Some(levels) => Ok(Self { levels }),
            None => Err(ser::Error::custom(format_args!("it has more than {LEVELS} levels"))),
        }
    }

    fn finite(finite: bool) -> Checked {
        if finite { Ok(false) } else { Err(ser::Error::custom("it has neither NaN nor infinities")) }
    }
}

macro_rules! plain {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, _: $type) -> Checked {
            Ok(false)
        }
    )*};
}

impl Serializer for Check {
    type Ok = bool;
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    plain!(
        serialize_bool bool, serialize_char char, serialize_str &str, serialize_bytes &[u8],
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128
    );
    fn serialize_f32(self, value: f32) -> Checked {
        Self::finite(value.is_finite())
    }
    fn serialize_f64(self, value: f64) -> Checked {
        Self::finite(value.is_finite())
    }
    fn collect_str<T: ?Sized + std::fmt::Display>(self, _: &T) -> Checked {
        Ok(false)
    }
    fn serialize_none(self) -> Checked {
        Ok(true)
    }
    fn serialize_unit(self) -> Checked {
        Ok(true)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Checked {
        Ok(true)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Checked {
        if value.serialize(self)? {
            return Err(ser::Error::custom("Some of a value that is null itself would be read as None"));
        }
        Ok(false)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Checked {
        value.serialize(self)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Checked {
        Ok(false)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self.deeper(1)?).map(|_| false)
    }
    fn serialize_seq(self, _: Option<usize>) -> Checked<Self> {
        self.deeper(1)
    }
    fn serialize_tuple(self, _: usize) -> Checked<Self> {
        self.deeper(1)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Checked<Self> {
        self.deeper(1)
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Checked<Self> {
        self.deeper(2)
    }
    fn serialize_map(self, _: Option<usize>) -> Checked<Self> {
        self.deeper(1)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Checked<Self> {
        self.deeper(1)
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Checked<Self> {
        self.deeper(2)
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident($($key:ty)?));*) => {$(
        impl ser::$trait for Check {
            type Ok = bool;
            type Error = serde_json::Error;
            fn $method<T: ?Sized + Serialize>(&mut self, $(_: $key,)? value: &T) -> Checked<()> {
                value.serialize(*self).map(drop)
            }
            fn end(self) -> Checked {
                Ok(false)
            }
        }
    )*};
}
parts!(
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str)
);

impl ser::SerializeMap for Check {
    type Ok = bool;
    type Error = serde_json::Error;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Checked<()> {
        key.serialize(*self).map(drop)
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Checked<()> {
        value.serialize(*self).map(drop)
    }
    fn end(self) -> Checked {
        Ok(false)
    }
}
