//! Ids: converts the value of a key, or the tuple of a composite key, to the text that names a
//! record, and back.

use crate::error::{Error, Result};
use crate::model::schema::ModelSchema;
use crate::text::printable;
use crate::value::{IntoValue, KeyValue, Kind};
use uuid::Uuid;

/// The most bytes that an id may have.
pub(crate) const LONGEST_ID: usize = 1024;

/// Bytes of a UUID in the row directory.
const UUID_WIDTH: usize = 16;

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

/// Width in bytes of the ids of this type in the row directory; 0 if they have different widths.
pub(crate) fn width(kind: Kind, type_name: &str) -> usize {
    match type_name {
        _ if kind == Kind::Uuid => UUID_WIDTH,
        "u16" | "i16" => 3,
        "u32" | "i32" => 6,
        "u64" | "i64" => 10,
        _ => 0,
    }
}

/// Whether layout 2 kept these ids as text, in a row directory of hashes, and this one does not.
pub(crate) fn was_text(schema: &ModelSchema) -> bool {
    !matches!(schema.id_width, 0 | UUID_WIDTH)
}

/// The form of an id in the row directory. A UUID has its 16 bytes. An integer has a digit in each
/// half of a byte, and the half `a` for a minus sign; zeros precede it. So Lua can read it, whose
/// numbers are doubles. Any other id is its text.
pub(crate) fn to_directory(schema: &ModelSchema, text: &[u8]) -> Vec<u8> {
    match schema.id_width {
        0 => text.to_vec(),
        UUID_WIDTH => Uuid::try_parse_ascii(text).map_or_else(|_| text.to_vec(), |uuid| uuid.as_bytes().to_vec()),
        width => {
            let mut entry = vec![0; width];
            for (at, &digit) in text.iter().rev().enumerate().take(2 * width) {
                let half = if digit == b'-' { 0xA } else { digit & 0xF };
                entry[width - 1 - at / 2] |= half << (4 * (at % 2));
            }
            entry
        }
    }
}

/// The text of an id, from its form in the row directory; `None` if the directory has no entry.
pub(crate) fn from_directory(schema: &ModelSchema, stored: Vec<u8>) -> Option<Vec<u8>> {
    if schema.id_width == 0 {
        return Some(stored);
    }
    if schema.id_width != UUID_WIDTH {
        let halves = stored.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
        let mut digits: Vec<u8> = halves.skip_while(|half| *half == 0).map(|half| b'0' + half).collect();
        match digits.first_mut() {
            None => digits.push(b'0'),
            Some(first) if *first == b'0' + 0xA => *first = b'-',
            Some(_) => {}
        }
        return Some(digits).filter(|_| stored.len() == schema.id_width);
    }
    let uuid = Uuid::from_slice(&stored).ok()?;
    Some(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::{from_directory, parts, text, to_directory};
    use crate::model::schema::{ColumnSchema, ModelSchema};

    #[test]
    fn integers_have_one_width_in_the_row_directory() {
        let schema = ModelSchema::new("Order", vec![ColumnSchema::new::<i64>("id").key::<i64>()]);
        assert_eq!(to_directory(&schema, b"-120"), [0, 0, 0, 0, 0, 0, 0, 0, 0xA1, 0x20]);
        for id in [0, 1, -1, 10, 255, i64::MAX, i64::MIN] {
            let text = id.to_string().into_bytes();
            let entry = to_directory(&schema, &text);
            assert_eq!(entry.len(), schema.id_width);
            assert_eq!(from_directory(&schema, entry), Some(text));
        }
        assert_eq!(from_directory(&schema, vec![1]), None);
    }

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
