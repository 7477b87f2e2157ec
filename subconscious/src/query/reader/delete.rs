//! Deletes what a query finds.

use redis::Value;

use crate::error::Result;
use crate::query::page::Place;
use crate::query::reader::{IN_SCRIPT, Reader};
use crate::record::{self, Seen};
use crate::schema::ModelSchema;
use crate::scripts::DELETE;

impl Reader {
    /// Deletes up to `rows` of the rows that follow, at most [`IN_SCRIPT`], and says how many. Two round trips, and two more if somebody changes one
    /// of them meanwhile: it is deleted only if it still matches.
    pub(crate) async fn delete(&mut self, rows: usize, left: u64) -> Result<u64> {
        // A key that is not a field never changes.
        let (schema, columns) = (self.target.schema, self.columns());
        let mut todo = self.next(rows.min(IN_SCRIPT), left, Some(&columns)).await?;
        let mut deleted = 0;
        while !todo.is_empty() {
            // One without fields is gone.
            let seen = |place: &Place| seen(schema, &columns, place.fields.as_ref()?);
            let calls = todo.iter().filter_map(|place| {
                Some(record::delete_call(&self.target, place.key.clone(), &[], None, &seen(place)?))
            });
            let calls: Vec<_> = calls.collect();
            todo.retain(|place| seen(place).is_some());
            let replies = self.target.run_many(&self.db, &DELETE, calls).await?;
            let mut changed = Vec::new();
            for (place, reply) in todo.into_iter().zip(replies) {
                match reply?.first() {
                    Some(Value::Int(1)) => deleted += 1,
                    Some(Value::Int(2)) => changed.push(place),
                    _ => {}
                }
            }
            todo = self.read(changed, &columns).await?;
        }
        Ok(deleted)
    }
}

/// The row and the columns of a record as they were read; `None` if it is gone.
fn seen(schema: &ModelSchema, columns: &[usize], fields: &Value) -> Option<Vec<Seen>> {
    let Value::Array(fields) = fields else { return None };
    let (Value::BulkString(row), fields) = fields.split_first()? else { return None };
    let mut seen = vec![("#", Some(row.clone()))];
    seen.extend(columns.iter().zip(fields).map(|(&at, value)| {
        let value = if let Value::BulkString(value) = value { Some(value.clone()) } else { None };
        (schema.columns()[at].name(), value)
    }));
    Some(seen)
}
