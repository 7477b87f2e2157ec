//! Scans the keys of a model, some at a time.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::server::Db;
use crate::server::reply::{self, is_wrong_type};

/// A SCAN of the keys of a model. A key that exists from the beginning of the scan to its end is
/// returned at least once.
pub(crate) struct Scan {
    pattern: String,
    /// `None` at the end of the scan.
    cursor: Option<Vec<u8>>,
}

impl Scan {
    pub(crate) fn new(target: &Target) -> Self {
        Self { pattern: begins_with(&target.keys.prefix), cursor: Some(b"0".to_vec()) }
    }

    /// The next keys, possibly none; `None` at the end of the scan. One round trip.
    pub(crate) async fn next(&mut self, db: &Db) -> Result<Option<Vec<Vec<u8>>>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(500);
        let mut reply = match db.send(&command).await? {
            Value::Array(reply) => reply.into_iter(),
            _ => Vec::new().into_iter(),
        };
        self.cursor = reply.next().map(reply::bytes).filter(|cursor| cursor != b"0");
        Ok(Some(match reply.next() {
            Some(Value::Array(keys)) => keys.into_iter().map(reply::bytes).collect(),
            _ => Vec::new(),
        }))
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
pub(super) async fn members(db: &Db, scan: &str, key: &str) -> Result<Vec<Vec<u8>>> {
    let (mut members, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        let mut command = redis::cmd(scan);
        command.arg(key).arg(&cursor).arg("COUNT").arg(100);
        let mut reply = match db.send(&command).await {
            Ok(Value::Array(reply)) => reply.into_iter(),
            Err(error) if !is_wrong_type(&error) => return Err(error.into()),
            _ => return Ok(members),
        };
        cursor = reply.next().map(reply::bytes).unwrap_or_default();
        if let Some(Value::Array(pairs)) = reply.next() {
            members.extend(pairs.into_iter().step_by(2).map(reply::bytes));
        }
        if cursor == b"0" {
            return Ok(members);
        }
    }
}
