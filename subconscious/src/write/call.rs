//! Calls scripts that write records, and interprets their answers.

use std::borrow::Cow;

use redis::{Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::model::registration::refused;
use crate::model::schema::ModelSchema;
use crate::model::stored::StoredSchema;
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
#[derive(Clone, Default)]
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

/// How often a call is made until the program knows the stored schema. It takes many attempts only
/// if other programs change it in between.
const ATTEMPTS: usize = 8;

/// Calls that were made in one pipeline, each with the numbers of its records.
struct Replies<'a> {
    /// The target with the schema that the last calls were made for.
    target: Cow<'a, Target>,
    replies: Vec<(Vec<usize>, Result<Value, RedisError>)>,
    /// Records for which there was no call, or whose calls were refused, and why.
    refused: Vec<(usize, Error)>,
}

impl Target {
    /// Makes a call. One round trip. Two more for the first record of a model, and for the first
    /// call of a program whose schema is not the stored one: the call is built again, for that.
    pub(crate) async fn run(
        &self,
        db: &Db,
        script: &Script,
        build: impl Fn(&Self) -> Result<Call>,
    ) -> Result<Vec<Value>> {
        self.run_known(db, script, build).await.map(|(_, values)| values)
    }

    /// Does what [`run`](Self::run) does, and also returns the schema that the call was built for.
    pub(crate) async fn run_known(
        &self,
        db: &Db,
        script: &Script,
        build: impl Fn(&Self) -> Result<Call>,
    ) -> Result<(&'static ModelSchema, Vec<Value>)> {
        let (mut target, mut may_write) = (Cow::Borrowed(self), false);
        for _ in 0..ATTEMPTS {
            let Call { command, write } = match build(&target) {
                Ok(call) => call,
                Err(error) => match target.newer(db).await? {
                    Some(newer) => {
                        target = Cow::Owned(newer);
                        continue;
                    }
                    None => return Err(error),
                },
            };
            if !may_write {
                db.may_write(&self.keys).await.map_err(|error| self.failure(&write, error))?;
                may_write = true;
            }
            let reply = script.run(db, &command).await.map_err(|error| self.failure(&write, error))?;
            match refused(&reply) {
                Some(stored) => target = Cow::Owned(target.learn(db, stored).await?),
                None => return target.done(&write, Answer::of(reply)).map(|values| (target.schema, values)),
            }
        }
        Err(self.changing())
    }

