//! A call of a script that writes: made, and its answer or refusal understood.

use std::borrow::Cow;

use redis::{Cmd, Pipeline, RedisError, Value};

use crate::codec::printable;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::id::{self, ModelId};
use crate::keys::Keys;
use crate::model::RedisModel;
use crate::reply::{Answer, is_wrong_type, raised};
use crate::schema::{ColumnSchema, ModelSchema};
use crate::scripts::{DESCRIBE, Script};
use crate::value::Excerpt;

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
    if ordinal == 0 { Cow::Borrowed(column.spec()) } else { Cow::Owned(format!("{}{ordinal}", &column.spec()[..2])) }
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

/// How often the schema of a model without records is stored for a write: again only if somebody deletes all keys in between.
const DESCRIPTIONS: usize = 5;

impl Target {
    pub(crate) fn new<M: RedisModel>(db: &Db) -> Self {
        Self { schema: M::schema(), keys: Keys::new(db.namespace(), M::schema()) }
    }

    /// Where the record with the id is.
    pub(crate) fn address(&self, id: &impl ModelId) -> Result<Address> {
        let mut key = self.keys.records(40);
        let id_at = key.len();
        id.encode(self.schema, &mut key)?;
        id::check_length(self.schema, &key[id_at..])?;
        Ok(Address { key, id_at })
    }

    /// Makes a call. One round trip; two more at the first record of a model.
    pub(crate) async fn run(&self, db: &Db, script: &Script, call: &Call) -> Result<Vec<Value>> {
        let Call { command, write } = call;
        db.may_write(&self.keys).await.map_err(|error| self.failure(write, error))?;
        for _ in 0..DESCRIPTIONS {
            let answer = Answer::of(script.run(db, command).await.map_err(|error| self.failure(write, error))?);
            if !answer.wants_description() {
                return self.done(write, answer);
            }
            self.describe(db).await?;
        }
        Err(self.refusal(Some(write), "describe", &[]))
    }

    /// Makes many calls of one script in one pipeline. One result for each; an error if the connection failed.
    pub(crate) async fn run_many(&self, db: &Db, script: &Script, calls: Vec<Call>) -> Result<Vec<Result<Vec<Value>>>> {
        let (commands, writes): (Vec<_>, Vec<_>) = calls.into_iter().map(|call| (call.command, call.write)).unzip();
        let Some(first) = writes.first() else { return Ok(Vec::new()) };
        db.may_write(&self.keys).await.map_err(|error| self.failure(first, error))?;
        let replies = script.run_many(db, &pipeline(commands)).await.map_err(|error| self.failure(first, error))?;
        let results = writes.iter().zip(replies).map(|(write, reply)| match reply {
            Ok(reply) => self.done(write, Answer::of(reply)),
            Err(error) => Err(self.failure(write, error)),
        });
        Ok(results.collect())
    }

    /// Makes many calls of a script that answers for several records each, in one pipeline. One result for each of `writes`, of which
    /// each call has so many as it has keys; an error if the connection failed.
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
        let mut replies = script.run_many(db, &calls).await.map_err(|error| self.failure(first, error))?;
        for _ in 0..DESCRIPTIONS {
            // A call that is refused so has written nothing for any of its records.
            let again: Vec<usize> =
                (0..replies.len()).filter(|&at| replies[at].as_ref().is_ok_and(wants_description)).collect();
            if again.is_empty() {
                break;
            }
            self.describe(db).await?;
            let calls = calls.cmd_iter().enumerate().filter(|(at, _)| again.binary_search(at).is_ok());
            let calls = pipeline(calls.map(|(_, call)| call.clone()).collect());
            let second = script.run_many(db, &calls).await.map_err(|error| self.failure(first, error))?;
            for (at, reply) in again.into_iter().zip(second) {
                replies[at] = reply;
            }
        }
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
                        Answer::Refused(word, details) if word == "failed" => {
                            let error = raised(&details.concat());
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

    /// Stores the schema of a model that has no records yet.
    pub(crate) async fn describe(&self, db: &Db) -> Result<()> {
        let mut command = DESCRIBE.call(self.keys.meta().as_bytes());
        command.arg(&self.schema.fingerprint).arg(&self.schema.description);
        // If another program was first, the write itself says so.
        DESCRIBE.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    fn done(&self, write: &Write, answer: Answer) -> Result<Vec<Value>> {
        match answer {
            Answer::Done(values) => Ok(values),
            Answer::Refused(word, details) => Err(self.refusal(Some(write), &word, &details)),
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

    /// Turns a script's refusal into an error.
    pub(crate) fn refusal(&self, write: Option<&Write>, word: &str, details: &[Vec<u8>]) -> Error {
        let model = self.schema.name();
        let detail = |at: usize| details.get(at).map(Vec::as_slice).unwrap_or_default();
        let text = |at: usize| String::from_utf8_lossy(detail(at)).into_owned();
        let named = self.schema.columns().iter().find(|column| column.name().as_bytes() == detail(0));
        let column = named.map_or("", ColumnSchema::name);
        let key = || write.map_or_else(|| self.keys.prefix.clone(), |write| printable(&write.key));
        let bad_data = |reason: String| Error::BadData { model, column, reason };
        match word {
            "exists" => Error::AlreadyExists { model, key: key() },
            "missing" => Error::NotFound { model, key: key() },
            "duplicate" => Error::Duplicate { model, column, value: Excerpt(detail(1)).to_string() },
            "conflict" => Error::Conflict {
                model,
                key: key(),
                expected: String::from_utf8_lossy(
                    write.and_then(|write| write.expected.as_deref()).unwrap_or_default(),
                )
                .into_owned(),
                stored: Some(text(0)).filter(|stored| !stored.is_empty()),
            },
            "assigned" => bad_data(format!(
                "Redis assigns the number, and {} is not the one of this record. Leave it 0 in a new record, and unchanged in one that was \
                 loaded",
                text(1)
            )),
            "overflow" => {
                let bounds = named.map_or(("", ""), |column| column.bounds);
                let or = |at, bound: &str| if details.len() > at { text(at).into() } else { bound.into() };
                let (stored, least, greatest) = (or(1, ""), or(2, bounds.0), or(3, bounds.1));
                Error::OutOfRange { model, column, key: key(), stored, least, greatest }
            }
            "lacks" => Error::MissingColumn { model, column, key: key() },
            "number" => Error::Corrupt {
                model,
                column: Some(column),
                key: key(),
                reason: format!("{} is not an integer", Excerpt(detail(1))),
            },
            "schema" => {
                Error::Schema { model, difference: self.schema.difference(&String::from_utf8_lossy(detail(0))) }
            }
            "building" => Error::Schema {
                model,
                difference: format!(
                    "the index of {} is still being built. `{model}::migrate` builds it, and goes on where it was stopped",
                    text(0).trim_matches(':').replace(':', ", ")
                ),
            },
            "describe" => Error::Schema {
                model,
                difference: "another program changes its schema at the same time. Try again".into(),
            },
            _ => Error::Corrupt { model, column: None, key: key(), reason: format!("{word} {}", text(0)) },
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

/// Whether a call for several records was refused because the model has no records yet, and so no schema.
fn wants_description(reply: &Value) -> bool {
    let refused = |answer: &Value| matches!(answer, Value::Array(words) if matches!(&words[..], [Value::Nil, Value::BulkString(word)] if word == b"describe"));
    matches!(reply, Value::Array(answers) if answers.first().is_some_and(refused))
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
