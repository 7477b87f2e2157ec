//! What servers and scripts answer: bytes, refusals, and classes of errors.

use redis::{RedisError, ServerErrorKind, Value};
use rmpv::ValueRef;

/// What a script answered: it did its work, or says in words what it found wrong before it wrote
/// anything.
pub(crate) enum Answer {
    Done(Vec<Value>),
    Refused(String, Vec<Vec<u8>>),
}

impl Answer {
    pub(crate) fn of(reply: Value) -> Self {
        match reply {
            Value::Array(values) if values.first() == Some(&Value::Nil) => {
                let mut words = values.into_iter().skip(1).map(bytes);
                let word = String::from_utf8_lossy(&words.next().unwrap_or_default()).into_owned();
                Answer::Refused(word, words.collect())
            }
            Value::Array(values) => Answer::Done(values),
            other => Answer::Done(vec![other]),
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
