//! Upkeep: check and repair, schema changes, and the removal of expired records.

pub(crate) mod check;
pub(crate) mod migrate;
pub(crate) mod purge;
mod scan;
