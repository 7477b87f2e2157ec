//! With the feature `tracing`: what operations report.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tracing::field::Empty;
use tracing::{Level, Span, debug, debug_span, enabled, warn};

use crate::error::Result;
use crate::model::schema::ModelSchema;
use crate::query::cursor::Page;
use crate::query::explain::{Plan, WatchedQuery};
use crate::query::stats::Stats;
use crate::query::total::Total;
use crate::server::{Db, ROUND_TRIPS};
use crate::upkeep::check::CheckReport;
use crate::upkeep::migrate::Migration;
use crate::value::SumValue;
use crate::write::bulk::{DeleteReport, SaveReport};
use crate::write::patch::Patched;

const TARGET: &str = "subconscious";

/// Runs an operation of a model, and reports its result.
pub(crate) async fn operation<T: Rows>(
    schema: &'static ModelSchema,
    name: &'static str,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    Operation::new(schema, name).run(work).await
}

/// An operation that is running. It reports its end when it is dropped.
#[derive(Debug)]
pub(crate) struct Operation {
    span: Span,
    verb: &'static str,
    rows: u64,
    round_trips: u64,
    /// How long the program waited for it; for a stream, without the time that its reader took.
    waited: Duration,
    since: Option<Instant>,
    /// The query, and the time from which on it is slow; `None` if slow queries are not reported.
    watched: Option<(WatchedQuery, Duration)>,
}

impl Operation {
    /// Begins a span. Where OpenTelemetry's conventions for databases name a field, the field has
    /// this name.
    fn new(schema: &'static ModelSchema, name: &'static str) -> Self {
        let span = debug_span!(
            target: TARGET,
            "subconscious",
            otel.kind = "client",
            db.system.name = "redis",
            db.operation.name = name,
            db.collection.name = schema.name(),
            db.response.returned_rows = Empty,
            round_trips = Empty,
        );
        Self { span, verb: name, rows: 0, round_trips: 0, waited: Duration::ZERO, since: None, watched: None }
    }

    /// Begins the operation of a query. It has statistics if somebody listens for slow queries.
    pub(crate) fn query(
        db: &Db,
        schema: &'static ModelSchema,
        name: &'static str,
        watched: impl FnOnce() -> WatchedQuery,
    ) -> (Self, Option<Stats>) {
        let mut operation = Self::new(schema, name);
        operation.watched = enabled!(target: TARGET, Level::WARN).then(|| (watched(), db.slow_query()));
        let stats = operation.watched.as_ref().map(|(watched, _)| watched.stats.clone());
        (operation, stats)
    }

    /// Polls a part of the operation.
    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        if self.span.is_disabled() && self.watched.is_none() {
            return poll();
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let outer = ROUND_TRIPS.replace(0);
        let polled = self.span.in_scope(poll);
        let round_trips = ROUND_TRIPS.replace(outer);
        // The round trips of an inner operation also count for the outer one.
        ROUND_TRIPS.set(outer + round_trips);
        self.round_trips += round_trips;
        if polled.is_ready() {
            self.waited += since.elapsed();
            self.since = None;
        }
        polled
    }

    /// Notes the result of the operation, or of a part of it.
    pub(crate) fn note<T>(&mut self, result: &Result<T>, rows: impl FnOnce(&T) -> u64) {
        match result {
            Ok(done) => self.rows += rows(done),
            Err(error) => self.span.in_scope(|| debug!(target: TARGET, %error, "failed")),
        }
    }

    pub(crate) async fn run<T: Rows>(mut self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let mut work = pin!(work);
        let result = poll_fn(|cx| self.poll(|| work.as_mut().poll(cx))).await;
        self.note(&result, Rows::rows);
        result
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Self { span, verb, rows, round_trips, waited, watched, .. } = &*self;
        let microseconds = waited.as_micros() as u64;
        span.record("db.response.returned_rows", *rows).record("round_trips", *round_trips);
        span.in_scope(|| debug!(target: TARGET, rows, round_trips, microseconds, "ended"));
        let Some((watched, slow)) = watched else { return };
        if *waited > *slow {
            let filter = watched.filter();
            let Plan { model, order, steps, looked_at, commands, bytes, .. } =
                Plan::new(watched.schema, &watched.request, &watched.stats, *rows);
            let order = order.join(", ");
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            let (limit, offset, steps) = (watched.limit, watched.offset, steps.join("; "));
            span.in_scope(|| {
                warn!(
                    target: TARGET,
                    model, verb, filter, order, limit, offset, rows, microseconds, round_trips, commands, bytes, looked_at, steps,
                    "slow query"
                );
            });
        }
    }
}

/// How many records an operation delivered or changed.
pub(crate) trait Rows {
    fn rows(&self) -> u64;
}

impl Rows for () {
    fn rows(&self) -> u64 {
        1
    }
}

impl Rows for bool {
    fn rows(&self) -> u64 {
        u64::from(*self)
    }
}

impl Rows for u64 {
    fn rows(&self) -> u64 {
        *self
    }
}

impl<T> Rows for Option<T> {
    fn rows(&self) -> u64 {
        u64::from(self.is_some())
    }
}

impl<T> Rows for Vec<T> {
    fn rows(&self) -> u64 {
        self.len() as u64
    }
}

impl<M> Rows for Patched<M> {
    fn rows(&self) -> u64 {
        1
    }
}

impl<T: SumValue> Rows for Total<T> {
    fn rows(&self) -> u64 {
        1
    }
}

impl<T> Rows for Page<T> {
    fn rows(&self) -> u64 {
        self.items.len() as u64
    }
}

impl Rows for Plan {
    fn rows(&self) -> u64 {
        self.rows
    }
}

impl Rows for SaveReport {
    fn rows(&self) -> u64 {
        self.saved
    }
}

impl Rows for DeleteReport {
    fn rows(&self) -> u64 {
        self.deleted
    }
}

impl Rows for CheckReport {
    fn rows(&self) -> u64 {
        self.records
    }
}

impl Rows for Migration {
    fn rows(&self) -> u64 {
        self.rows
    }
}
