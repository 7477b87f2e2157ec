//! Changes or deletes the records that a query finds.

use redis::Value;

use crate::error::Result;
use crate::model::schema::ModelSchema;
use crate::model::target::Target;
use crate::query::exec::hit::Hit;
use crate::query::exec::{Execution, IN_SCRIPT};
use crate::scripts::{PATCH, Script};
use crate::write::call::Call;
use crate::write::patch::Patch;
use crate::write::record::Seen;

/// Records that are found at a time, if there are many.
const STEP: u64 = 500;

/// Makes a call that changes the record with this key, unless one of the seen fields has changed.
/// Its script answers 1 if it has changed the record, and 2 if one of the fields differs.
type ChangeCall<'a> = dyn Fn(&Target, &[u8], &[Seen]) -> Result<Call> + Sync + 'a;

impl Execution {
    /// Changes the records that match, `limit` at most, and returns how many were changed. Two
    /// round trips for the first 100 records. After these, one for the rows that match, two to read
    /// each 500 records, and one to change each 100 of them. There are two more if somebody changes
    /// one of the records in between: a record is changed only if it still matches.
    ///
    /// Without an order, the filter is evaluated once for each segment after the first 100 records.
    /// No record is changed twice: rows are visited in their order, and an ordered query does not
    /// deliver a row again.
    pub(crate) async fn change(&mut self, script: &Script, call: &ChangeCall<'_>, limit: u64) -> Result<u64> {
        // A key that is not a field never changes, so it is not compared.
        let (schema, columns) = (self.context.target.schema, self.context.columns());
        // So few are found and read in one round trip.
        let (mut left, mut all, mut step) = (limit, 0, IN_SCRIPT as u64);
        while left > 0 && self.position().is_some() {
            let mut found = self.next(left.min(step) as usize, left, Some(&columns)).await?;
            step = STEP;
            while !found.is_empty() {
                let mut todo: Vec<Hit> = found.drain(..found.len().min(IN_SCRIPT)).collect();
                while !todo.is_empty() {
                    // A hit without fields has lost its record.
                    let seen = |hit: &Hit| seen(schema, &columns, hit.fields.as_ref()?);
                    todo.retain(|hit| seen(hit).is_some());
                    let target = &self.context.target;
                    let call = |target: &Target, number: usize| {
                        let hit: &Hit = &todo[number];
                        call(target, &hit.key, &seen(hit).unwrap_or_default())
                    };
                    let replies = target.run_many(&self.context.db, script, todo.len(), call).await?;
                    let mut differ = Vec::new();
                    for (hit, reply) in todo.into_iter().zip(replies) {
                        match reply?.first() {
                            Some(Value::Int(1)) => (all, left) = (all + 1, left - 1),
                            Some(Value::Int(2)) => differ.push(hit),
                            _ => {}
                        }
                    }
                    todo = self.context.read(differ, &columns).await?;
                }
            }
        }
        Ok(all)
    }
}

/// The changes of a record that was read; `None` if it stays as it is.
type RecordPatch<'a> = dyn Fn(&Hit) -> Result<Option<Patch>> + Sync + 'a;

impl Execution {
    /// Changes each record that matches as `patch` says, and returns how many were changed. For
    /// each 500 records: two or three round trips to read them, one to change them, and two more
    /// if somebody changes one of them in between.
    pub(crate) async fn rewrite(&mut self, columns: &[usize], patch: &RecordPatch<'_>) -> Result<u64> {
        let schema = self.context.target.program;
        let mut all = 0;
        while self.position().is_some() {
            let mut found = self.next(STEP as usize, u64::MAX, Some(columns)).await?;
            while !found.is_empty() {
                let mut todo = Vec::with_capacity(found.len());
                for hit in found {
                    let seen = hit.fields.as_ref().and_then(|fields| seen(schema, columns, fields));
                    if let (Some(seen), Some(patch)) = (seen, patch(&hit)?) {
                        todo.push((hit, seen, patch));
                    }
                }
                let call = |target: &Target, number: usize| {
                    let (hit, seen, patch) = &todo[number];
                    patch.call(target, &hit.key, seen)
                };
                let replies = self.context.target.run_many(&self.context.db, &PATCH, todo.len(), call).await?;
                let mut differ = Vec::new();
                for ((hit, ..), reply) in todo.into_iter().zip(replies) {
                    match reply?.first() {
                        Some(Value::Int(1)) => all += 1,
                        Some(Value::Int(2)) => differ.push(hit),
                        _ => {}
                    }
                }
                found = self.context.read(differ, columns).await?;
            }
        }
        Ok(all)
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
