//! The scripts: one typed function for each `.lua` file.
//!
//! A call is one EVALSHA. Where the server does not know the script, as after a restart, a failover or SCRIPT FLUSH, the call is made again
//! by EVAL, with the text of the script, so that it can't be missing again: a script that was not found has done nothing.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use redis::{Arg, Cmd, Pipeline, RedisError, ServerErrorKind, Value};
use rmpv::ValueRef;

use crate::db::Db;

const STAGE: &str = "-- stage\n";

/// A script's text and the hash that the server knows it by.
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    /// A script of parts one after the other, with the files in it that its lines include.
    fn new(parts: &[&str]) -> Self {
        let text = parts
            .concat()
            .replace("-- include put.lua\n", include_str!("scripts/put.lua"))
            .replace("-- include ready.lua\n", include_str!("scripts/ready.lua"))
            .replace("-- include cost.lua\n", include_str!("scripts/cost.lua"))
            .replace("-- include read_bitmaps.lua\n", include_str!("scripts/read_bitmaps.lua"))
            .replace("-- include plain.lua\n", include_str!("scripts/plain.lua"))
            .replace("-- include schema.lua\n", include_str!("scripts/schema.lua"))
            .replace("-- include due.lua\n", include_str!("scripts/due.lua"))
            .replace("-- include ids.lua\n", include_str!("scripts/ids.lua"))
            .replace("-- include index.lua\n", include_str!("scripts/index.lua"))
            .replace("-- include elements.lua\n", include_str!("scripts/elements.lua"))
            .replace("-- include remove.lua\n", include_str!("scripts/remove.lua"))
            .replace("-- include apply.lua\n", include_str!("scripts/apply.lua"))
            .replace("-- include expire.lua\n", include_str!("scripts/expire.lua"));
        // What comes after such a line is a function of its own. To make a function, Lua looks for each variable of the one around it that it uses among
        // all of those that functions use, one after the other; what is further out it finds at once. With three such lines, the 50 functions
        // of a query are made in 15 us instead of 27.
        let stages = text.matches(STAGE).count();
        let text = text.replace(STAGE, "return (function()\n") + &"end)()\n".repeat(stages);
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    /// A call with one key, as a command. Arguments are added to it.
    pub(crate) fn call(&self, key: &[u8]) -> Cmd {
        self.call_on([key].into_iter(), 0, 0)
    }

    /// A call with some keys, and room for so many arguments of so many bytes in all.
    pub(crate) fn call_on<'a>(
        &self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        arguments: usize,
        bytes: usize,
    ) -> Cmd {
        let mut call = Cmd::with_capacity(arguments + keys.len() + 3, bytes + 64 * keys.len() + 64);
        call.arg("EVALSHA").arg(&self.hash).arg(keys.len());
        for key in keys {
            call.arg(key);
        }
        call
    }

    /// A call that [`Script::call`] began, with the text of the script.
    pub(crate) fn whole(&self, call: &Cmd) -> Cmd {
        let mut whole = Cmd::new();
        whole.arg("EVAL").arg(&self.text);
        for argument in call.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                whole.arg(bytes);
            }
        }
        whole
    }

    /// Makes a call that [`Script::call`] began.
    pub(crate) async fn run(&self, db: &Db, call: &Cmd) -> Result<Value, RedisError> {
        let reply = match db.send(call).await {
            Err(error) if is_unknown(&error) => db.send(&self.whole(call)).await,
            reply => reply,
        };
        match reply {
            Err(error) => Err(self.named(db, error).await),
            reply => reply,
        }
    }

    /// The error of a script that was refused a command, with the names of those that the user may not run. One round trip, where Redis
    /// 7.0 does not name it; else none.
    pub(crate) async fn named(&self, db: &Db, error: RedisError) -> RedisError {
        if !error.detail().is_some_and(|detail| detail.contains(REFUSED)) {
            return error;
        }
        // With its text at once, as this is rare.
        let missing = db.send(&rights(&[self])).await;
        missing.ok().and_then(lacking).unwrap_or(error)
    }

    /// The commands that it may call.
    fn commands(&self) -> impl Iterator<Item = &str> {
        self.text.split('\'').filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()))
    }

    /// Makes many calls in one pipeline, and again those that found the script missing. One result per call.
    pub(crate) async fn run_many(
        &self,
        db: &Db,
        calls: &Pipeline,
    ) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut replies = db.send_all(calls).await?;
        loop {
            let again: Vec<usize> =
                (0..replies.len()).filter(|&at| replies[at].as_ref().is_err_and(is_unknown)).collect();
            if again.is_empty() {
                break;
            }
            let calls = calls.cmd_iter().enumerate().filter(|(at, _)| again.binary_search(at).is_ok());
            // The first one makes the script known to the others, so that each time there is one less.
            let mut second = Pipeline::with_capacity(again.len());
            for (_, call) in calls {
                second.add_command(if second.is_empty() { self.whole(call) } else { call.clone() });
            }
            for (at, reply) in again.into_iter().zip(db.send_all(&second).await?) {
                replies[at] = reply;
            }
        }
        for reply in &mut replies {
            if let Err(error) = reply {
                *error = self.named(db, error.clone()).await;
            }
        }
        Ok(replies)
    }
}

