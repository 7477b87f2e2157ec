//! A call of a script that writes: made, and its answer or refusal understood.

use std::borrow::Cow;

use redis::{Arg, Cmd, Pipeline, RedisError, Value};

use crate::db::Db;
use crate::description;
use crate::error::{Error, Result};
use crate::id;
use crate::index::BEFORE_ORDINAL;
use crate::keys::Keys;
use crate::layout::LONGEST_INDEXED;
use crate::reply::{self, Answer, Refusal, is_wrong_type, raised};
use crate::schema::{ColumnSchema, ModelSchema};
use crate::scripts::{DESCRIBE, REGISTER, Script};
use crate::text::{Excerpt, printable};

/// A model in a namespace.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) schema: &'static ModelSchema,
    pub(crate) keys: Keys,
}

/// Where a record is: the key of its hash, which ends with the text of its id.
pub(crate) struct Address {
    pub(crate) key: Vec<u8>,
    id_at: usize,
}

impl Address {
    pub(crate) fn id(&self) -> &[u8] {
        &self.key[self.id_at..]
    }
}

/// One call of a script for one record.
pub(crate) struct Call {
    pub(crate) command: Cmd,
    pub(crate) write: Write,
}

/// What a call does to one record, for messages.
pub(crate) struct Write {
    /// The key of the record.
    pub(crate) key: Vec<u8>,
    /// The verb.
    pub(crate) operation: &'static str,
    /// Whether the call does no harm if it is made twice.
    pub(crate) repeatable: bool,
    /// The version that the caller has.
    pub(crate) expected: Option<Vec<u8>>,
}

/// How the scripts index a column: see `scripts/index.lua`.
pub(crate) fn index_spec(column: &ColumnSchema, ordinal: u16) -> Cow<'_, str> {
    // Most have no ordinal, and a save makes one of these for each indexed column.
    if ordinal == 0 {
        Cow::Borrowed(column.spec())
    } else {
        Cow::Owned(format!("{}{ordinal}", &column.spec()[..BEFORE_ORDINAL]))
    }
}

/// Adds the names of the indexed columns and how each is indexed.
pub(crate) fn push_indexes(schema: &ModelSchema, command: &mut Cmd) {
    for &at in &schema.indexed {
        command.arg(schema.columns()[at].name());
    }
    for &at in &schema.indexed {
        command.arg(index_spec(&schema.columns()[at], 0));
    }
}

/// How often a call is made until the schema is stored and the program registered: again only if
/// others change these in between.
const ATTEMPTS: usize = 8;

impl Target {
    pub(crate) fn new(db: &Db, schema: &'static ModelSchema) -> Self {
        Self { schema, keys: Keys::new(db.namespace(), schema) }
    }

