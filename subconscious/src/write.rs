//! Writes: one record, some columns of one record, and many records.

pub(crate) mod bulk;
pub(crate) mod call;
pub(crate) mod import;
pub(crate) mod patch;
pub(crate) mod record;
mod refusal;