/// Makes two calls of different scripts in one pipeline and answers the second's reply. The first must do no harm if it is
/// made twice, as both are made again if one of them was not known.
pub(crate) async fn run_both(db: &Db, first: (&Script, &Cmd), second: (&Script, &Cmd)) -> Result<Value, RedisError> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.add_command(first.1.clone()).add_command(second.1.clone());
    let mut whole = false;
    loop {
        let mut replies = db.send_all(&pipeline).await?.into_iter();
        let (Some(one), Some(two)) = (replies.next(), replies.next()) else { return Ok(Value::Nil) };
        if !whole && (one.as_ref().is_err_and(is_unknown) || two.as_ref().is_err_and(is_unknown)) {
            pipeline.clear();
            pipeline.add_command(first.0.whole(first.1)).add_command(second.0.whole(second.1));
            whole = true;
            continue;
        }
        match one {
            // Who may not do the first may well do the second, which says so if it can't do without.
            Err(error) if lacks_rights(&error) => {}
            one => drop(one?),
        }
        return match two {
            Err(error) => Err(second.0.named(db, error).await),
            two => two,
        };
    }
}

/// A call that asks which commands of these scripts the user may not run: see [`lacking`].
fn rights(scripts: &[&Script]) -> Cmd {
    let commands: BTreeSet<&str> = scripts.iter().flat_map(|script| script.commands()).collect();
    let mut call = RIGHTS.call_on([].into_iter(), commands.len(), 0);
    for command in commands {
        call.arg(command);
    }
    RIGHTS.whole(&call)
}

/// A call that asks which commands the user lacks to write records: see [`lacking`].
pub(crate) fn rights_to_write() -> Cmd {
    rights(&[&SAVE, &SAVE_MANY, &PATCH, &DELETE, &PURGE_EXPIRED, &DESCRIBE, &REGISTER])
}

/// An error that names the commands that a user lacks, by the answer of `rights.lua`; `None` if it lacks none.
pub(crate) fn lacking(answer: Value) -> Option<RedisError> {
    let Value::Array(missing) = answer else { return None };
    let missing = missing.into_iter().map(|name| String::from_utf8_lossy(&bytes(name)).to_lowercase());
    let missing: Vec<String> = missing.map(|name| format!("'{name}'")).collect();
    let said = format!("NOPERM this user has no permissions to run the {} command", missing.join(", "));
    (!missing.is_empty()).then(|| raised(said.as_bytes()))
}

/// The last reply of a transaction: EXEC's, or the first error if a command was refused, of which EXEC says only that there was one.
pub(crate) fn last(replies: Vec<Result<Value, RedisError>>) -> Result<Value, RedisError> {
    replies.into_iter().try_fold(Value::Nil, |_, reply| reply)
}

/// Whether the user may not run a command or use a key. A script that caught the error, and EXEC, put other words before it.
pub(crate) fn lacks_rights(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || error
            .detail()
            .is_some_and(|detail| [REFUSED, "NOPERM ", IN_SCRIPT].iter().any(|words| detail.contains(words)))
}

/// What servers put before what a user lacks whose script was refused something.
pub(crate) const IN_SCRIPT: &str = "ACL failure in script: ";

/// What Redis 7.0 says instead, for a command as for a key.
const REFUSED: &str = "The user executing the script can't ";

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

const ROWS: &str = include_str!("scripts/rows.lua");
const INSPECT: &str = include_str!("scripts/inspect.lua");
const FILTER: &str = include_str!("scripts/filter.lua");
const WALK: &str = include_str!("scripts/walk.lua");

macro_rules! scripts {
    ($($name:ident = [$($part:expr),*];)*) => {$(
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[$($part),*]));
    )*};
}
scripts! {
    SAVE = [ROWS, include_str!("scripts/save.lua")];
    SAVE_MANY = [ROWS, include_str!("scripts/save_many.lua")];
    PATCH = [ROWS, include_str!("scripts/patch.lua")];
    DELETE = [ROWS, include_str!("scripts/delete.lua")];
    PURGE_EXPIRED = [ROWS, include_str!("scripts/purge_expired.lua")];
    MIGRATE = [include_str!("scripts/migrate.lua")];
    DROP = [include_str!("scripts/drop.lua")];
    BUILD = [ROWS, include_str!("scripts/build.lua")];
    DESCRIBE = [include_str!("scripts/describe.lua")];
    REGISTER = [include_str!("scripts/register.lua")];
    CHECK_RECORDS = [ROWS, INSPECT, include_str!("scripts/check_records.lua")];
    CHECK_ENTRIES = [ROWS, INSPECT, include_str!("scripts/check_entries.lua")];
    CHECK_ROWS = [ROWS, INSPECT, include_str!("scripts/check_rows.lua")];
    CHECK_VALUES = [ROWS, INSPECT, include_str!("scripts/check_values.lua")];
    CHECK_COUNTS = [ROWS, INSPECT, include_str!("scripts/check_counts.lua")];
    QUERY = [ROWS, FILTER, WALK, include_str!("scripts/query.lua")];
    BITMAPS = [ROWS, FILTER, include_str!("scripts/bitmaps.lua")];
    ORDER = [ROWS, FILTER, include_str!("scripts/order.lua")];
    COUNT = [ROWS, FILTER, WALK, include_str!("scripts/count.lua")];
    LEAVES = [ROWS, FILTER, include_str!("scripts/leaves.lua")];
    RIGHTS = [include_str!("scripts/rights.lua")];
    GROUPS = [ROWS, FILTER, include_str!("scripts/groups.lua")];
}

/// What a script answered: it did its work, or says in words what it found wrong before it wrote anything.
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

/// The values of a list that a script may have packed by `cmsgpack`, or what it is instead. redis-rs takes some 200 ns for each value of a reply;
/// packed, they take a tenth of that, and less of the server too.
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

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;