    /// Where the record is whose id's text `append` appends.
    pub(crate) fn address(&self, append: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Address> {
        let mut key = self.keys.records(40);
        let id_at = key.len();
        append(&mut key)?;
        id::check_length(self.schema, &key[id_at..])?;
        Ok(Address { key, id_at })
    }

    /// Makes a call. One round trip; two more at the first record of a model, and at the first call
    /// of a program with other columns.
    pub(crate) async fn run(&self, db: &Db, script: &Script, call: &Call) -> Result<Vec<Value>> {
        let Call { command, write } = call;
        db.may_write(&self.keys).await.map_err(|error| self.failure(write, error))?;
        for _ in 0..ATTEMPTS {
            let reply = script.run(db, command).await.map_err(|error| self.failure(write, error))?;
            match Wanted::of(&reply) {
                Some(wanted) => self.provide(db, wanted).await?,
                None => return self.done(write, Answer::of(reply)),
            }
        }
        Err(self.refusal(Some(write), Refusal::Describe))
    }

    /// Makes many calls of one script in one pipeline. One result for each; an error if the
    /// connection failed.
    pub(crate) async fn run_many(&self, db: &Db, script: &Script, calls: Vec<Call>) -> Result<Vec<Result<Vec<Value>>>> {
        let (commands, writes): (Vec<_>, Vec<_>) = calls.into_iter().map(|call| (call.command, call.write)).unzip();
        let Some(first) = writes.first() else { return Ok(Vec::new()) };
        db.may_write(&self.keys).await.map_err(|error| self.failure(first, error))?;
        let calls = pipeline(commands);
        let replies = self.provided(db, script, &calls, first, Wanted::of).await?;
        let results = writes.iter().zip(replies).map(|(write, reply)| match reply {
            Ok(reply) => self.done(write, Answer::of(reply)),
            Err(error) => Err(self.failure(write, error)),
        });
        Ok(results.collect())
    }

    /// Makes many calls of a script that answers for several records each, in one pipeline. One
    /// result for each of `writes`, of which each call has so many as it has keys; an error if the
    /// connection failed.
    pub(crate) async fn run_groups(
        &self,
        db: &Db,
        script: &Script,
        calls: Vec<(Cmd, usize)>,
        writes: &[Write],
    ) -> Result<Vec<Result<Vec<Value>>>> {
        let (commands, sizes): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let Some(first) = writes.first() else { return Ok(Vec::new()) };
        let calls = pipeline(commands);
        db.may_write(&self.keys).await.map_err(|error| self.failure(first, error))?;
        // A call that is refused so for its first record has written nothing for any.
        let wanted = |reply: &Value| match reply {
            Value::Array(answers) => answers.first().and_then(Wanted::of),
            _ => None,
        };
        let replies = self.provided(db, script, &calls, first, wanted).await?;
        let mut results = Vec::with_capacity(writes.len());
        let mut writes = writes.iter();
        for (size, reply) in sizes.into_iter().zip(replies) {
            let mut answers = match reply {
                Ok(Value::Array(answers)) => Ok(answers.into_iter()),
                Ok(other) => Ok(vec![other].into_iter()),
                Err(error) => Err(error),
            };
            for write in writes.by_ref().take(size) {
                results.push(match &mut answers {
                    Ok(answers) => match Answer::of(answers.next().unwrap_or(Value::Nil)) {
                        Answer::Refused(Refusal::Failed(error)) => {
                            let error = raised(&error);
                            Err(self.failure(write, script.named(db, &write.key, error).await))
                        }
                        answer => self.done(write, answer),
                    },
                    Err(error) => Err(self.failure(write, error.clone())),
                });
            }
        }
        Ok(results)
    }

    /// Makes calls of one script, and again those that were refused for want of something, once
    /// that is provided.
    async fn provided(
        &self,
        db: &Db,
        script: &Script,
        calls: &Pipeline,
        first: &Write,
        wanted: impl Fn(&Value) -> Option<Wanted>,
    ) -> Result<Vec<Result<Value, RedisError>>> {
        let mut replies = script.run_many(db, calls).await.map_err(|error| self.failure(first, error))?;
        for _ in 0..ATTEMPTS {
            let refused = replies.iter().enumerate();
            let mut refused = refused.filter_map(|(at, reply)| Some((at, wanted(reply.as_ref().ok()?)?)));
            let Some((first_again, what)) = refused.next() else { break };
            let again: Vec<usize> = [first_again].into_iter().chain(refused.map(|(at, _)| at)).collect();
            match self.provide(db, what).await {
                // Each of these calls is told so by its own answer.
                Err(Error::Schema { .. }) => break,
                outcome => outcome?,
            }
            let calls = calls.cmd_iter().enumerate().filter(|(at, _)| again.binary_search(at).is_ok());
            let calls = pipeline(calls.map(|(_, call)| call.clone()).collect());
            let second = script.run_many(db, &calls).await.map_err(|error| self.failure(first, error))?;
            for (at, reply) in again.into_iter().zip(second) {
                replies[at] = reply;
            }
        }
        Ok(replies)
    }

    /// Does what a call was refused for the want of. If another program was faster, the next call
    /// says so. One round trip.
    async fn provide(&self, db: &Db, wanted: Wanted) -> Result<()> {
        match wanted {
            Wanted::Description => self.describe(db).await,
            Wanted::Registration(types) => {
                self.compare(&types)?;
                self.register(db, &types).await
            }
        }
    }

    /// Stores the schema of a model that has no records yet.
    pub(crate) async fn describe(&self, db: &Db) -> Result<()> {
        let mut command = DESCRIBE.call(self.keys.meta().as_bytes());
        command.arg(&self.schema.registration).arg(&self.schema.description).arg(&self.schema.types);
        DESCRIBE.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    /// Registers this program, whose types were compared with those that are stored.
    pub(crate) async fn register(&self, db: &Db, types: &str) -> Result<()> {
        let schema = self.schema;
        let mut command = REGISTER.call(self.keys.meta().as_bytes());
        command.arg(&schema.registration).arg(types).arg(description::merged(types, &schema.types));
        REGISTER.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    /// Refuses stored types that are not those of this program.
    fn compare(&self, types: &str) -> Result<()> {
        match self.schema.conflict(types) {
            Some(difference) => Err(Error::Schema { model: self.schema.name(), difference }),
            None => Ok(()),
        }
    }

    /// Refuses a model whose stored types are not those of this program. One round trip.
    pub(crate) async fn compare_stored(&self, db: &Db) -> Result<()> {
        let reply = db.send(redis::cmd("HMGET").arg(self.keys.meta()).arg(&["types", "count"])).await;
        let values = match reply {
            Ok(Value::Array(values)) => values,
            Err(error) if !is_wrong_type(&error) => return Err(error.into()),
            // What is wrong with the key, a check says itself.
            _ => return Ok(()),
        };
        let texts: Vec<Vec<u8>> = values.into_iter().map(reply::bytes).collect();
        match &texts[..] {
            // The types of a model without records are those of any program.
            [types, count] if !matches!(&count[..], b"" | b"0") => self.compare(&String::from_utf8_lossy(types)),
            _ => Ok(()),
        }
    }

    /// What the scripts of queries know this program's schema by: where it can't be registered, the
    /// fingerprint alone, once its types were compared.
    pub(crate) fn reader(&self, db: &Db) -> &'static str {
        let schema = self.schema;
        if db.was_compared(|| self.compared()) { &schema.fingerprint } else { &schema.registration }
    }

    fn compared(&self) -> String {
        format!("{}{}", self.keys.prefix, self.schema.registration)
    }

    /// Registers this program, if that is what a call of a query was refused for; where it can't
    /// be, the types are compared all the same. Says whether the call is to be made again. Mostly
    /// no round trip.
    pub(crate) async fn admit(&self, db: &Db, reply: &Value, call: &mut Cmd) -> Result<bool> {
        let Some(Wanted::Registration(types)) = Wanted::of(reply) else { return Ok(false) };
        self.compare(&types)?;
        if !db.is_read_only() && db.may_write(&self.keys).await.is_ok() {
            match self.register(db, &types).await.map_err(Error::without_rights_read_only) {
                Err(error) if error.refuses_writes() => {}
                outcome => return outcome.map(|()| true),
            }
        }
        db.note_compared(self.compared());
        // The registration is the second argument, after the name of the command, the script, the
        // number of keys and the key.
        let mut other = Cmd::new();
        for (at, argument) in call.args_iter().enumerate() {
            match argument {
                _ if at == 5 => other.arg(&self.schema.fingerprint),
                Arg::Simple(bytes) => other.arg(bytes),
                _ => &mut other,
            };
        }
        *call = other;
        Ok(true)
    }

    fn done(&self, write: &Write, answer: Answer) -> Result<Vec<Value>> {
        match answer {
            Answer::Done(values) => Ok(values),
            Answer::Refused(refusal) => Err(self.refusal(Some(write), refusal)),
        }
    }

    fn failure(&self, write: &Write, error: RedisError) -> Error {
        if is_wrong_type(&error) {
            return self.wrong_type(error);
        }
        Error::of_write(error, self.schema.name(), write.operation, write.repeatable)
    }

    /// Names the model of a key that holds a value of another type.
    pub(crate) fn wrong_type(&self, error: RedisError) -> Error {
        wrong_type_at(self.schema, self.keys.prefix.as_bytes(), error)
    }

    /// Refuses a reply that no server makes to what was asked.
    pub(crate) fn unexpected(&self, reply: &impl std::fmt::Debug) -> Error {
        let Self { schema, keys } = self;
        let reason = format!("the server answered {reply:?}");
        Error::Corrupt { model: schema.name(), column: None, key: keys.prefix.clone(), reason }
    }

    /// Turns a script's refusal into an error.
    pub(crate) fn refusal(&self, write: Option<&Write>, refusal: Refusal) -> Error {
        let model = self.schema.name();
        let named = |name: &[u8]| self.schema.columns().iter().find(|column| column.name().as_bytes() == name);
        let name_of = |name: &[u8]| named(name).map_or("", ColumnSchema::name);
        let key = || write.map_or_else(|| self.keys.prefix.clone(), |write| printable(&write.key));
        let schema = |difference| Error::Schema { model, difference };
        match refusal {
            Refusal::Exists => Error::AlreadyExists { model, key: key() },
            Refusal::Missing => Error::NotFound { model, key: key() },
            Refusal::Duplicate { column, value } => {
                Error::Duplicate { model, column: name_of(&column), value: Excerpt(&value).to_string() }
            }
            Refusal::Conflict(stored) => {
                let expected = write.and_then(|write| write.expected.as_deref()).unwrap_or_default();
                let expected = String::from_utf8_lossy(expected).into_owned();
                Error::Conflict { model, key: key(), expected, stored }
            }
            Refusal::Assigned { column, value } => {
                let reason = format!(
                    "Redis assigns the number, and {value} is not the one of this record. Leave it 0 in a new \
                     record, and unchanged in one that was loaded"
                );
                Error::BadData { model, column: name_of(&column), reason }
            }
            Refusal::Overflow { column, stored, bounds } => {
                let of_column = || named(&column).map_or(("", ""), |column| column.bounds);
                let (least, greatest) = bounds.unwrap_or_else(|| {
                    let (least, greatest) = of_column();
                    (least.to_owned(), greatest.to_owned())
                });
                Error::OutOfRange {
                    model,
                    column: name_of(&column),
                    key: key(),
                    stored: stored.into(),
                    least: least.into(),
                    greatest: greatest.into(),
                }
            }
            Refusal::Lacks { column } => Error::MissingColumn { model, column: name_of(&column), key: key() },
            Refusal::Number { column, value, key: of_record } => Error::Corrupt {
                model,
                column: Some(name_of(&column)),
                key: of_record.unwrap_or_else(key),
                reason: format!("{} is not a number", Excerpt(&value)),
            },
            Refusal::Long { column, key } => {
                let reason = format!("an indexed value has at most {LONGEST_INDEXED} bytes, that of {key} has more");
                Error::BadData { model, column: name_of(&column), reason }
            }
            Refusal::Schema(indexes, types) => schema(self.schema.difference(&indexes, &types)),
            Refusal::Building(column) => schema(format!(
                "the index of {} is still being built. `{model}::migrate` builds it, and goes on where it was stopped",
                column.trim_matches(':').replace(':', ", ")
            )),
            Refusal::Columns(types) => schema(self.schema.conflict(&types).unwrap_or_else(changing)),
            Refusal::Describe | Refusal::Dropping => schema(changing()),
            Refusal::Corrupt(reason) => Error::Corrupt { model, column: None, key: key(), reason },
            // Asked for by those who can do something about them.
            other @ (Refusal::Due | Refusal::Ordinal { .. } | Refusal::Failed(_) | Refusal::Unknown(_)) => {
                self.unexpected(&other)
            }
        }
    }
}

/// Of a schema: why a call that was repeated some times still found it changed.
fn changing() -> String {
    "another program changes its schema at the same time. Try again".into()
}

/// What a call was refused for the want of, before it did anything.
enum Wanted {
    /// The model has no records yet, and so no schema.
    Description,
    /// The program is not registered: the stored types of columns.
    Registration(String),
}

impl Wanted {
    fn of(reply: &Value) -> Option<Self> {
        let Value::Array(words) = reply else { return None };
        let [Value::Nil, Value::BulkString(word), ..] = &words[..] else { return None };
        if !matches!(&word[..], b"describe" | b"columns") {
            return None;
        }
        match Answer::of(reply.clone()) {
            Answer::Refused(Refusal::Describe) => Some(Self::Description),
            Answer::Refused(Refusal::Columns(types)) => Some(Self::Registration(types)),
            _ => None,
        }
    }
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}

/// Names the key, or the model of a key, that holds a value of another type.
pub(crate) fn wrong_type_at(schema: &'static ModelSchema, key: &[u8], error: RedisError) -> Error {
    if !is_wrong_type(&error) {
        return error.into();
    }
    Error::Corrupt {
        model: schema.name(),
        column: None,
        key: printable(key),
        reason: "a key that belongs to the model holds a value of another type".into(),
    }
}
