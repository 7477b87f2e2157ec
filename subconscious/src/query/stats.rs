//! What a query costs, noted while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::query::way::{PlanStep, PlanWay};
use crate::server::Traffic;

/// The statistics of a running query, shared with whoever reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    query: Arc<Mutex<QueryStats>>,
    /// Counted by the connection.
    traffic: Arc<Traffic>,
}

/// What a query cost, besides its traffic: see [`Plan`](crate::Plan).
#[derive(Debug, Default)]
pub(crate) struct QueryStats {
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) estimated: Option<u64>,
    pub(crate) looked_at: u64,
    pub(crate) script_time: Duration,
    pub(crate) bytes: u64,
}

impl Stats {
    pub(crate) fn note(&self, note: impl FnOnce(&mut QueryStats)) {
        note(&mut self.query.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes what was noted so far.
    pub(crate) fn take(&self) -> QueryStats {
        std::mem::take(&mut self.query.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}

impl QueryStats {
    /// Notes a way of this program, and why it was chosen.
    pub(super) fn way(&mut self, way: PlanWay, why: impl Into<Option<String>>) {
        self.steps.push(PlanStep { way, calls: 0, why: why.into() });
    }

    /// Notes why the last way was chosen.
    pub(super) fn because(&mut self, why: String) {
        if let Some(step) = self.steps.last_mut().filter(|step| step.why.is_none() && !why.is_empty()) {
            step.why = Some(why);
        }
    }

    /// Notes a call of a script.
    pub(super) fn call(&mut self, way: PlanWay, microseconds: u64, looked_at: u64, bytes: usize) {
        match self.steps.last_mut() {
            Some(step) if step.way == way => step.calls += 1,
            _ => self.steps.push(PlanStep { way, calls: 1, why: None }),
        }
        self.looked_at += looked_at;
        self.script_time += Duration::from_micros(microseconds);
        self.bytes += bytes as u64;
    }
}
