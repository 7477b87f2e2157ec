//! Queries: built step by step, run by a verb.

use std::fmt;
use std::marker::PhantomData;

use futures::TryStreamExt;

use crate::db::Db;
use crate::error::Result;
use crate::model::RedisModel;

pub(crate) mod column;
pub(crate) mod filter;
mod page;
mod plan;
pub(crate) mod stream;

use column::Order;
use filter::{Condition, Filter};
use page::Request;
use stream::RecordStream;

/// A query for records of the model `M`, made by [`RedisModel::all`], [`RedisModel::filter_by`] or [`RedisModel::query`].
///
/// Without `order_by` the records come in row order, which is stable: a record keeps its row as long as it lives.
#[must_use = "a query does nothing until one of `stream`, `fetch`, `first`, `count` or `exists` runs it"]
pub struct Query<M> {
    request: Request,
    limit: Option<u64>,
    offset: u64,
    model: PhantomData<fn() -> M>,
}

impl<M> Clone for Query<M> {
    fn clone(&self) -> Self {
        Self { request: self.request.clone(), limit: self.limit, offset: self.offset, model: PhantomData }
    }
}

impl<M> fmt::Debug for Query<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("condition", &self.request.condition)
            .field("order", &self.request.order)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .finish()
    }
}

impl<M: RedisModel> Query<M> {
    pub(crate) fn new() -> Self {
        let request = Request { condition: Condition::All, order: None };
        Self { request, limit: None, offset: 0, model: PhantomData }
    }

    /// Narrows the query to the records that match this filter as well.
    pub fn filter(mut self, filter: impl FnOnce(M::Columns) -> Filter<M>) -> Self {
        self.request.condition = self.request.condition.and(filter(M::columns()).condition);
        self
    }

    /// Orders by a column, instead of by the one given before.
    pub fn order_by(mut self, order: impl FnOnce(M::Columns) -> Order<M>) -> Self {
        let order = order(M::columns());
        self.request.order = Some((order.column, order.descending));
        self
    }

    /// Delivers at most so many records.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out so many records first.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Runs the query, page by page as the stream is read. One round trip for the first 100 records, then two for each
    /// following 1,000.
    pub fn stream(&self, db: &Db) -> RecordStream<M> {
        RecordStream::new(db.clone(), self.request.clone(), self.limit, self.offset)
    }

    /// Runs the query and holds all its records. For many records, [`stream`](Self::stream) holds fewer at a time.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidQuery`](crate::Error::InvalidQuery) if a filter has a value that can't be stored; what
    /// [`RedisModel::load`] returns, for the first record that can't be read.
    pub async fn fetch(&self, db: &Db) -> Result<Vec<M>> {
        self.stream(db).try_collect().await
    }

    /// The first record, or `None`. One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn first(&self, db: &Db) -> Result<Option<M>> {
        self.clone().limit(self.limit.unwrap_or(1).min(1)).stream(db).try_next().await
    }

    /// The number of records, as limited by `limit` and `offset`. One round trip for up to 16 million rows.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), but records are not read.
    pub async fn count(&self, db: &Db) -> Result<u64> {
        let matching = page::count::<M>(db, &self.request).await?;
        Ok(matching.saturating_sub(self.offset).min(self.limit.unwrap_or(u64::MAX)))
    }

    /// Whether there is any record. One round trip.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count).
    pub async fn exists(&self, db: &Db) -> Result<bool> {
        if self.limit == Some(0) {
            return Ok(false);
        }
        page::exists::<M>(db, &self.request, self.offset).await
    }
}
