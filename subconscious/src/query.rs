//! Queries: built step by step, run by a verb.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::model::RedisModel;
use crate::model::id::ModelId;
use crate::model::target::Target;
use crate::server::Db;
use crate::trace::{self, Operation};
use crate::value::ColumnType;
use crate::write::record;

pub(crate) mod column;
pub(crate) mod cursor;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod group_by;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod select;
pub(crate) mod stats;
pub(crate) mod stream;
pub(crate) mod way;

use column::{Column, Indexed, Order, Sorted};
use cursor::Cursor;
pub(crate) use cursor::Page;
use exec::{Delivery, Execution, Hit, Position};
pub(crate) use explain::{Plan, WatchedQuery};
use filter::{Condition, Filter};
use group_by::Grouping;
use request::Request;
use select::{Selected, Selection};
pub(crate) use stats::Stats;
use stream::RecordStream;

/// Records of a page where the query has no limit.
const PAGE: u64 = 100;

/// Records that are deleted in a step.
const STEP: u64 = 100;

/// A query for records of the model `M`, made by [`RedisModel::all`], [`RedisModel::filter_by`] or
/// [`RedisModel::query`].
///
/// It is a plain value: build it once, clone it, run it as often as you like. Nothing is sent until
/// a verb runs it.
///
/// ```no_run
/// # use subconscious::{Db, RedisModel};
/// # #[derive(RedisModel)]
/// # struct User { #[column(primary_key)] id: u64, #[column(index, sort)] age: u8, #[column(index)] country: Option<String> }
/// # async fn run(db: Db) -> subconscious::Result<()> {
/// let adults = User::filter_by(|u| u.age.ge(18) & !u.country.eq("CH"));
/// let how_many: u64 = adults.count(&db).await?;
/// let oldest: Vec<User> = adults.order_by(|u| u.age.desc()).limit(10).fetch(&db).await?;
/// # Ok(()) }
/// ```
///
/// Without `order_by` the records come in row order. A row is a number that a record gets at its
/// first save and keeps as long as it lives; a new record takes the row of a deleted one first, so
/// that the order is about that of insertion.
///
/// While others write, a record that is delivered has matched at some moment during the query, none
/// is delivered twice, and one that matches all the time is delivered, unless the column that is
/// ordered by changes meanwhile. Of a filter with more than 500 values or conditions, the indexes
/// are read in several steps: a record that changes from one of its values to another one between
/// two steps may be passed over.
///
/// # Round trips
///
/// The number that a verb names is the usual one. There are more where many records have to be
/// looked at for each one that matches, as no call takes longer than
/// [`query_budget`](crate::DbBuilder::query_budget) on the server; and where many records have just
/// expired, as they are removed first.
///
/// # Cancel safety
///
/// All verbs but [`delete`](Query::delete) only read: a future or a stream that is dropped leaves
/// nothing behind on the server.
#[must_use = "a query does nothing until one of `stream`, `fetch`, `first`, `page`, `ids`, `delete`, `count`, `exists` or `explain` runs it"]
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
        Self { request: Request::of(Condition::All), limit: None, offset: 0, after: None, model: PhantomData }
    }

    /// Narrows the query to the records that match this filter as well.
    pub fn filter(mut self, filter: impl FnOnce(M::Columns) -> Filter<M>) -> Self {
        self.request.condition = self.request.condition.and(filter(M::columns()).condition);
        self
    }

    /// Orders by a column; called again, by a further one where the columns before are equal.
    ///
    /// By one column, the records come in pages from the index of the column. By several, all
    /// records that match are found first, and this program holds and sorts their rows and these
    /// columns; with a limit, it holds no more than are wanted.
    pub fn order_by(mut self, order: impl FnOnce(M::Columns) -> Order<M>) -> Self {
        self.request.order.push(order(M::columns()).key);
        self
    }

    /// Delivers at most this many records.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out this many records first; ignored after a cursor.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Goes on where a [`page`](Self::page) of the same query ended, or goes back to where it
    /// began, by one of the cursors of that page; from the beginning if there is no cursor. A
    /// cursor of another query is refused when the query is run; so is one that leads back, by all
    /// verbs but `page`.
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }

    /// The query as it is run, from where it begins.
    fn execution(&self, db: &Db) -> Result<Execution> {
        let target = Target::new(db, M::schema());
        match &self.after {
            None => Execution::from(db, target, self.request.clone(), Position::Start, self.offset),
            Some(cursor) => {
                let position = cursor.position(target.schema, &self.request)?;
                let request = if cursor.is_backwards() { self.request.reversed() } else { self.request.clone() };
                Execution::from(db, target, request, position, 0)
            }
        }
    }

    /// The same for all verbs but `page`, which alone can go back.
    fn forwards(&self, db: &Db) -> Result<Execution> {
        if self.after.as_ref().is_some_and(Cursor::is_backwards) {
            return Err(Error::InvalidQuery {
                model: M::schema().name(),
                reason: "the cursor is one of a previous page. Only `page` goes back".into(),
            });
        }
        self.execution(db)
    }

    /// Delivers only these columns of each record: one value, or a tuple of up to eight.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, age: u8, country: Option<String> }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let pairs: Vec<(u64, Option<String>)> = User::all().select(|u| (u.id, u.country)).fetch(&db).await?;
    /// # Ok(()) }
    /// ```
    pub fn select<S: Selection<M>>(self, columns: impl FnOnce(M::Columns) -> S) -> Selected<M, S> {
        let selection = columns(M::columns());
        Selected::new(self, &selection)
    }

    /// The least value of a column among the records, or `None` if there are no records or all have
    /// null. Order, limit, offset and cursor are ignored. One round trip.
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
        self.edge(db, "min", column, column.asc()).await
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
        self.edge(db, "max", column, column.desc()).await
    }

    async fn edge<T, C>(
        &self,
        db: &Db,
        name: &'static str,
        column: Column<M, T, C>,
        order: Order<M>,
    ) -> Result<Option<T::Value>>
    where
        T: ColumnType + Send + 'static,
        C: 'static,
    {
        // Nulls come last.
        let request = Request { condition: self.request.condition.clone(), order: vec![order.key], backwards: false };
        let all = Self { request, limit: None, offset: 0, after: None, model: PhantomData };
        let first = all.select(|_| column).first_as(db, name).await?;
        Ok(first.and_then(ColumnType::into_value))
    }

    /// What whole records are made of.
    fn records() -> Delivery<M> {
        let decode = |hit: Hit| {
            let Some(fields) = hit.fields else { return Ok(None) };
            record::found(M::schema(), &hit.key, &hit.id, fields)?.as_mut().map(M::read).transpose()
        };
        Delivery { columns: Some(M::schema().stored.as_slice().into()), decode: Arc::new(decode) }
    }

    /// Runs the query, page by page as the stream is read. One round trip for the first 100
    /// records, then two for each following 1,000; more where many records have to be looked at for
    /// each one that matches, as no call takes longer than
    /// [`query_budget`](crate::DbBuilder::query_budget) on the server.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(Debug, RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let mut adults = User::filter_by(|u| u.age.ge(18)).stream(&db);
    /// while let Some(user) = adults.try_next().await? {
    ///     println!("{user:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// A record that can't be read is an item of its own, an `Err` with its key, after which the
    /// stream goes on. `try_next`, `try_collect` and `?` end at it.
    pub fn stream(&self, db: &Db) -> RecordStream<M> {
        self.deliver(db, "stream", Self::records())
    }

    fn deliver<T: Send + 'static>(&self, db: &Db, name: &'static str, delivery: Delivery<T>) -> RecordStream<T> {
        let (operation, stats) = self.operation(db, name);
        let execution = self.forwards(&db.reading()).map(|execution| execution.with_stats(stats));
        RecordStream::new(self.limit, execution, delivery, operation)
    }

    fn operation(&self, db: &Db, name: &'static str) -> (Operation, Option<Stats>) {
        Operation::query(db, M::schema(), name, || WatchedQuery {
            schema: M::schema(),
            request: self.request.clone(),
            limit: self.limit,
            offset: self.offset,
            stats: Stats::default(),
        })
    }

    /// The ids of the records, without reading the records. One round trip for the first 100, then
    /// one for each following 1,000; see [`stream`](Self::stream).
    pub fn ids(&self, db: &Db) -> RecordStream<M::Id> {
        let decode = |hit: Hit| M::Id::decode(M::schema(), &hit.id).map(Some);
        let delivery = Delivery { columns: None, decode: Arc::new(decode) };
        self.deliver(db, "ids", delivery)
    }

    /// A page of at most `limit` records, of 100 if the query has no limit, and [`Cursor`]s for the
    /// pages before and after. One round trip for up to 100 records, two or three for up to 1,000,
    /// and so on; see [`stream`](Self::stream). One record that can't be read fails the page, as it
    /// does [`fetch`](Self::fetch).
    ///
    /// ```no_run
    /// # use subconscious::{Cursor, Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let youngest_first = User::all().order_by(|u| u.age.asc()).limit(20);
    /// let first = youngest_first.page(&db).await?;
    /// if let Some(next) = first.next {
    ///     let text: String = next.to_string(); // for a link, and back
    ///     let cursor: Cursor = text.parse()?;
    ///     let second = youngest_first.after(cursor).page(&db).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn page(&self, db: &Db) -> Result<Page<M>> {
        self.turn(db, &Self::records()).await
    }

    async fn turn<T: Send>(&self, db: &Db, delivery: &Delivery<T>) -> Result<Page<T>> {
        let (operation, stats) = self.operation(db, "page");
        operation.run(self.turned(db, delivery, stats)).await
    }

    async fn turned<T>(&self, db: &Db, delivery: &Delivery<T>, stats: Option<Stats>) -> Result<Page<T>> {
        let mut execution = self.execution(&db.reading())?.with_stats(stats);
        execution.keep_positions();
        let backwards = self.after.as_ref().is_some_and(Cursor::is_backwards);
        let mut left = self.limit.unwrap_or(PAGE);
        let mut items = Vec::new();
        while left > 0 && execution.position().is_some() {
            let some = execution.items(left.min(stream::PAGE) as usize, left, delivery).await?;
            left -= some.len() as u64;
            for item in some {
                items.push(item?);
            }
        }
        let cursor = |position: &Position, backwards| Cursor::new(M::schema(), &self.request, position, backwards);
        let (first, last) = (execution.first().cloned(), execution.position());
        // Where there is no record, the page before ends with the last one of all, and the one
        // after begins with the first.
        let edge = cursor(&first.unwrap_or_default(), !backwards);
        let last = last.map(|last| cursor(last, backwards));
        if backwards {
            items.reverse();
            return Ok(Page { items, next: Some(edge), previous: last });
        }
        let previous = Some(edge).filter(|_| self.after.is_some() || self.offset > 0);
        Ok(Page { items, next: last, previous })
    }

    /// Runs the query and holds all its records. For many records, [`stream`](Self::stream) holds
    /// fewer at a time, at the same cost.
    ///
    /// One record that can't be read, as another program stored what its columns can't hold, fails
    /// the whole. A stream tells of it and goes on with the next record:
    /// `query.stream(&db).filter_map(|found| async { found.ok() })` passes over such records. An
    /// enum with a variant [`#[column(other)]`](derive@crate::ColumnEnum#) reads values that only
    /// another version of the program knows.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidQuery`](crate::Error::InvalidQuery) if a filter has a value that can't be
    /// stored, or the cursor is one of another query; [`Error::Schema`](crate::Error::Schema) if
    /// the stored indexes are not this model's, or one that is needed is still being built; what
    /// [`RedisModel::load`] returns, for the first record that can't be read.
    pub async fn fetch(&self, db: &Db) -> Result<Vec<M>> {
        self.deliver(db, "fetch", Self::records()).try_collect().await
    }

    /// The first record, or `None`. One round trip; see [`stream`](Self::stream). If the first one
    /// can't be read, that is an error, and the next is not looked at.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    pub async fn first(&self, db: &Db) -> Result<Option<M>> {
        let first = self.clone().limit(self.limit.unwrap_or(1).min(1));
        first.deliver(db, "first", Self::records()).try_next().await
    }

    /// Deletes the records, as limited by `limit` and `offset`, and says how many. In steps of 100
    /// records, of two round trips each.
    ///
    /// Each record is deleted together with its index entries in one step, and only if it still
    /// matches at that moment. The whole is not one step.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch) and [`RedisModel::delete`]; what was deleted until then stays so.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the records are deleted. Calling it again deletes the
    /// others.
    pub async fn delete(&self, db: &Db) -> Result<u64> {
        let (operation, stats) = self.operation(db, "delete");
        let deleted = async {
            let mut execution = self.forwards(db)?.with_stats(stats);
            let (mut left, mut deleted) = (self.limit.unwrap_or(u64::MAX), 0);
            while left > 0 && execution.position().is_some() {
                let some = execution.delete(left.min(STEP) as usize, left).await?;
                left -= some;
                deleted += some;
            }
            Ok(deleted)
        };
        operation.run(deleted).await
    }

    /// The number of records, as limited by `limit` and `offset`; a cursor is ignored. One round
    /// trip for each millisecond that the server takes: as a rule, some six million rows. With a
    /// filter that combines a wide range with other conditions, one for each thousand rows of the
    /// range.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), but records are not read.
    pub async fn count(&self, db: &Db) -> Result<u64> {
        let (operation, stats) = self.operation(db, "count");
        let count = async {
            let target = Target::new(db, M::schema());
            let execution = Execution::new(&db.reading(), target, self.request.clone())?;
            let matching = execution.with_stats(stats).count().await?;
            Ok(matching.saturating_sub(self.offset).min(self.limit.unwrap_or(u64::MAX)))
        };
        operation.run(count).await
    }

    /// The number of records for each value of a column with `index`: pairs of a value and how many
    /// records have it, the most frequent value first, equally frequent ones in their order and
    /// null last. Of a list, the records that contain each element. Order, limit, offset and cursor
    /// are ignored.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8, #[column(index)] country: Option<String> }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let adults: Vec<(Option<String>, u64)> = User::filter_by(|u| u.age.ge(18)).count_by(&db, |u| u.country).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// With up to 1,000 values, it is counted where the indexes are, in one round trip for each
    /// millisecond that the server takes: as a rule, some 30 values of a million records. With
    /// more, and of lists, the column of each record that matches is read.
    ///
    /// # Errors
    ///
    /// As [`count`](Self::count); [`Error::Corrupt`](crate::Error::Corrupt) if a stored value is
    /// not one of the column's type.
    pub async fn count_by<T, C>(
        &self,
        db: &Db,
        column: impl FnOnce(M::Columns) -> Column<M, T, C>,
    ) -> Result<Vec<(T::Group, u64)>>
    where
        T: Grouping,
        C: Indexed,
    {
        let (reading, column) = (db.reading(), column(M::columns()).at());
        let (operation, _) = self.operation(db, "count_by");
        operation
            .run(group_by::count_by::<T>(&reading, Target::new(db, M::schema()), &self.request.condition, column))
            .await
    }

    /// Runs the query as [`fetch`](Self::fetch) does, drops the records, and tells how they were
    /// found and what it took: see [`Plan`]. Then it counts what matches each part of the filter,
    /// each as [`count`](Self::count) does. Give it a limit, if the query has many records.
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), but for records that can't be read.
    pub async fn explain(&self, db: &Db) -> Result<Plan> {
        trace::operation(M::schema(), "explain", self.explained(&db.reading())).await
    }

    async fn explained(&self, db: &Db) -> Result<Plan> {
        let stats = Stats::default();
        let mut execution = self.forwards(db)?.timed().with_stats(Some(stats.clone()));
        let delivery = Self::records();
        let (mut left, mut rows) = (self.limit.unwrap_or(u64::MAX), 0);
        let mut size = stream::FIRST_PAGE;
        while left > 0 && execution.position().is_some() {
            let some = execution.items(left.min(size) as usize, left, &delivery).await?.len() as u64;
            (left, rows, size) = (left - some, rows + some, stream::PAGE);
        }
        let mut plan = Plan::new(M::schema(), &self.request, &stats, rows);
        (plan.limit, plan.offset) = (self.limit, self.offset);
        plan.filter = explain::filter(db, &Target::new(db, M::schema()), &self.request.condition).await?;
        Ok(plan)
    }

    /// Whether there is any record. One round trip; see [`stream`](Self::stream).
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch), but records are not read.
    pub async fn exists(&self, db: &Db) -> Result<bool> {
        if self.limit == Some(0) {
            return Ok(false);
        }
        let (operation, stats) = self.operation(db, "exists");
        let exists = async {
            let mut execution = self.forwards(&db.reading())?.with_stats(stats);
            // In whichever order is the cheapest.
            execution.forget_order(self.after.is_some());
            while execution.position().is_some() {
                if !execution.next(1, 1, None).await?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        operation.run(exists).await
    }
}
