//! Upkeep: check and repair, changes of the schema, and what is left of records that expired.

pub(crate) mod check;
pub(crate) mod migrate;
pub(crate) mod purge;
mod scan;
