//! Spans and events for the crate `tracing`, with the feature of that name. Without it, nothing is
//! reported.
//!
//! Each operation has a span `subconscious` at the level `DEBUG`, with the fields of
//! [`Operation::new`]. When the operation ends, the span gets an event. A query that took longer
//! than [`DbBuilder::slow_query`](crate::DbBuilder::slow_query) has an event at the level `WARN`,
//! which says how it was answered. `docs/src/tracing.md` explains this to users.

#[cfg(not(feature = "tracing"))]
mod off;
#[cfg(feature = "tracing")]
mod on;

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{Operation, operation};
#[cfg(feature = "tracing")]
pub(crate) use on::{Operation, operation};
