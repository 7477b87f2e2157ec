//! The scripts: one typed function for each `.lua` file.
//!
//! A call is one EVALSHA. Where the server does not know the script, as after a restart, a failover or SCRIPT FLUSH, it is loaded
//! and the call made again: a script that was not found has done nothing.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, RedisError, ServerErrorKind, Value};

use crate::db::Db;
use crate::error::{Error, Result};

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
            .replace("-- include index.lua\n", include_str!("scripts/index.lua"))
            .replace("-- include apply.lua\n", include_str!("scripts/apply.lua"));
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    /// A call with one key, as a command. Arguments are added to it.
    pub(crate) fn call(&self, key: &[u8]) -> Cmd {
        let mut call = Cmd::new();
        call.arg("EVALSHA").arg(&self.hash).arg(1).arg(key);
        call
    }

    async fn load(&self, db: &Db) -> Result<(), RedisError> {
        db.send(redis::cmd("SCRIPT").arg("LOAD").arg(&self.text)).await.map(drop)
    }

    /// Makes a call that [`Script::call`] began.
    pub(crate) async fn run(&self, db: &Db, call: &Cmd) -> Result<Value, RedisError> {
        match db.send(call).await {
            Err(error) if is_unknown(&error) => {
                self.load(db).await?;
                db.send(call).await
            }
            reply => reply,
        }
    }

    /// Makes many calls in one pipeline, and once more those that found the script missing. One result per call.
    pub(crate) async fn run_many(
        &self,
        db: &Db,
        calls: &Pipeline,
    ) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut replies = db.send_all(calls).await?;
        let again: Vec<usize> = (0..replies.len()).filter(|&at| replies[at].as_ref().is_err_and(is_unknown)).collect();
        if !again.is_empty() {
            self.load(db).await?;
            let mut second = Pipeline::new();
            for (_, call) in calls.cmd_iter().enumerate().filter(|(at, _)| again.binary_search(at).is_ok()) {
                second.add_command(call.clone());
            }
            for (at, reply) in again.into_iter().zip(db.send_all(&second).await?) {
                replies[at] = reply;
            }
        }
        Ok(replies)
    }
}

fn is_unknown(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

const ROWS: &str = include_str!("scripts/rows.lua");
const FILTER: &str = include_str!("scripts/filter.lua");

pub(crate) static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(&[ROWS, include_str!("scripts/save.lua")]));
pub(crate) static DELETE: LazyLock<Script> = LazyLock::new(|| Script::new(&[ROWS, include_str!("scripts/delete.lua")]));
pub(crate) static QUERY: LazyLock<Script> =
    LazyLock::new(|| Script::new(&[ROWS, FILTER, include_str!("scripts/query.lua")]));

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

/// A reply's bytes; numbers as decimal text.
pub(crate) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::Int(number) => number.to_string().into_bytes(),
        Value::SimpleString(text) => text.into_bytes(),
        _ => Vec::new(),
    }
}

/// Turns a script's refusal that any script can give into an error.
pub(crate) fn refusal(model: &'static str, prefix: &str, ours: &str, word: &str, details: &[Vec<u8>]) -> Error {
    let detail =
        |at: usize| details.get(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    match word {
        "schema" => Error::Schema { model, stored: detail(0), ours: ours.to_owned() },
        _ => Error::Corrupt { model, column: None, key: prefix.to_owned(), reason: format!("{word} {}", detail(0)) },
    }
}

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;
