//! Queries: built step by step, run by a verb.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use futures::TryStreamExt;

use crate::db::Db;
use crate::error::Result;
use crate::model::RedisModel;
use crate::value::ColumnType;

pub(crate) mod column;
pub(crate) mod cursor;
pub(crate) mod filter;
mod page;
mod plan;
pub(crate) mod select;
pub(crate) mod stream;

use column::{Column, Order, Sorted};
use cursor::{Cursor, Page};
use filter::{Condition, Filter};
use page::{Position, Request};
use select::{Selected, Selection};
use stream::RecordStream;

/// Records of a page where the query has no limit.
const PAGE: u64 = 100;

/// A query for records of the model `M`, made by [`RedisModel::all`], [`RedisModel::filter_by`] or [`RedisModel::query`].
///
/// Without `order_by` the records come in row order, which is stable: a record keeps its row as long as it lives.
#[must_use = "a query does nothing until one of `stream`, `fetch`, `first`, `page`, `ids`, `delete`, `count` or `exists` runs it"]
pub struct Query<M> {
    request: Request,
    limit: Option<u64>,
    offset: u64,
    after: Option<Cursor>,
    model: PhantomData<fn() -> M>,
}

impl<M> Clone for Query<M> {
    fn clone(&self) -> Self {
        let Self { request, limit, offset, after, .. } = self;
        Self { request: request.clone(), limit: *limit, offset: *offset, after: after.clone(), model: PhantomData }
    }
}

impl<M> fmt::Debug for Query<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("condition", &self.request.condition)
            .field("order", &self.request.order)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .field("after", &self.after)
            .finish()
    }
}

impl<M: RedisModel> Query<M> {
    pub(crate) fn new() -> Self {
        let request = Request { condition: Condition::All, order: None };
        Self { request, limit: None, offset: 0, after: None, model: PhantomData }
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

    /// Leaves out so many records first; none after a cursor.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Goes on where a [`page`](Self::page) of the same query ended; from the beginning if there is no cursor. A cursor of another query is
    /// refused when the query is run.
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }

    /// Where to begin, and how many records to leave out from there.
    fn begin(&self) -> Result<(Position, u64)> {
        match &self.after {
            Some(cursor) => Ok((cursor.position(M::schema(), &self.request)?, 0)),
            None => Ok((Position::default(), self.offset)),
        }
    }

    /// Delivers only these columns of each record, as values or tuples of them.
    pub fn select<S: Selection<M>>(self, columns: impl FnOnce(M::Columns) -> S) -> Selected<M, S> {
        let selection = columns(M::columns());
        Selected::new(self, &selection)
    }

    /// The least value of a column among the records, or `None` if there are no records or all have null. Limit and offset do not count.
    /// One round trip.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn min<T, C>(
        &self,
        db: &Db,
        column: impl FnOnce(M::Columns) -> Column<M, T, C>,
    ) -> Result<Option<T::Value>>
    where
        T: ColumnType + Send + 'static,
        C: Sorted + 'static,
    {
        let column = column(M::columns());
        self.edge(db, column, column.asc()).await
    }

    /// The greatest value of a column among the records; see [`min`](Self::min).
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn max<T, C>(
        &self,
        db: &Db,
        column: impl FnOnce(M::Columns) -> Column<M, T, C>,
    ) -> Result<Option<T::Value>>
    where
        T: ColumnType + Send + 'static,
        C: Sorted + 'static,
    {
        let column = column(M::columns());
        self.edge(db, column, column.desc()).await
    }

    async fn edge<T, C>(&self, db: &Db, column: Column<M, T, C>, order: Order<M>) -> Result<Option<T::Value>>
    where
        T: ColumnType + Send + 'static,
        C: 'static,
    {
        let all = Self { limit: None, offset: 0, after: None, ..self.clone() };
        // Nulls come last.
        let first = all.order_by(|_| order).select(|_| column).first(db).await?;
        Ok(first.and_then(ColumnType::into_value))
    }

    /// Runs the query, page by page as the stream is read. One round trip for the first 100 records, then two for each
    /// following 1,000.
    pub fn stream(&self, db: &Db) -> RecordStream<M> {
        let (db, request) = (db.clone(), self.request.clone());
        self.deliver(move |rows, skip, from| {
            let (db, request) = (db.clone(), request.clone());
            async move { page::records::<M>(&db, &request, rows, skip, &from).await }
        })
    }

    /// The ids of the records, without reading the records. One round trip for the first 100, then one for each following 1,000.
    pub fn ids(&self, db: &Db) -> RecordStream<M::Id> {
        let (db, request) = (db.clone(), self.request.clone());
        self.deliver(move |rows, skip, from| {
            let (db, request) = (db.clone(), request.clone());
            async move { page::ids::<M>(&db, &request, rows, skip, &from).await }
        })
    }

    pub(super) fn deliver<T, F, B>(&self, read: F) -> RecordStream<T>
    where
        T: Send + 'static,
        F: Fn(usize, u64, Position) -> B + Send + 'static,
        B: Future<Output = Result<page::Batch<T>>> + Send,
    {
        let begin = self.begin();
        let skip = begin.as_ref().map_or(0, |(_, skip)| *skip);
        RecordStream::new(self.limit, skip, begin.map(|(from, _)| from), read)
    }

    /// A page of at most `limit` records, of 100 if the query has no limit, and a [`Cursor`] for the next one. One round trip for up to 100
    /// records, two for up to 1,000, and two for each further 1,000.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch); [`Error::InvalidQuery`](crate::Error::InvalidQuery) for a cursor of another query.
    pub async fn page(&self, db: &Db) -> Result<Page<M>> {
        let (mut from, mut skip) = self.begin()?;
        let mut left = self.limit.unwrap_or(PAGE);
        let mut page = Page { items: Vec::new(), next: self.after.clone() };
        while left > 0 {
            let batch = page::records::<M>(db, &self.request, left.min(stream::PAGE) as usize, skip, &from).await?;
            left -= batch.items.len() as u64;
            page.items.extend(batch.items.into_iter().collect::<Result<Vec<_>>>()?);
            page.next = batch.next.as_ref().map(|next| Cursor::new(M::schema(), &self.request, next));
            let Some(next) = batch.next else { break };
            (from, skip) = (next, 0);
        }
        Ok(page)
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

    /// Deletes the records, as limited by `limit` and `offset`, and says how many. In steps of 100 records, of two round trips each.
    ///
    /// A record is deleted together with its index entries, and only if it matches at that moment, whoever changes it meanwhile. The whole is
    /// not one step.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch) and [`RedisModel::delete`]; what was deleted until then stays so.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the records are deleted. Calling it again deletes the others.
    pub async fn delete(&self, db: &Db) -> Result<u64> {
        let (mut from, mut skip) = self.begin()?;
        let (mut left, mut deleted) = (self.limit.unwrap_or(u64::MAX), 0);
        while left > 0 {
            let (some, next) = page::delete::<M>(db, &self.request, left.min(PAGE) as usize, skip, &from).await?;
            left -= some;
            deleted += some;
            let Some(next) = next else { break };
            (from, skip) = (next, 0);
        }
        Ok(deleted)
    }

    /// The number of records, as limited by `limit` and `offset`; a cursor does not count. One round trip for up to 16 million rows.
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
        let (from, skip) = self.begin()?;
        page::exists::<M>(db, &self.request, skip, from).await
    }
}
