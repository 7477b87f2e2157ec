//! Without the feature `tracing`: operations report nothing.

use std::task::Poll;

use crate::error::Result;
use crate::model::schema::ModelSchema;
use crate::query::explain::WatchedQuery;
use crate::query::stats::Stats;
use crate::server::Db;

pub(crate) fn operation<T>(
    _: &'static ModelSchema,
    _: &'static str,
    work: impl Future<Output = Result<T>> + Send,
) -> impl Future<Output = Result<T>> + Send {
    work
}

#[derive(Debug)]
pub(crate) struct Operation;

impl Operation {
    pub(crate) fn query(
        _: &Db,
        _: &'static ModelSchema,
        _: &'static str,
        _: impl FnOnce() -> WatchedQuery,
    ) -> (Self, Option<Stats>) {
        (Self, None)
    }

    pub(crate) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        poll()
    }

    pub(crate) fn note<T>(&mut self, _: &Result<T>, _: impl FnOnce(&T) -> u64) {}

    pub(crate) fn run<T>(self, work: impl Future<Output = Result<T>> + Send) -> impl Future<Output = Result<T>> + Send {
        work
    }
}
