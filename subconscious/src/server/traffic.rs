//! Counts what is sent.

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "tracing")]
thread_local! {
    /// The round trips so far of the operation that is being polled.
    pub(crate) static ROUND_TRIPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts what was sent over the handles of a connection that share this counter.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    round_trips: AtomicU64,
    commands: AtomicU64,
}

impl Traffic {
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }
}

/// Counts one round trip with this number of commands.
pub(super) fn count(traffic: Option<&Traffic>, commands: usize) {
    #[cfg(feature = "tracing")]
    ROUND_TRIPS.set(ROUND_TRIPS.get() + 1);
    if let Some(traffic) = traffic {
        traffic.round_trips.fetch_add(1, Ordering::Relaxed);
        traffic.commands.fetch_add(commands as u64, Ordering::Relaxed);
    }
}
