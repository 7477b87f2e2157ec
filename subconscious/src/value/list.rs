//! Columns of several values: `Vec<T>` and `BTreeSet<T>`.
//!
//! The stored form is the stored forms of the elements, each followed by a comma. Within an
//! element, `\c` stands for a comma and `\\` for a backslash. With `index`, each distinct element
//! has an entry in the index.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{ColumnValue, IndexValue, Kind, ValueError};

/// A type whose values can be the elements of a column that is a `Vec` or `BTreeSet`. It is not
/// implemented for `u8`, as a `Vec<u8>` is bytes, nor for floats, as equal floats can have two
/// stored forms.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of a column's list",
    note = "implement `subconscious::value::ElementValue` for the type, or use `Json<Vec<..>>`"
)]
pub trait ElementValue: IndexValue {}

/// A column type of several values.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` does not hold several values",
    label = "not a list",
    note = "`contains` is for columns of type Vec<T> and BTreeSet<T>; use `eq`"
)]
pub trait ListValue: ColumnValue {
    /// The type of the elements.
    type Element: ColumnValue;
}

/// A column type that may have `index`: a type of comparable values, or a list of them.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot have `index`",
    label = "cannot be indexed",
    note = "implement `subconscious::value::IndexValue` for the type if equal values have equal stored forms"
)]
pub trait Indexable: ColumnValue {
    /// What an index has entries of: the values, or the elements of a list.
    #[doc(hidden)]
    type Entry: ColumnValue;
}

/// The stored form of the value that a text stands for.
pub(crate) fn stored_form<T: ColumnValue>(text: &[u8]) -> Result<Vec<u8>, ValueError> {
    let mut stored = Vec::new();
    T::decode(text)?.encode(&mut stored)?;
    Ok(stored)
}

impl<T: IndexValue> Indexable for T {
    type Entry = T;
}

impl<T: ElementValue> Indexable for Vec<T> {
    type Entry = T;
}

impl<T: ElementValue + Ord> Indexable for BTreeSet<T> {
    type Entry = T;
}

/// Appends an element in its escaped form, and the comma that ends it.
fn push(element: &[u8], out: &mut Vec<u8>) {
    for &byte in element {
        match byte {
            b',' => out.extend_from_slice(b"\\c"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            byte => out.push(byte),
        }
    }
    out.push(b',');
}

fn encode<'a, T: ColumnValue>(elements: impl Iterator<Item = &'a T>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut element = Vec::new();
    for value in elements {
        element.clear();
        value.encode(&mut element)?;
        push(&element, out);
    }
    Ok(())
}

/// The stored forms of the elements of a list; `None` if `stored` is not a list.
pub(crate) fn elements(stored: &[u8]) -> Option<Vec<Cow<'_, [u8]>>> {
    let Some(stored) = stored.strip_suffix(b",") else { return stored.is_empty().then(Vec::new) };
    stored.split(|&byte| byte == b',').map(element).collect()
}

/// The elements of a list in an index, as `scripts/shared/elements.lua` reads them. For a list,
/// they are the same as those of [`elements`]. Bytes that are not a list have elements as well: all
/// that end with a comma. In these, `\c` is a comma as well, and a backslash before another
/// character is dropped.
pub(crate) fn entries(stored: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let Some(end) = stored.iter().rposition(|&byte| byte == b',') else { return Vec::new() };
    stored[..end]
        .split(|&byte| byte == b',')
        .map(|marked| element(marked).unwrap_or_else(|| unmarked(marked)))
        .collect()
}

/// Decodes an element that has a backslash at its end, or before an unexpected character.
fn unmarked(marked: &[u8]) -> Cow<'_, [u8]> {
    let mut bytes = marked.iter();
    let mut out = Vec::with_capacity(marked.len());
    while let Some(&byte) = bytes.next() {
        let after = if byte == b'\\' { bytes.next() } else { None };
        out.push(match after {
            Some(b'c') => b',',
            Some(&other) => other,
            None => byte,
        });
    }
    out.into()
}

fn element(marked: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !marked.contains(&b'\\') {
        return Some(marked.into());
    }
    let mut bytes = marked.iter();
    let mut out = Vec::with_capacity(marked.len());
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                b'c' => out.push(b','),
                b'\\' => out.push(b'\\'),
                _ => return None,
            },
            byte => out.push(byte),
        }
    }
    Some(out.into())
}

fn decode<T: ColumnValue, C: FromIterator<T>>(stored: &[u8]) -> Result<C, ValueError> {
    let elements = elements(stored).ok_or_else(|| ValueError::not("a list", stored))?;
    elements.iter().map(|element| T::decode(element)).collect()
}

impl<T: ElementValue> ColumnValue for Vec<T> {
    const TYPE: &'static str = T::TYPE;
    const KIND: Kind = Kind::List;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        encode(self.iter(), out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        decode(stored)
    }
}

impl<T: ElementValue> ListValue for Vec<T> {
    type Element = T;
}

impl<T: ElementValue + Ord> ColumnValue for BTreeSet<T> {
    const TYPE: &'static str = T::TYPE;
    const KIND: Kind = Kind::List;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        encode(self.iter(), out)
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        decode(stored)
    }
}

impl<T: ElementValue + Ord> ListValue for BTreeSet<T> {
    type Element = T;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_come_back(list in prop::collection::vec("[a,\\\\\\x00é]{0,3}", 0..5)) {
            let mut stored = Vec::new();
            list.encode(&mut stored).unwrap();
            prop_assert_eq!(Vec::<String>::decode(&stored).unwrap(), list);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for stored in ["a", r"\x,", r"\,"] {
            assert!(Vec::<String>::decode(stored.as_bytes()).is_err(), "{stored}");
        }
        assert_eq!(Vec::<String>::decode(b"").unwrap(), [""; 0]);
        assert_eq!(Vec::<String>::decode(b",").unwrap(), [""]);
    }
}
