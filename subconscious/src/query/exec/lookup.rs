//! Finds the records and scores of rows, by plain commands.

use redis::Value;

use crate::error::Result;
use crate::model::id;
use crate::model::target::Target;
use crate::query::exec::hit::Hit;
use crate::query::exec::rows::{CHUNK, DIRECTORY};
use crate::server::Db;
use crate::server::reply;

/// Greatest distance between two rows whose entries in the row directory are read by one command.
const NEAR: u32 = 16;

/// Finds which records have the rows, in the order of `rows`. One round trip. A row may have got
/// another record since it was found.
pub(crate) async fn locate(db: &Db, target: &Target, rows: &[u32]) -> Result<Vec<Hit>> {
    let Target { schema, keys, .. } = target;
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let mut pipeline = redis::Pipeline::with_capacity(rows.len());
    let spans: Vec<&[u32]> = if schema.id_width > 0 {
        sorted.chunk_by(|one, next| next - one <= NEAR && one / DIRECTORY == next / DIRECTORY).collect()
    } else {
        sorted.chunk_by(|one, next| one / CHUNK == next / CHUNK).collect()
    };
    for span in &spans {
        let (first, last) = (span[0], span[span.len() - 1]);
        if schema.id_width > 0 {
            let at = |row: u32| (row % DIRECTORY) as usize * schema.id_width;
            let key = keys.entries(first / DIRECTORY);
            pipeline.cmd("GETRANGE").arg(key).arg(at(first)).arg(at(last) + schema.id_width - 1);
        } else {
            pipeline.cmd("HMGET").arg(keys.directory(first / CHUNK));
            for row in *span {
                pipeline.arg(row % CHUNK);
            }
        }
    }
    // In the order of `sorted`.
    let mut entries: Vec<Option<Vec<u8>>> = Vec::with_capacity(sorted.len());
    for (span, reply) in spans.into_iter().zip(db.send_all(&pipeline).await?) {
        let end = entries.len() + span.len();
        match reply.map_err(|error| target.wrong_type(error))? {
            // The row directory may end before these rows.
            Value::BulkString(bytes) => entries.extend(span.iter().map(|row| {
                let at = (row - span[0]) as usize * schema.id_width;
                bytes.get(at..at + schema.id_width).map(<[u8]>::to_vec)
            })),
            Value::Array(ids) => {
                entries.extend(ids.into_iter().map(|id| if let Value::BulkString(id) = id { Some(id) } else { None }));
            }
            Value::Nil => {}
            other => return Err(target.unexpected(&other)),
        }
        entries.resize(end, None);
    }
    let hit = |row: &u32| {
        let stored = entries[sorted.binary_search(row).ok()?].take()?;
        let id = id::from_directory(schema, stored)?;
        let key = keys.record(&id);
        Some(Hit { row: *row, id, key, fields: None })
    };
    Ok(rows.iter().filter_map(hit).collect())
}

/// The stored values of a column of few values, in the order of their ordinals. One round trip.
pub(super) async fn values(db: &Db, target: &Target, column: usize) -> Result<Vec<Value>> {
    let mut command = redis::cmd("ZRANGE");
    command.arg(target.keys.values(target.schema.columns()[column].name())).arg(0).arg(-1);
    match db.send(&command).await.map_err(|error| target.wrong_type(error))? {
        Value::Array(values) => Ok(values),
        other => Err(target.unexpected(&other)),
    }
}

/// The scores of rows in a column's sorted set; `None` if the column is null, or if the member is
/// more than the row alone. One round trip.
pub(super) async fn scores(db: &Db, target: &Target, column: usize, rows: &[u32]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut command = redis::cmd("ZMSCORE");
    command.arg(target.keys.sorted(target.schema.columns()[column].name()));
    for row in rows {
        command.arg(&row.to_be_bytes());
    }
    let reply = db.send(&command).await.map_err(|error| target.wrong_type(error))?;
    let Value::Array(scores) = reply else { return Err(target.unexpected(&reply)) };
    let score = |score: Value| if score == Value::Nil { None } else { Some(reply::bytes(score)) };
    Ok(scores.into_iter().map(score).collect())
}
