//! Writes: one record, some columns of one, and many.

pub(crate) mod bulk;
pub(crate) mod call;
pub(crate) mod patch;
pub(crate) mod record;
mod refusal;
