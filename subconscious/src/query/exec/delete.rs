//! Deletes the records that a query finds.

use redis::Value;

use crate::error::Result;
use crate::model::schema::ModelSchema;
use crate::query::exec::hit::Hit;
use crate::query::exec::{Execution, IN_SCRIPT};
use crate::scripts::DELETE;
use crate::write::record::{self, Seen};

impl Execution {
    /// Deletes up to `rows` of the rows that follow, at most [`IN_SCRIPT`], and returns how many
    /// were deleted. Two round trips, and two more if somebody changes one of the records in
    /// between: a record is deleted only if it still matches.
    pub(crate) async fn delete(&mut self, rows: usize, left: u64) -> Result<u64> {
        // A key that is not a field never changes, so it is not compared.
        let (schema, columns) = (self.context.target.schema, self.context.columns());
        let mut todo = self.next(rows.min(IN_SCRIPT), left, Some(&columns)).await?;
        let context = &self.context;
        let mut deleted = 0;
        while !todo.is_empty() {
            // A hit without fields has lost its record.
            let seen = |hit: &Hit| seen(schema, &columns, hit.fields.as_ref()?);
            let calls = todo
                .iter()
                .filter_map(|hit| Some(record::delete_call(&context.target, hit.key.clone(), &[], None, &seen(hit)?)));
            let calls: Vec<_> = calls.collect();
            todo.retain(|hit| seen(hit).is_some());
            let replies = context.target.run_many(&context.db, &DELETE, calls).await?;
            let mut changed = Vec::new();
            for (hit, reply) in todo.into_iter().zip(replies) {
                match reply?.first() {
                    Some(Value::Int(1)) => deleted += 1,
                    Some(Value::Int(2)) => changed.push(hit),
                    _ => {}
                }
            }
            todo = context.read(changed, &columns).await?;
        }
        Ok(deleted)
    }
}

/// The row and the columns of a record as they were read; `None` if the record is gone.
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
