//! Calls of scripts that answer queries: making them, and reading their replies.

use redis::Value;

use crate::error::{Error, Result};
use crate::model::target::Target;
use crate::query::exec::position::Position;
use crate::query::plan::Node;
use crate::scripts::{PURGE_EXPIRED, Script};
use crate::server::reply::{self, Answer, Refusal};
use crate::server::{self, Db};
use crate::text::printable;
use crate::upkeep::purge;
use crate::value::parse;

/// Begins a call, with the arguments that all of these scripts have.
pub(super) fn begin(db: &Db, target: &Target, script: &Script) -> redis::Cmd {
    let Target { schema, keys, .. } = target;
    // Room for the arguments of most calls.
    let mut command = script.call_on([keys.temporary().as_bytes()].into_iter(), 40, 500);
    command.arg(&keys.prefix).arg(target.reader(db)).arg(db.budget()).arg(schema.id_width);
    command
}

/// The direction as the scripts name it.
pub(super) fn direction(descending: bool) -> &'static str {
    if descending { "desc" } else { "asc" }
}

/// Makes a call. The words of the filter are its last arguments.
pub(super) async fn run<'a>(
    db: &Db,
    target: &'a Target,
    script: &Script,
    mut command: redis::Cmd,
    filter: &Node,
) -> Result<ReplyReader<'a>> {
    command.arg(filter.words(target.schema));
    // If records of the model can expire, the same round trip removes those that have expired.
    let mut purge_on_the_way = target.schema.ttl.is_some() || target.schema.expires_at.is_some();
    loop {
        let reply = if purge_on_the_way {
            server::run_both(db, (&PURGE_EXPIRED, &purge::purge_command(target)), (script, &command)).await
        } else {
            script.run(db, &command).await
        };
        let reply = reply.map_err(|error| target.wrong_type(error))?;
        if target.admit(db, &reply, &mut command).await? {
            continue;
        }
        match Answer::of(reply) {
            Answer::Refused(Refusal::Due) => {
                purge::purge_expired(db, target).await.map_err(Error::without_rights_read_only)?;
                purge_on_the_way = false;
            }
            Answer::Refused(Refusal::Lists) => return Err(Error::read_only("the filter has long posting lists")),
            answer => return ReplyReader::of(target, answer),
        }
    }
}

/// Makes a call of a script that leaves expired records to its caller.
pub(super) async fn run_timeless<'a>(
    db: &Db,
    target: &'a Target,
    script: &Script,
    mut command: redis::Cmd,
) -> Result<ReplyReader<'a>> {
    loop {
        let reply = script.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
        if !target.admit(db, &reply, &mut command).await? {
            return ReplyReader::of(target, Answer::of(reply));
        }
    }
}

/// The values of a reply, one after the other. It is an error if a value is missing or is not as
/// expected.
pub(super) struct ReplyReader<'a> {
    target: &'a Target,
    values: std::vec::IntoIter<Value>,
}

impl<'a> ReplyReader<'a> {
    pub(super) fn of(target: &'a Target, answer: Answer) -> Result<Self> {
        match answer {
            Answer::Done(values) => Ok(Self::new(target, values)),
            Answer::Refused(refusal) => Err(target.refusal(None, refusal)),
        }
    }

    pub(super) fn new(target: &'a Target, values: Vec<Value>) -> Self {
        Self { target, values: values.into_iter() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.values.len() == 0
    }

    /// The values that were not read yet.
    pub(super) fn rest(self) -> std::vec::IntoIter<Value> {
        self.values
    }

    pub(super) fn value(&mut self) -> Result<Value> {
        self.values.next().ok_or_else(|| self.target.unexpected(&"too few values"))
    }

    /// A text; a number becomes decimal text.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.value()? {
            value @ (Value::BulkString(_) | Value::Int(_) | Value::SimpleString(_) | Value::Double(_)) => {
                Ok(reply::bytes(value))
            }
            other => Err(self.target.unexpected(&other)),
        }
    }

    /// A number; `None` if it is negative.
    pub(super) fn optional(&mut self) -> Result<Option<u64>> {
        let value = self.value()?;
        let number = match &value {
            Value::Int(number) => Some(*number),
            Value::BulkString(text) => parse::<i64>(text),
            _ => None,
        };
        let number = number.ok_or_else(|| self.target.unexpected(&value))?;
        Ok(u64::try_from(number).ok())
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Result<T> {
        let number = self.optional()?.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.target.unexpected(&"a number out of its range"))
    }

    /// A truth value, sent as 1 or 0.
    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.number::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.target.unexpected(&other)),
        }
    }

    /// A list, which may be packed.
    pub(super) fn list(&mut self) -> Result<Vec<Value>> {
        let value = self.value()?;
        reply::unpacked(value).map_err(|value| self.target.unexpected(&value))
    }

    /// A reader of the values of a list.
    pub(super) fn reader(&mut self) -> Result<Self> {
        let list = self.list()?;
        Ok(Self::new(self.target, list))
    }

    pub(super) fn position(&mut self) -> Result<Position> {
        let words = [self.bytes()?, self.bytes()?, self.bytes()?];
        let unexpected = |words: [Vec<u8>; 3]| self.target.unexpected(&words.map(|word| printable(&word)));
        Position::of(words).map_err(unexpected)
    }

    /// The error for a word that the script should never answer.
    pub(super) fn unknown(&self, word: &[u8]) -> Error {
        self.target.unexpected(&String::from_utf8_lossy(word))
    }
}
