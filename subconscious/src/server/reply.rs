//! Replies of servers and scripts: bytes, refusals, and classes of errors.

use redis::{RedisError, ServerErrorKind, Value};
use rmpv::ValueRef;

use crate::model::stored::StoredSchema;

/// The answer of a script.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The script did its work.
    Done(Vec<Value>),
    /// The script found something wrong, before it wrote anything.
    Refused(Refusal),
}

/// What a script found wrong. A call of `refuse(..)` in the scripts gives a word and details.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The program is not registered: the stored schema is this one, or there is none.
    Schema(Box<StoredSchema>),
    /// The posting lists of a filter are too long for a script.
    Lists,
    /// Expired records have not been removed yet.
    Due,
    Exists,
    Missing,
    /// Another record has the value of a unique column.
    Duplicate {
        column: Vec<u8>,
        value: Vec<u8>,
    },
    /// The record has another version. Holds the stored version; `None` if there is no record.
    Conflict(Option<String>),
    /// A column has another value than a patch expected. Both are = followed by the value, or empty
    /// for null.
    Unexpected {
        column: Vec<u8>,
        expected: Vec<u8>,
        found: Vec<u8>,
    },
    /// Redis assigned another number than the record has.
    Assigned {
        column: Vec<u8>,
        value: String,
    },
    /// A counter would leave the range of its type. Without `bounds`, the range is that of the
    /// column.
    Overflow {
        column: Vec<u8>,
        stored: String,
        bounds: Option<(String, String)>,
    },
    /// A record lacks the column.
    Lacks {
        column: Vec<u8>,
    },
    /// A stored value is not a number. It is in the record with this key or, without a key, in the
    /// record that is written.
    Number {
        column: Vec<u8>,
        value: Vec<u8>,
        key: Option<String>,
    },
    /// A stored value in the record with this key is too long for an index.
    Long {
        column: Vec<u8>,
        key: String,
    },
    /// The script needs the ordinal of a value.
    Ordinal {
        column: Vec<u8>,
        value: Vec<u8>,
    },
    Corrupt(String),
    /// One of several records failed with this error.
    Failed(Vec<u8>),
    /// An answer that no script of this crate gives.
    Unknown(String),
}

impl Refusal {
    fn of(words: Vec<Vec<u8>>) -> Self {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let parts: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match parts[..] {
            [b"lists"] => Self::Lists,
            [b"due"] => Self::Due,
            [b"exists"] => Self::Exists,
            [b"missing"] => Self::Missing,
            [b"duplicate", column, value] => Self::Duplicate { column: column.into(), value: value.into() },
            [b"conflict", b""] => Self::Conflict(None),
            [b"conflict", stored] => Self::Conflict(Some(text(stored))),
            [b"unexpected", column, expected, found] => {
                Self::Unexpected { column: column.into(), expected: expected.into(), found: found.into() }
            }
            [b"assigned", column, value] => Self::Assigned { column: column.into(), value: text(value) },
            [b"overflow", column, stored] => {
                Self::Overflow { column: column.into(), stored: text(stored), bounds: None }
            }
            [b"overflow", column, stored, least, greatest] => {
                let bounds = Some((text(least), text(greatest)));
                Self::Overflow { column: column.into(), stored: text(stored), bounds }
            }
            [b"lacks", column] => Self::Lacks { column: column.into() },
            [b"number", column, value] => Self::Number { column: column.into(), value: value.into(), key: None },
            [b"number", column, value, key] => {
                Self::Number { column: column.into(), value: value.into(), key: Some(text(key)) }
            }
            [b"long", column, key] => Self::Long { column: column.into(), key: text(key) },
            [b"ordinal", column, value] => Self::Ordinal { column: column.into(), value: value.into() },
            [b"corrupt", why] => Self::Corrupt(text(why)),
            [b"failed", error] => Self::Failed(error.into()),
            _ => Self::Unknown(parts.iter().map(|part| text(part)).collect::<Vec<_>>().join(" ")),
        }
    }
}

/// Whether a script refused its call as the program is not registered. The values of
/// [`FIELDS`](crate::model::stored::FIELDS) follow.
pub(crate) fn is_schema(answer: &[Value]) -> bool {
    matches!(answer, [Value::Nil, Value::BulkString(word), ..] if word == b"schema")
}

