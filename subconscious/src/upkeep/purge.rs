//! Expired records: Redis removes their hashes, this module their rows and index entries.

use redis::{Cmd, Value};

use crate::error::Result;
use crate::model::target::Target;
use crate::scripts::PURGE_EXPIRED;
use crate::server::Db;
use crate::write::call::{Call, Write};

/// The most records that one call removes. The call takes about 1 ms.
const STEP: usize = 64;

/// The command that removes some of the expired records.
pub(crate) fn purge_command(target: &Target) -> Cmd {
    let schema = target.schema;
    let mut command = PURGE_EXPIRED.call(target.keys.meta().as_bytes());
    command.arg(&target.keys.prefix).arg(&schema.registration).arg(schema.id_width).arg(schema.indexed.len()).arg(STEP);
    target.push_indexes(&mut command);
    command
}

/// Removes all expired records, in steps. Returns how many it removed.
pub(crate) async fn purge_expired(db: &Db, target: &Target) -> Result<u64> {
    let write =
        Write { key: target.keys.meta().into_bytes(), operation: "purge_expired", repeatable: true, expected: None };
    let build = |target: &Target| Ok(Call { command: purge_command(target), write: write.clone() });
    let mut removed = 0;
    loop {
        let values = target.run(db, &PURGE_EXPIRED, build).await?;
        if let Some(Value::Int(some)) = values.first() {
            removed += *some as u64;
        }
        if values.get(1) != Some(&Value::Int(1)) {
            return Ok(removed);
        }
    }
}
