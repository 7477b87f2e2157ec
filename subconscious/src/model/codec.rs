//! Encodes records as the fields of a hash, and decodes them.

use std::ops::Range;

use redis::Value;

use crate::error::{Error, Result};
use crate::model::id;
use crate::model::schema::ModelSchema;
use crate::text::printable;
use crate::value::{ColumnType, ColumnValue, DefaultValue, ValueError};

/// Collects the columns of a record in their stored forms. The derive generates the calls.
#[derive(Debug)]
pub struct RecordWriter {
    pub(crate) schema: &'static ModelSchema,
    /// The stored forms of all columns so far, one after the other.
    bytes: Vec<u8>,
    /// For each column so far: its range in `bytes`, or `None` for null, and its ordinal.
    values: Vec<(Option<Range<usize>>, u16)>,
}

impl RecordWriter {
    pub(crate) fn new(schema: &'static ModelSchema) -> Self {
        Self { schema, bytes: Vec::with_capacity(128), values: Vec::with_capacity(schema.columns().len()) }
    }

    /// Adds the next column.
    ///
    /// # Errors
    ///
    /// [`Error::BadData`] if the value has no stored form, or is too long for the column's index.
    pub fn column<T: ColumnType>(&mut self, value: &T) -> Result<()> {
        let column = &self.schema.columns()[self.values.len()];
        let Some(value) = value.value() else {
            self.values.push((None, 0));
            return Ok(());
        };
        let begin = self.bytes.len();
        let bad_data = |reason| Error::bad_data(self.schema.name(), column.name(), reason);
        value.encode(&mut self.bytes).map_err(bad_data)?;
        if column.is_indexed() {
            column.kind.check_indexed(&self.bytes[begin..]).map_err(bad_data)?;
        }
        self.values.push((Some(begin..self.bytes.len()), value.ordinal()));
        Ok(())
    }

    /// The stored form of the column at the position, `None` for null.
    pub(crate) fn value(&self, at: usize) -> Option<&[u8]> {
        self.values[at].0.clone().map(|range| &self.bytes[range])
    }

    /// The ordinal of the value of the column at the position.
    pub(crate) fn ordinal(&self, at: usize) -> u16 {
        self.values[at].1
    }

    /// Sets the column at the position to the value, if it is null.
    pub(crate) fn fill(&mut self, at: usize, stored: &[u8]) {
        if self.values[at].0.is_none() {
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(stored);
            self.values[at].0 = Some(begin..self.bytes.len());
        }
    }

    /// The number of bytes of all values.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The text of the record's id.
    pub(crate) fn id(&self) -> Result<Vec<u8>> {
        let text = match self.schema.key[..] {
            [only] => self.value(only).unwrap_or_default().to_vec(),
            _ => {
                let parts: Vec<&[u8]> = self.schema.key.iter().map(|&at| self.value(at).unwrap_or_default()).collect();
                id::text(&parts)
            }
        };
        id::check_length(self.schema, &text)?;
        Ok(text)
    }
}

/// Reads the columns of a stored record in declared order. The derive generates the calls.
#[derive(Debug)]
pub struct RecordReader<'a> {
    schema: &'static ModelSchema,
    /// The columns to read, as positions.
    columns: &'a [usize],
    next: usize,
    /// The text of the id, which is also the value of a key of one column; `None` if the values are
    /// not those of a record.
    id: Option<&'a [u8]>,
    values: std::vec::IntoIter<Value>,
    key: &'a [u8],
}

impl<'a> RecordReader<'a> {
    /// Reads a record from the values of its fields, in the order of `schema.stored`.
    pub(crate) fn record(
        schema: &'static ModelSchema,
        key: &'a [u8],
        id: &'a [u8],
        fields: std::vec::IntoIter<Value>,
    ) -> Self {
        Self::some(schema, &schema.all, key, id, fields)
    }

    /// Reads the values that Redis assigned, in the order of `schema.automatic`.
    pub(crate) fn automatic(schema: &'static ModelSchema, key: &'a [u8], values: std::vec::IntoIter<Value>) -> Self {
        Self::values(schema, &schema.automatic, key, values)
    }

    /// Reads values of these columns that do not belong to one record; `key` is the key that they
    /// are from.
    pub(crate) fn values(
        schema: &'static ModelSchema,
        columns: &'a [usize],
        key: &'a [u8],
        values: std::vec::IntoIter<Value>,
    ) -> Self {
        Self { schema, columns, next: 0, id: None, values, key }
    }

    /// Reads some columns of a record, from the values of those columns that are stored as fields.
    pub(crate) fn some(
        schema: &'static ModelSchema,
        columns: &'a [usize],
        key: &'a [u8],
        id: &'a [u8],
        fields: std::vec::IntoIter<Value>,
    ) -> Self {
        Self { id: Some(id), ..Self::values(schema, columns, key, fields) }
    }

    /// The next column. If the record was stored without it, this is the column's default, or 0 if
    /// Redis fills the column.
    ///
    /// # Errors
    ///
    /// [`Error::MissingColumn`] if there is no such field, and the column is neither nullable nor
    /// has a default; [`Error::Corrupt`] if the field is not the stored form of the column's type.
    pub fn column<T: ColumnType>(&mut self) -> Result<T> {
        let (at, value) = self.next_value::<T::Value>()?;
        let column = &self.schema.columns()[at];
        let value = value.or_else(|| T::Value::decode(&column.default?()?).ok());
        T::from_value(value).ok_or_else(|| Error::MissingColumn {
            model: self.schema.name(),
            column: column.name(),
            key: printable(self.key),
        })
    }

    /// The next column, or the default if the record was stored without it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the field is not the stored form of the column's type.
    pub fn column_or<T: DefaultValue>(&mut self, default: impl FnOnce() -> T) -> Result<T> {
        Ok(self.next_value::<T>()?.1.unwrap_or_else(default))
    }

    fn next_value<T: ColumnValue>(&mut self) -> Result<(usize, Option<T>)> {
        let at = self.columns[self.next];
        self.next += 1;
        let column = &self.schema.columns()[at];
        let corrupt = |reason: ValueError| Error::Corrupt {
            model: self.schema.name(),
            column: Some(column.name()),
            key: printable(self.key),
            reason: reason.to_string(),
        };
        // A key of one column is read from the id. The column may also be stored as a field, but a
        // record that is older than the column's index does not have that field yet.
        if let Some(id) = self.id.filter(|_| self.schema.key == [at]) {
            if column.is_stored() {
                self.values.next();
            }
            return Ok((at, Some(T::decode(id).map_err(corrupt)?)));
        }
        let value = match self.values.next() {
            None | Some(Value::Nil) => None,
            Some(Value::BulkString(stored)) => Some(T::decode_owned(stored).map_err(corrupt)?),
            Some(other) => return Err(corrupt(ValueError::new(format!("the server answered {other:?}")))),
        };
        Ok((at, value))
    }
}

/// The stored form of a column's value, if it has one.
pub fn stored<T: ColumnType>(column: T) -> Option<Vec<u8>> {
    let mut stored = Vec::new();
    column.value()?.encode(&mut stored).ok().map(|()| stored)
}