impl Answer {
    pub(crate) fn of(reply: Value) -> Self {
        match reply {
            Value::Array(values) if is_schema(&values) => {
                Self::Refused(Refusal::Schema(Box::new(StoredSchema::of(values.into_iter().skip(2)))))
            }
            Value::Array(values) if values.first() == Some(&Value::Nil) => {
                Self::Refused(Refusal::of(values.into_iter().skip(1).map(bytes).collect()))
            }
            Value::Array(values) => Self::Done(values),
            other => Self::Done(vec![other]),
        }
    }
}

/// The values of a list, which a script may have packed by `cmsgpack`. A reply that is no list is
/// returned as the error. redis-rs takes about 200 ns for each value of a reply. A packed value
/// takes a tenth of that, and less time of the server as well.
pub(crate) fn unpacked(list: Value) -> Result<Vec<Value>, Value> {
    fn value(packed: ValueRef) -> Value {
        match packed {
            ValueRef::Integer(number) => number.as_i64().map_or(Value::Nil, Value::Int),
            ValueRef::String(text) => Value::BulkString(text.as_bytes().to_vec()),
            ValueRef::Array(values) => Value::Array(values.into_iter().map(value).collect()),
            // Lua packs false in the place of nil.
            _ => Value::Nil,
        }
    }
    match list {
        Value::Array(values) => Ok(values),
        Value::BulkString(packed) => match rmpv::decode::read_value_ref(&mut &packed[..]).map(value) {
            Ok(Value::Array(values)) => Ok(values),
            _ => Err(Value::BulkString(packed)),
        },
        other => Err(other),
    }
}

/// The bytes of a reply; numbers as decimal text.
pub(crate) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::Int(number) => number.to_string().into_bytes(),
        Value::SimpleString(text) => text.into_bytes(),
        // Under RESP3, a score is a double.
        Value::Double(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

/// An error that names the commands that the user may not run, from the answer of `rights.lua`;
/// `None` if the user may run all of them.
pub(crate) fn lacking(answer: Value) -> Option<RedisError> {
    let Value::Array(missing) = answer else { return None };
    let missing = missing.into_iter().map(|name| String::from_utf8_lossy(&bytes(name)).to_lowercase());
    let missing: Vec<String> = missing.map(|name| format!("'{name}'")).collect();
    let said = format!("NOPERM this user has no permissions to run the {} command", missing.join(", "));
    (!missing.is_empty()).then(|| raised(said.as_bytes()))
}

/// Whether the error says that the user may not run a command or use a key. A script that caught
/// the error puts other words before it, and so does EXEC.
pub(crate) fn lacks_rights(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || error
            .detail()
            .is_some_and(|detail| [REFUSED, "NOPERM ", IN_SCRIPT].iter().any(|words| detail.contains(words)))
}

/// The words that servers put before the missing right, if a script was refused something.
pub(crate) const IN_SCRIPT: &str = "ACL failure in script: ";

/// The words of Redis 7.0 instead, for a command and for a key.
pub(crate) const REFUSED: &str = "The user executing the script can't ";

/// The error that a script caught, as the server would have sent it.
pub(crate) fn raised(message: &[u8]) -> RedisError {
    let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let reply = [b"-", line, b"\r\n"].concat();
    match redis::parse_redis_value(&reply).and_then(Value::extract_error) {
        Err(error) => error,
        Ok(_) => RedisError::from((redis::ErrorKind::UnexpectedReturnType, "a script failed without a reason")),
    }
}

pub(crate) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether the error says that a key holds a value of another type than the command expects.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE") || error.detail().is_some_and(|detail| detail.contains("WRONGTYPE"))
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::unpacked;

    #[test]
    fn a_list_is_the_same_packed_or_not() {
        let text = |text: &str| Value::BulkString(text.into());
        let inner = Value::Array(vec![text("7"), Value::Nil, text("")]);
        let list = vec![Value::Int(7), Value::Int(-1), Value::Int(70_000), text("id"), inner, Value::Array(vec![])];
        let packed = b"\x96\x07\xff\xce\x00\x01\x11\x70\xa2id\x93\xa17\xc2\xa0\x90";
        assert_eq!(unpacked(Value::BulkString(packed.to_vec())), Ok(list.clone()));
        assert_eq!(unpacked(Value::Array(list.clone())), Ok(list));
        // Cut off; a length beyond the end; a text that is in no list; nothing at all.
        for other in [&packed[..9], b"\xdd\xff\xff\xff\xff", b"\xa2id", b""] {
            let other = Value::BulkString(other.to_vec());
            assert_eq!(unpacked(other.clone()), Err(other));
        }
        assert_eq!(unpacked(Value::Int(1)), Err(Value::Int(1)));
    }
}
