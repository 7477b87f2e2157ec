//! Ids: converts the value of a key, or the tuple of a composite key, to the text that names a
//! record, and back.

use crate::error::{Error, Result};
use crate::model::schema::ModelSchema;
use crate::text::printable;
use crate::value::{IntoValue, KeyValue, Kind};
use uuid::Uuid;

/// The most bytes that an id may have.
pub(crate) const LONGEST_ID: usize = 1024;

/// The id of a model's records: the type of the primary key, or a tuple of the types of a composite
/// key. Every [`KeyValue`] is one, and every tuple of two to six of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an id",
    label = "cannot be a key",
    note = "a key is an integer, String, Vec<u8>, Uuid, bool, char, date or enum, and never an Option; a composite key has at most six of them"
)]
pub trait ModelId: Sized + Send + Sync + 'static {
    /// Appends the id's text, which ends the key of the record.
    #[doc(hidden)]
    fn encode(&self, schema: &'static ModelSchema, out: &mut Vec<u8>) -> Result<()>;
    /// Reads the id from its text.
    #[doc(hidden)]
    fn decode(schema: &'static ModelSchema, text: &[u8]) -> Result<Self>;
}

fn encode_part<T: KeyValue>(value: &T, schema: &'static ModelSchema, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let column = schema.key.get(at).map_or("", |&at| schema.columns()[at].name());
    value.encode(out).map_err(|reason| Error::bad_data(schema.name(), column, reason))
}

fn decode_part<T: KeyValue>(part: &[u8], schema: &'static ModelSchema, at: usize, text: &[u8]) -> Result<T> {
    T::decode(part).map_err(|reason| Error::Corrupt {
        model: schema.name(),
        column: schema.key.get(at).map(|&at| schema.columns()[at].name()),
        key: format!("{{{}}}:r:{}", schema.name(), printable(text)),
        reason: reason.to_string(),
    })
}

impl<T: KeyValue> ModelId for T {
    fn encode(&self, schema: &'static ModelSchema, out: &mut Vec<u8>) -> Result<()> {
        encode_part(self, schema, 0, out)
    }

    fn decode(schema: &'static ModelSchema, text: &[u8]) -> Result<Self> {
        decode_part(text, schema, 0, text)
    }
}

macro_rules! composite {
    ($($type:ident $other:ident $at:tt),*) => {
        impl<$($type: KeyValue),*> ModelId for ($($type,)*) {
            fn encode(&self, schema: &'static ModelSchema, out: &mut Vec<u8>) -> Result<()> {
                let mut part = Vec::new();
                $(
                    part.clear();
                    encode_part(&self.$at, schema, $at, &mut part)?;
                    push_part(out, $at, &part);
                )*
                Ok(())
            }

            fn decode(schema: &'static ModelSchema, text: &[u8]) -> Result<Self> {
                let parts = parts(text);
                Ok(($(decode_part(parts.get($at).map_or(&[][..], Vec::as_slice), schema, $at, text)?,)*))
            }
        }
        impl<$($type: KeyValue, $other: IntoValue<$type>),*> IntoValue<($($type,)*)> for ($($other,)*) {
            fn into_value(self) -> ($($type,)*) {
                ($(self.$at.into_value(),)*)
            }
        }
        impl<$($type: KeyValue),*> IntoValue<($($type,)*)> for &($($type,)*) {
            fn into_value(self) -> ($($type,)*) {
                self.clone()
            }
        }
    };
}
composite!(A P 0, B Q 1);
composite!(A P 0, B Q 1, C R 2);
composite!(A P 0, B Q 1, C R 2, D S 3);
composite!(A P 0, B Q 1, C R 2, D S 3, E T 4);
composite!(A P 0, B Q 1, C R 2, D S 3, E T 4, F U 5);

/// The text of an id, from the stored forms of its parts. A single part is taken as it is;
/// [`push_part`] joins several.
pub(crate) fn text<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    if let [only] = parts {
        return only.as_ref().to_vec();
    }
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        push_part(&mut out, at, part.as_ref());
    }
    out
}

/// Appends a part of a composite id. A `:` separates two parts, and a `\` escapes each `:` and `\`
/// within a part, so that no two ids share a text.
fn push_part(out: &mut Vec<u8>, at: usize, part: &[u8]) {
    if at > 0 {
        out.push(b':');
    }
    for &byte in part {
        if matches!(byte, b':' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

/// The parts of a composite id, from the text that [`push_part`] built.
fn parts(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, parts.last_mut()) {
            (b':', _) => parts.push(Vec::new()),
            (b'\\', Some(part)) => part.extend(bytes.next()),
            (byte, Some(part)) => part.push(byte),
            (_, None) => {}
        }
    }
    parts
}

/// Refuses an id that is too long to be a key.
pub(crate) fn check_length(schema: &'static ModelSchema, text: &[u8]) -> Result<()> {
    if text.len() <= LONGEST_ID {
        return Ok(());
    }
    let column = schema.key.first().map_or("", |&at| schema.columns()[at].name());
    Err(Error::BadData {
        model: schema.name(),
        column,
        reason: format!("an id has at most {LONGEST_ID} bytes, this one has {}. Shorten it", text.len()),
    })
}

/// The form of an id in the row directory.
pub(crate) fn to_directory(schema: &ModelSchema, text: &[u8]) -> Vec<u8> {
    match schema.key[..] {
        [only] if schema.columns()[only].kind == Kind::Uuid => {
            Uuid::try_parse_ascii(text).map_or_else(|_| text.to_vec(), |uuid| uuid.as_bytes().to_vec())
        }
        _ => text.to_vec(),
    }
}

/// The text of an id, from its form in the row directory; `None` if the directory has no entry.
pub(crate) fn from_directory(schema: &ModelSchema, stored: Vec<u8>) -> Option<Vec<u8>> {
    if schema.id_width == 0 {
        return Some(stored);
    }
    let uuid = Uuid::from_slice(&stored).ok()?;
    Some(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::{parts, text};

    #[test]
    fn composite_ids_never_share_a_text() {
        assert_eq!(text(&["a:b", "c"]), br"a\:b:c");
        assert_eq!(text(&["a", "b:c"]), br"a:b\:c");
        assert_eq!(text(&[r"a\", "b"]), br"a\\:b");
        assert_eq!(text(&[r"a\:b"]), br"a\:b");
        for each in [["a:b", "c"], ["a", "b:c"], [r"a\", "b"], ["", ""], [r"\:", r":\"]] {
            assert_eq!(parts(&text(&each)), each.map(|part| part.as_bytes().to_vec()));
        }
    }
}
