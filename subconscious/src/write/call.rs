//! Calls scripts that write records, and interprets their answers.

use redis::{Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::model::registration::Wanted;
use crate::model::target::Target;
use crate::scripts::Script;
use crate::server::Db;
use crate::server::reply::{Answer, Refusal, is_wrong_type, raised};

/// One call of a script for one record.
pub(crate) struct Call {
    pub(crate) command: Cmd,
    pub(crate) write: Write,
}

/// What a call does to one record, for error messages.
pub(crate) struct Write {
    /// The key of the record.
    pub(crate) key: Vec<u8>,
    /// The verb.
    pub(crate) operation: &'static str,
    /// Whether the call is harmless when it is made twice.
    pub(crate) repeatable: bool,
    /// The version that the caller has.
    pub(crate) expected: Option<Vec<u8>>,
}

/// How often a call is made until the schema is stored and the program is registered. It takes many
/// attempts only if other programs change these in between.
const ATTEMPTS: usize = 8;

impl Target {
    /// Makes a call. One round trip. Two more for the first record of a model, and for the first
    /// call of a program with other columns.
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

    /// Makes many calls of one script in one pipeline. Returns one result for each call, or an
    /// error if the connection failed.
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

    /// Makes many calls, in one pipeline, of a script that answers for several records. One call
    /// covers as many of the `writes` as it has keys. Returns one result for each write, or an
    /// error if the connection failed.
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
        // A call that is refused in this way for its first record has written none of its records.
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

    /// Makes calls of one script. If calls were refused because something is missing, provides it
    /// and repeats these calls.
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
                // The answer to each of these calls reports the difference itself.
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
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}
