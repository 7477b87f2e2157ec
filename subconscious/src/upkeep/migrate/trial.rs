//! The trial before a migration changes anything: whether the new types can read the stored values,
//! and whether the values can be indexed.

use redis::{Pipeline, Value};

use super::Migration;
use crate::error::{Error, Result};
use crate::model::schema::ColumnSchema;
use crate::model::target::{Target, wrong_type_at};
use crate::query::exec::{Hit, lookup};
use crate::server::Db;
use crate::text::{Excerpt, printable};

/// Rows that are looked up at a time.
const STEP: u32 = 1000;
/// Records that are read in one pipeline. They are few, as their values may be long.
const RECORDS: usize = 100;

/// Tries the stored values of these columns in all rows. Eleven round trips for 1,000 rows.
///
/// Values that other programs write meanwhile are not tried.
pub(super) async fn try_values(
    target: &Target,
    db: &Db,
    columns: &[&ColumnSchema],
    rows: u32,
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    (migration.tried, migration.rows) = (0, u64::from(rows));
    let mut first = 0;
    while first < rows {
        let end = rows.min(first.saturating_add(STEP));
        let hits = lookup::locate(db, target, &(first..end).collect::<Vec<_>>()).await?;
        for hits in hits.chunks(RECORDS) {
            try_records(target, db, columns, hits).await?;
        }
        first = end;
        migration.tried = u64::from(end);
        progress(migration);
    }
    Ok(())
}

/// Tries the values of some records. One round trip.
async fn try_records(target: &Target, db: &Db, columns: &[&ColumnSchema], hits: &[Hit]) -> Result<()> {
    let mut pipeline = Pipeline::with_capacity(hits.len());
    for hit in hits {
        pipeline.cmd("HMGET").arg(&hit.key).arg("#");
        for column in columns {
            pipeline.arg(column.name());
        }
    }
    for (hit, reply) in hits.iter().zip(db.send_all(&pipeline).await?) {
        let reply = reply.map_err(|error| wrong_type_at(target.schema, &hit.key, error))?;
        let Value::Array(fields) = reply else { return Err(target.unexpected(&reply)) };
        // Otherwise the row is free, and the record was deleted or has another row by now.
        let row = hit.row.to_string();
        if !matches!(fields.first(), Some(Value::BulkString(stored)) if *stored == row.as_bytes()) {
            continue;
        }
        for (column, value) in columns.iter().zip(&fields[1..]) {
            let value = if let Value::BulkString(value) = value { Some(&value[..]) } else { None };
            try_value(target, column, &hit.key, value)?;
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