    /// Makes a call for each of `count` records in one pipeline. `build` makes that for the record
    /// with a number. Returns one result for each record, or an error if the connection failed.
    pub(crate) async fn run_many(
        &self,
        db: &Db,
        script: &Script,
        count: usize,
        build: impl Fn(&Self, usize) -> Result<Call>,
    ) -> Result<Vec<Result<Vec<Value>>>> {
        let (mut commands, mut writes, mut out) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::new());
        let all = |target: &Self| (0..count).map(|number| build(target, number)).collect::<Vec<_>>();
        let (mut target, mut calls) = (Cow::Borrowed(self), all(self));
        if calls.iter().any(Result::is_err)
            && let Some(newer) = self.newer(db).await?
        {
            calls = all(&newer);
            target = Cow::Owned(newer);
        }
        for (number, call) in calls.into_iter().enumerate() {
            match call {
                Ok(Call { command, write }) => {
                    commands.push((vec![number], command));
                    writes.push(write);
                }
                Err(error) => {
                    out.push((number, error));
                    writes.push(Write::default());
                }
            }
        }
        let writes: Vec<&Write> = writes.iter().collect();
        let mut first = Some(commands);
        let groups = |target: &Self, numbers: &[usize]| {
            let again = |&number: &usize| match build(target, number) {
                Ok(call) => Some((vec![number], call.command)),
                Err(error) => {
                    out.push((number, error));
                    None
                }
            };
            first.take().unwrap_or_else(|| numbers.iter().filter_map(again).collect())
        };
        let Replies { target, replies, refused } =
            target.replies(db, script, &writes, |_, _| Ok(()), groups, refused).await?;
        let mut results = results(count, refused.into_iter().chain(out));
        for (numbers, reply) in replies {
            let Some(&number) = numbers.first() else { continue };
            results[number] = match reply {
                Ok(reply) => target.done(writes[number], Answer::of(reply)),
                Err(error) => Err(self.failure(writes[number], error)),
            };
        }
        Ok(results)
    }

    /// Makes calls of a script that answers for several records, in one pipeline. `check` refuses
    /// records, and `groups` makes the calls for those with these numbers, each with the numbers of
    /// its records. Returns one result for each of the `writes`, or an error if the connection
    /// failed.
    pub(crate) async fn run_groups(
        &self,
        db: &Db,
        script: &Script,
        writes: &[&Write],
        check: impl Fn(&Self, usize) -> Result<()>,
        groups: impl FnMut(&Self, &[usize]) -> Vec<(Vec<usize>, Cmd)>,
    ) -> Result<Vec<Result<Vec<Value>>>> {
        // A call that is refused in this way for one record has written none of its records.
        let of_any = |reply: &Value| match reply {
            Value::Array(answers) => answers.iter().find_map(refused),
            _ => None,
        };
        let Replies { target, replies, refused } = self.replies(db, script, writes, check, groups, of_any).await?;
        let mut results = results(writes.len(), refused);
        for (numbers, reply) in replies {
            let mut answers = match reply {
                Ok(Value::Array(answers)) => Ok(answers.into_iter()),
                Ok(other) => Ok(vec![other].into_iter()),
                Err(error) => Err(error),
            };
            for number in numbers {
                let write = writes[number];
                results[number] = match &mut answers {
                    Ok(answers) => match answers.next().map(Answer::of) {
                        Some(Answer::Refused(Refusal::Failed(error))) => {
                            let error = raised(&error);
                            Err(self.failure(write, script.named(db, &write.key, error).await))
                        }
                        Some(answer) => target.done(write, answer),
                        None => Err(target.unexpected(&"fewer answers than records")),
                    },
                    Err(error) => Err(self.failure(write, error.clone())),
                };
            }
        }
        Ok(results)
    }

    /// Makes calls of one script in a pipeline. Those that were refused because the program does
    /// not know the stored schema are built again for it, and repeated.
    async fn replies(
        &self,
        db: &Db,
        script: &Script,
        writes: &[&Write],
        check: impl Fn(&Self, usize) -> Result<()>,
        mut groups: impl FnMut(&Self, &[usize]) -> Vec<(Vec<usize>, Cmd)>,
        refused: impl Fn(&Value) -> Option<StoredSchema>,
    ) -> Result<Replies<'_>> {
        let (mut answered, mut out) = (Vec::new(), Vec::new());
        let (mut target, mut left) = (Cow::Borrowed(self), (0..writes.len()).collect::<Vec<_>>());
        let mut why = self.changing();
        for attempt in 0..ATTEMPTS {
            let checks = |target: &Self| left.iter().map(|&number| (number, check(target, number))).collect::<Vec<_>>();
            let mut checked = checks(&target);
            if checked.iter().any(|(_, checked)| checked.is_err())
                && let Some(newer) = target.newer(db).await?
            {
                checked = checks(&newer);
                target = Cow::Owned(newer);
            }
            left.clear();
            for (number, checked) in checked {
                match checked {
                    Ok(()) => left.push(number),
                    Err(error) => out.push((number, error)),
                }
            }
            let Some(first) = left.first().map(|&number| writes[number]) else { break };
            if attempt == 0 {
                db.may_write(&self.keys).await.map_err(|error| self.failure(first, error))?;
            }
            let (numbers, commands): (Vec<_>, Vec<_>) = groups(&target, &left).into_iter().unzip();
            // None is left if each was refused before it was sent.
            let replies = match commands.is_empty() {
                true => Vec::new(),
                false => {
                    let replies = script.run_many(db, &pipeline(commands)).await;
                    replies.map_err(|error| self.failure(first, error))?
                }
            };
            left.clear();
            let mut stored = None;
            for (numbers, reply) in numbers.into_iter().zip(replies) {
                match reply.as_ref().ok().and_then(&refused) {
                    Some(other) => {
                        left.extend(numbers);
                        stored = Some(other);
                    }
                    None => answered.push((numbers, reply)),
                }
            }
            let Some(stored) = stored else { break };
            match target.learn(db, stored).await {
                Ok(other) => target = Cow::Owned(other),
                Err(error @ Error::Schema { .. }) => {
                    why = error;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        out.extend(left.into_iter().map(|number| (number, why.clone())));
        Ok(Replies { target, replies: answered, refused: out })
    }

    /// The model with the schema that is stored now, for a call that can't be built for the one that
    /// was known: a value may have to fit an index of another program that is gone by now. `None`
    /// if nothing has changed. One round trip, and one more if something has.
    async fn newer(&self, db: &Db) -> Result<Option<Self>> {
        if std::ptr::eq(self.schema, self.program) {
            return Ok(None);
        }
        let stored = self.stored(db).await?;
        if stored.fingerprint == self.schema.fingerprint {
            return Ok(None);
        }
        self.learn(db, stored).await.map(Some)
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

/// A result for each of `count` records. Some were refused, and the others have no answer yet.
fn results(count: usize, refused: impl IntoIterator<Item = (usize, Error)>) -> Vec<Result<Vec<Value>>> {
    let mut results: Vec<Result<Vec<Value>>> = (0..count).map(|_| Ok(Vec::new())).collect();
    for (number, why) in refused {
        results[number] = Err(why);
    }
    results
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}
