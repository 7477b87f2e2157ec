//! Behaviour through the public interface, on a real server.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

mod changes;
mod check;
mod cluster;
mod counters;
mod errors;
mod expected;
mod expiry;
mod explain;
mod groups;
mod guide;
mod hammer;
mod import;
mod indexes;
mod lacking;
mod layout;
mod lists;
mod meanwhile;
mod messages;
mod migrate;
mod once;
mod oracle;
mod original;
mod queries;
mod readme;
mod refused;
mod replica;
mod requests;
mod rewrite;
mod rights;
mod rollouts;
mod scores;
mod segments;
mod strange;
mod testing;
mod tls;
mod trace;
mod types;
mod ui;
mod unknown;
mod values;
mod versions;
mod writes;

/// A runtime for the tests that are not async themselves.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
