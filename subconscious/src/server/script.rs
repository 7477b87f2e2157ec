//! Calls of scripts.
//!
//! A call is one EVALSHA. If the server does not know the script (after a restart, a failover or
//! SCRIPT FLUSH), the call is repeated by EVAL with the text of the script, so that the script
//! can't be missing again. This is safe: a script that was not found has done nothing.

use redis::{Cmd, Pipeline, RedisError, Value};

use crate::scripts::{Script, key_of, rights};
use crate::server::Db;
use crate::server::reply::{REFUSED, is_unknown, lacking, lacks_rights};

impl Script {
    /// Makes a call that [`Script::call`] began.
    pub(crate) async fn run(&self, db: &Db, call: &Cmd) -> Result<Value, RedisError> {
        let reply = match db.send(call).await {
            Err(error) if is_unknown(&error) => db.send(&self.whole(call)).await,
            reply => reply,
        };
        match reply {
            Err(error) => Err(self.named(db, key_of(call), error).await),
            reply => reply,
        }
    }

    /// Redis 7.0 does not name the command that a script was refused. Such an error is replaced by
    /// one that names the commands that the user may not run, at the cost of one round trip. Other
    /// errors stay as they are. `key` is a key that the script was called on.
    pub(crate) async fn named(&self, db: &Db, key: &[u8], error: RedisError) -> RedisError {
        if !error.detail().is_some_and(|detail| detail.contains(REFUSED)) {
            return error;
        }
        // The text is sent at once, as this case is rare.
        let missing = db.send(&rights(&[self], key)).await;
        missing.ok().and_then(lacking).unwrap_or(error)
    }

    /// Makes many calls in one pipeline, and repeats those that found the script missing. Returns
    /// one result for each call.
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
            // The first call makes the script known to the others, so each round leaves at least
            // one call less.
            let mut second = Pipeline::with_capacity(again.len());
            for (_, call) in calls {
                second.add_command(if second.is_empty() { self.whole(call) } else { call.clone() });
            }
            for (at, reply) in again.into_iter().zip(db.send_all(&second).await?) {
                replies[at] = reply;
            }
        }
        for (reply, call) in replies.iter_mut().zip(calls.cmd_iter()) {
            if let Err(error) = reply {
                *error = self.named(db, key_of(call), error.clone()).await;
            }
        }
        Ok(replies)
    }
}

/// Makes two calls of different scripts in one pipeline, and returns the reply of the second. If
/// one of the scripts was not known, both calls are repeated. So the first call must be harmless
/// when it is made twice.
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
            // The first call is optional: without the right to make it, the second still runs. If
            // the second depends on the first, it says so.
            Err(error) if lacks_rights(&error) => {}
            one => drop(one?),
        }
        return match two {
            Err(error) => Err(second.0.named(db, key_of(second.1), error).await),
            two => two,
        };
    }
}
