//! The trial before a migration changes anything: whether the new types can read the stored values,
//! and whether the values can be indexed.

use std::collections::{HashMap, HashSet};

use redis::{Pipeline, Value};

use super::Migration;
use crate::error::{Error, Result};
use crate::model::schema::{ColumnSchema, fnv};
use crate::model::target::{Target, wrong_type_at};
use crate::query::exec::{Hit, lookup};
use crate::server::Db;
use crate::text::{Excerpt, printable};
use crate::value::index_form;

/// Rows that are looked up at a time.
const STEP: u32 = 1000;
/// Records that are read in one pipeline. They are few, as their values may be long.
const RECORDS: usize = 100;

/// A column whose stored values are tried.
pub(super) struct Trial<'a> {
    pub(super) column: &'a ColumnSchema,
    /// Whether no two records may have the same value.
    pub(super) unique: bool,
    /// The value that records without the column get.
    pub(super) default: Option<Vec<u8>>,
}

impl Trial<'_> {
    /// The value that a record will have; `None` for null.
    fn value<'a>(&'a self, field: &'a Value) -> Option<&'a [u8]> {
        match field {
            Value::BulkString(stored) => Some(stored),
            _ => self.default.as_deref(),
        }
    }
}

/// What was found so far.
struct Found {
    /// For each column that is to be unique: hashes of its values.
    values: Vec<HashSet<u64>>,
    /// Values whose hashes were met before, with the number of the column: the keys of the records
    /// that have them.
    again: HashMap<(usize, Vec<u8>), Vec<String>>,
}

/// Tries the stored values of these columns in all rows. Eleven round trips for 1,000 rows. Unique
/// columns take 8 to 16 bytes of memory for each row, and as many round trips again if two hashes
/// of 64 bits are equal.
///
/// Values that other programs write meanwhile are not tried.
pub(super) async fn try_values(
    target: &Target,
    db: &Db,
    columns: &[Trial<'_>],
    rows: u32,
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let mut found = Found { values: columns.iter().map(|_| HashSet::new()).collect(), again: HashMap::new() };
    each_record(target, db, columns, rows, migration, progress, &mut |hit, values| {
        for (number, (trial, value)) in columns.iter().zip(values).enumerate() {
            let stored = trial.value(value);
            try_value(target, trial.column, &hit.key, stored)?;
            if let (true, Some(stored)) = (trial.unique, stored) {
                let form = index_form(trial.column.kind, stored);
                if !found.values[number].insert(fnv(form)) {
                    found.again.insert((number, form.to_vec()), Vec::new());
                }
            }
        }
        Ok(())
    })
    .await?;
    if found.again.is_empty() {
        return Ok(());
    }
    each_record(target, db, columns, rows, migration, progress, &mut |hit, values| {
        for (number, (trial, value)) in columns.iter().zip(values).enumerate() {
            let (true, Some(stored)) = (trial.unique, trial.value(value)) else { continue };
            let form = index_form(trial.column.kind, stored);
            let Some(owners) = found.again.get_mut(&(number, form.to_vec())) else { continue };
            owners.push(printable(&hit.key));
            if owners.len() > 1 {
                let (model, column) = (target.program.name(), trial.column.name());
                let (value, records) = (Excerpt(stored).to_string(), std::mem::take(owners));
                return Err(Error::Duplicate { model, column, value, records });
            }
        }
        Ok(())
    })
    .await
}

/// Calls a function for each record, with the values of these columns.
async fn each_record(
    target: &Target,
    db: &Db,
    columns: &[Trial<'_>],
    rows: u32,
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
    call: &mut (dyn FnMut(&Hit, &[Value]) -> Result<()> + Send),
) -> Result<()> {
    (migration.tried, migration.rows) = (0, u64::from(rows));
    let mut first = 0;
    while first < rows {
        let end = rows.min(first.saturating_add(STEP));
        let hits = lookup::locate(db, target, &(first..end).collect::<Vec<_>>()).await?;
        for hits in hits.chunks(RECORDS) {
            read_records(target, db, columns, hits, call).await?;
        }
        first = end;
        migration.tried = u64::from(end);
        progress(migration);
    }
    Ok(())
}

/// Reads some records. One round trip.
async fn read_records(
    target: &Target,
    db: &Db,
    columns: &[Trial<'_>],
    hits: &[Hit],
    call: &mut (dyn FnMut(&Hit, &[Value]) -> Result<()> + Send),
) -> Result<()> {
    let mut pipeline = Pipeline::with_capacity(hits.len());
    for hit in hits {
        pipeline.cmd("HMGET").arg(&hit.key).arg("#");
        for trial in columns {
            pipeline.arg(trial.column.name());
        }
    }
    for (hit, reply) in hits.iter().zip(db.send_all(&pipeline).await?) {
        let reply = reply.map_err(|error| wrong_type_at(target.schema, &hit.key, error))?;
        let Value::Array(fields) = reply else { return Err(target.unexpected(&reply)) };
        // Otherwise the row is free, and the record was deleted or has another row by now.
        let row = hit.row.to_string();
        if matches!(fields.first(), Some(Value::BulkString(stored)) if *stored == row.as_bytes()) {
            call(hit, &fields[1..])?;
        }
    }
    Ok(())
}

/// Refuses a stored value that the column's type can't read or its index can't hold.
fn try_value(target: &Target, column: &ColumnSchema, key: &[u8], value: Option<&[u8]>) -> Result<()> {
    let (model, name) = (target.schema.name(), column.name());
    let Some(value) = value else {
        if column.is_nullable() || column.default.is_some() {
            return Ok(());
        }
        return Err(Error::MissingColumn { model, column: name, key: printable(key) });
    };
    column.try_read(value).map_err(|reason| Error::Corrupt {
        model,
        column: Some(name),
        key: printable(key),
        // Some reasons do not name the value.
        reason: format!(
            "nothing was migrated, as the stored value {} can't be read as {}: {reason}",
            Excerpt(value),
            column.type_text()
        ),
    })?;
    column.try_index(value).map_err(|reason| Error::BadData {
        model,
        column: name,
        reason: format!("{reason} in the record {} with the older program, and migrate again", printable(key)),
    })
}
