//! What servers and scripts answer: bytes, refusals, and classes of errors.

use redis::{RedisError, ServerErrorKind, Value};
use rmpv::ValueRef;

/// What a script answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It did its work.
    Done(Vec<Value>),
    /// It found something wrong, before it wrote anything.
    Refused(Refusal),
}

/// What a script found wrong: `refuse(..)` in the scripts, a word and details.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The model has no records yet, and so no schema.
    Describe,
    /// The program is not registered: the stored types.
    Columns(String),
    /// The stored schema is another one: what indexes depend on, and the types.
    Schema(String, String),
    /// The index of a column is still being built.
    Building(String),
    /// Old indexes are still being dropped.
    Dropping,
    /// Records have expired that are not removed yet.
    Due,
    Exists,
    Missing,
    /// Another record has the value of a unique column.
    Duplicate {
        column: Vec<u8>,
        value: Vec<u8>,
    },
    /// The stored version, `None` if there is no record.
    Conflict(Option<String>),
    /// Redis assigns this number, and it is another one.
    Assigned {
        column: Vec<u8>,
        value: String,
    },
    /// A counter would leave its type, whose bounds are those of the column if none are said.
    Overflow {
        column: Vec<u8>,
        stored: String,
        bounds: Option<(String, String)>,
    },
    /// A record lacks the column.
    Lacks {
        column: Vec<u8>,
    },
    /// A stored value is no number: in the record that is written, or in the one with this key.
    Number {
        column: Vec<u8>,
        value: Vec<u8>,
        key: Option<String>,
    },
    /// A stored value is too long for an index, in the record with this key.
    Long {
        column: Vec<u8>,
        key: String,
    },
    /// The ordinal of a value is needed.
    Ordinal {
        column: Vec<u8>,
        value: Vec<u8>,
    },
    Corrupt(String),
    /// One of several records failed with this error.
    Failed(Vec<u8>),
    /// Nothing that a script of ours says.
    Unknown(String),
}

impl Refusal {
    fn of(words: Vec<Vec<u8>>) -> Self {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let parts: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match parts[..] {
            [b"describe"] => Self::Describe,
            [b"columns", types] => Self::Columns(text(types)),
            [b"schema", indexes, types] => Self::Schema(text(indexes), text(types)),
            [b"schema", indexes] => Self::Schema(text(indexes), String::new()),
            [b"building", column] => Self::Building(text(column)),
            [b"dropping"] => Self::Dropping,
            [b"due"] => Self::Due,
            [b"exists"] => Self::Exists,
            [b"missing"] => Self::Missing,
            [b"duplicate", column, value] => Self::Duplicate { column: column.into(), value: value.into() },
            [b"conflict", b""] => Self::Conflict(None),
            [b"conflict", stored] => Self::Conflict(Some(text(stored))),
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

impl Answer {
    pub(crate) fn of(reply: Value) -> Self {
        match reply {
            Value::Array(values) if values.first() == Some(&Value::Nil) => {
                Self::Refused(Refusal::of(values.into_iter().skip(1).map(bytes).collect()))
            }
            Value::Array(values) => Self::Done(values),
            other => Self::Done(vec![other]),
        }
    }
}

/// The values of a list that a script may have packed by `cmsgpack`, or what it is instead.
/// redis-rs takes some 200 ns for each value of a reply; packed, they take a tenth of that, and
/// less of the server too.
pub(crate) fn unpacked(list: Value) -> Result<Vec<Value>, Value> {
    fn value(packed: ValueRef) -> Value {
        match packed {
            ValueRef::Integer(number) => number.as_i64().map_or(Value::Nil, Value::Int),
            ValueRef::String(text) => Value::BulkString(text.as_bytes().to_vec()),
            ValueRef::Array(values) => Value::Array(values.into_iter().map(value).collect()),
            // Lua has false where a reply has nil.
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

/// A reply's bytes; numbers as decimal text.
pub(crate) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::Int(number) => number.to_string().into_bytes(),
        Value::SimpleString(text) => text.into_bytes(),
        // A score, under RESP3.
        Value::Double(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

/// An error that names the commands that a user lacks, by the answer of `rights.lua`; `None` if it
/// lacks none.
pub(crate) fn lacking(answer: Value) -> Option<RedisError> {
    let Value::Array(missing) = answer else { return None };
    let missing = missing.into_iter().map(|name| String::from_utf8_lossy(&bytes(name)).to_lowercase());
    let missing: Vec<String> = missing.map(|name| format!("'{name}'")).collect();
    let said = format!("NOPERM this user has no permissions to run the {} command", missing.join(", "));
    (!missing.is_empty()).then(|| raised(said.as_bytes()))
}

/// Whether the user may not run a command or use a key. A script that caught the error, and EXEC,
/// put other words before it.
pub(crate) fn lacks_rights(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || error
            .detail()
            .is_some_and(|detail| [REFUSED, "NOPERM ", IN_SCRIPT].iter().any(|words| detail.contains(words)))
}

/// What servers put before what a user lacks whose script was refused something.
pub(crate) const IN_SCRIPT: &str = "ACL failure in script: ";

/// What Redis 7.0 says instead, for a command as for a key.
pub(crate) const REFUSED: &str = "The user executing the script can't ";

/// The error that a script caught, as it would have come from the server.
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

/// Whether a key holds a value of another type than the command is for.
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
        // Cut off, with a length that there is not, a text alone, and no list at all.
        for other in [&packed[..9], b"\xdd\xff\xff\xff\xff", b"\xa2id", b""] {
            let other = Value::BulkString(other.to_vec());
            assert_eq!(unpacked(other.clone()), Err(other));
        }
        assert_eq!(unpacked(Value::Int(1)), Err(Value::Int(1)));
    }
}
