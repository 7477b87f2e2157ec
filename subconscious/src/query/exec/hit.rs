//! A row that was found, and its record.

use redis::Value;

/// A row that matches.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) row: u32,
    /// The id's text.
    pub(crate) id: Vec<u8>,
    /// The key of the record's hash.
    pub(crate) key: Vec<u8>,
    /// If they were asked for: the record's row and its fields, as `HMGET` reads them.
    pub(crate) fields: Option<Value>,
}
