//! Scans the keys of a model, some at a time.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::server::Db;
use crate::server::reply;

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
