//! Scans the keys of a model, some at a time.

use std::mem;
use std::sync::Arc;

use redis::{Cmd, RedisError, Value};

use crate::error::Result;
use crate::model::target::Target;
use crate::server::Db;
use crate::server::cluster::Node;
use crate::server::reply::{self, is_wrong_type};

/// Where a scan is. A cursor belongs to one server, so all calls of a scan go to the same node of a
/// cluster. If the slot leaves that node, the scan starts again at the node that has it then.
struct Place {
    /// A key of the same slot that never exists.
    guard: String,
    node: Option<Arc<Node>>,
    /// `None` at the end of the scan.
    cursor: Option<Vec<u8>>,
}

impl Place {
    fn start(guard: String) -> Self {
        Self { guard, node: None, cursor: Some(b"0".to_vec()) }
    }

    fn is_at_start(&self) -> bool {
        self.cursor.as_deref() == Some(b"0")
    }

    /// The next items, possibly none; `None` at the end of the scan. `command` makes the command
    /// with a cursor.
    async fn next(&mut self, db: &Db, command: impl Fn(&[u8]) -> Cmd) -> Result<Option<Vec<Value>>, RedisError> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let command = command(cursor);
        if self.node.is_none() {
            self.node = db.place(self.guard.as_bytes()).await?;
        }
        let reply = match &self.node {
            Some(node) => node.send_at(&command, self.guard.as_bytes()).await?,
            None => Some(db.send(&command).await?),
        };
        let Some(reply) = reply else {
            *self = Self::start(mem::take(&mut self.guard));
            // A script waits until the slot has moved.
            db.send(redis::cmd("EVAL").arg("return 1").arg(1).arg(&self.guard)).await?;
            return Ok(Some(Vec::new()));
        };
        let mut reply = match reply {
            Value::Array(reply) => reply.into_iter(),
            _ => Vec::new().into_iter(),
        };
        self.cursor = reply.next().map(reply::bytes).filter(|cursor| cursor != b"0");
        Ok(Some(match reply.next() {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }))
    }
}

/// A SCAN of the keys of a model. A key that exists from the beginning of the scan to its end is
/// returned at least once.
pub(crate) struct Scan {
    pattern: String,
    place: Place,
}

impl Scan {
    pub(crate) fn new(target: &Target) -> Self {
        Self { pattern: begins_with(&target.keys.prefix), place: Place::start(target.keys.temporary()) }
    }

    /// The next keys, possibly none; `None` at the end of the scan. One round trip.
    pub(crate) async fn next(&mut self, db: &Db) -> Result<Option<Vec<Vec<u8>>>> {
        let pattern = &self.pattern;
        let command = |cursor: &[u8]| {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(500);
            command
        };
        let keys = self.place.next(db, command).await?;
        Ok(keys.map(|keys| keys.into_iter().map(reply::bytes).collect()))
    }
}

/// A SCAN pattern that matches the keys that begin with the text.
fn begins_with(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern + "*"
}

/// The fields of a hash, or the members of a sorted set. None if the key holds another type,
/// which a script reports.
pub(super) async fn members(db: &Db, target: &Target, scan: &str, key: &str) -> Result<Vec<Vec<u8>>> {
    let command = |cursor: &[u8]| {
        let mut command = redis::cmd(scan);
        command.arg(key).arg(cursor).arg("COUNT").arg(100);
        command
    };
    let mut place = Place::start(target.keys.temporary());
    let mut members = Vec::new();
    loop {
        match place.next(db, command).await {
            Ok(Some(_)) if place.is_at_start() => members.clear(),
            Ok(Some(pairs)) => members.extend(pairs.into_iter().step_by(2).map(reply::bytes)),
            Err(error) if !is_wrong_type(&error) => return Err(error.into()),
            Ok(None) | Err(_) => return Ok(members),
        }
    }
}
