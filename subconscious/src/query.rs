//! Queries: they are built step by step, and a verb runs them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::model::id::ModelId;
use crate::model::target::Target;
use crate::model::{RedisModel, encoded};
use crate::scripts::{DELETE, PATCH};
use crate::server::Db;
use crate::trace::{self, Operation};
use crate::value::{ColumnType, SumValue};
use crate::write::patch::{self, ColumnChange};
use crate::write::record::{self, Seen};

pub(crate) mod column;
pub(crate) mod cursor;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod group_by;
pub(crate) mod order;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod select;
pub(crate) mod stats;
pub(crate) mod stream;
pub(crate) mod total;
pub(crate) mod way;

use column::{Column, Sorted};
pub(crate) use cursor::Page;
use cursor::{Cursor, IntoCursor};
use exec::{Delivery, Execution, Hit, Position};
pub(crate) use explain::{Plan, WatchedQuery};
use filter::{Condition, IntoFilter};
use group_by::Groups;
use order::{IntoOrder, Order};
use request::Request;
use select::{Selected, Selection};
pub(crate) use stats::Stats;
use stream::RecordStream;
use total::Total;

/// Records of a page if the query has no limit.
const PAGE: u64 = 100;

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
/// Without `order_by`, records come in row order. A row is a number that a record gets at its first
/// save and keeps as long as it lives. A new record takes the row of a deleted one, if there is
/// one, so row order is roughly the order of insertion.
///
/// While others write, a query promises three things. Each record that is delivered matched at some
/// moment during the query. None is delivered twice. A record that matches all the time is
/// delivered, unless the column that orders the query changes meanwhile.
///
/// There is one exception. The indexes for a filter with more than 500 values or conditions are
/// read in several steps. A record that changes from one of its values to another between two steps
/// may be missed.
///
/// # Round trips
///
/// Each verb names its usual number of round trips. There are more if many records have to be
/// tested for each one that matches, since a call takes no longer than about
/// [`query_budget`](crate::DbBuilder::query_budget) on the server. There are also more if many
/// records have just expired, since these are removed first.
///
/// # Cancel safety
///
/// All verbs except [`patch`](Query::patch) and [`delete`](Query::delete) only read. If a future or
/// a stream is dropped, nothing is left behind on the server.
#[must_use = "a query does nothing until one of `stream`, `fetch`, `first`, `page`, `ids`, `patch`, `delete`, `count`, `sum`, `exists` or `explain` runs it"]
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

    /// Narrows the query to the records that also match this filter.
    pub fn filter<F: IntoFilter<M>>(mut self, filter: impl FnOnce(M::Columns) -> F) -> Self {
        self.request.condition = self.request.condition.and(filter(M::columns()).into_filter().condition);
        self
    }

    /// Orders the records by a column. Each further call adds a column, which orders the records
    /// that are equal in the columns before it.
    ///
    /// With one column, the records come in pages from the index of the column. With several
    /// columns, all records that match are found first, and this program holds and sorts their rows
    /// and their values of these columns; with a limit, the values of at most twice as many as are
    /// wanted, and of 1,000 more.
    pub fn order_by<O: IntoOrder<M>>(mut self, order: impl FnOnce(M::Columns) -> O) -> Self {
        self.request.order.push(order(M::columns()).into_order().key);
        self
    }

    /// Delivers at most this many records.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out this many records first. Ignored after a cursor.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Continues after a [`page`](Self::page) of the same query, or goes back to the page before
    /// it, by one of the cursors of that page. Without a cursor, the query starts from the
    /// beginning. A cursor of another query is refused when the query is run. A cursor that leads
    /// back is refused by all verbs except `page`.
    pub fn after(mut self, cursor: impl IntoCursor) -> Self {
        self.after = cursor.into_cursor();
        self
    }

    /// The query as it is run, from its cursor or from the beginning.
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

    /// The same for all verbs except `page`: they refuse a cursor that leads back.
    fn forwards(&self, db: &Db) -> Result<Execution> {
        if self.after.as_ref().is_some_and(Cursor::is_backwards) {
            let name = M::schema().name();
            let reason = format!("the cursor of the query on {name} is one of a previous page. Only `page` goes back");
            return Err(Error::InvalidCursor { reason });
        }
        self.execution(db)
    }

    /// Refuses what a verb about all records that match has no use for.
    fn of_all(&self, verb: &str) -> Result<()> {
        let (limit, offset) = (self.limit.is_some(), self.offset > 0);
        self.without(verb, [("limit", limit), ("offset", offset), ("cursor", self.after.is_some())])
    }

    /// Refuses the parts that the query has.
    fn without<const N: usize>(&self, verb: &str, parts: [(&str, bool); N]) -> Result<()> {
        let Some((part, _)) = parts.into_iter().find(|(_, has)| *has) else { return Ok(()) };
        let advice = "as it is of all records that match. Call it on a query without one";
        let reason = format!("`{verb}` takes no {part}, {advice}");
        Err(Error::InvalidQuery { model: M::schema().name(), reason })
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

    /// The least value of a column among the records; `None` if there are no records, or if the
    /// column is null in all of them. The order does not matter. One round trip.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch), and [`Error::InvalidQuery`] if the query has a
    /// limit, an offset or a cursor.
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
    /// The same as for [`min`](Self::min).
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

    /// The sum of a column among the records, nulls left out; 0 if there are no values. The order
    /// does not matter.
    ///
    /// A sum of integers is an exact `i128`, a sum of decimals an exact `Decimal`, and a sum of
    /// floats an `f64`, which is rounded at each step.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct Order { #[column(primary_key)] id: u64, #[column(index)] customer: u32, #[column(sort)] cents: u64 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let spent: i128 = Order::filter_by(|o| o.customer.eq(7)).sum(&db, |o| o.cents).await?;
    /// let mean: Option<f64> = Order::all().avg(&db, |o| o.cents).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Integers below 2^53 and floats are read without their records: 8 bytes each, a million in a
    /// few milliseconds, most of which this program takes. Other values, and decimals, are read
    /// from the records, a thousand in two round trips. A record that changes meanwhile counts with
    /// its value before or after the change.
    ///
    /// # Errors
    ///
    /// The same as for [`count`](Self::count), and [`Error::InvalidQuery`] if the sum is beyond the
    /// range of its type, or if the query has a limit, an offset or a cursor.
    pub async fn sum<T, C>(
        &self,
        db: &Db,
        column: impl FnOnce(M::Columns) -> Column<M, T, C>,
    ) -> Result<<T::Value as SumValue>::Sum>
    where
        T: ColumnType,
        T::Value: SumValue,
        C: Sorted,
    {
        Ok(self.total::<T>(db, "sum", column(M::columns()).at()).await?.sum)
    }

    /// The average of a column among the records, nulls left out; `None` if there are no values. It
    /// is an `f64`, or a `Decimal` for decimals. See [`sum`](Self::sum).
    ///
    /// # Errors
    ///
    /// The same as for [`sum`](Self::sum).
    pub async fn avg<T, C>(
        &self,
        db: &Db,
        column: impl FnOnce(M::Columns) -> Column<M, T, C>,
    ) -> Result<Option<<T::Value as SumValue>::Mean>>
    where
        T: ColumnType,
        T::Value: SumValue,
        C: Sorted,
    {
        let Total { sum, count } = self.total::<T>(db, "avg", column(M::columns()).at()).await?;
        Ok((count > 0).then(|| T::Value::mean(sum, count)))
    }

    async fn total<T>(&self, db: &Db, name: &'static str, column: usize) -> Result<Total<T::Value>>
    where
        T: ColumnType,
        T::Value: SumValue,
    {
        let (reading, target) = (db.reading(), Target::new(db, M::schema()));
        let (operation, _) = self.operation(db, name);
        let total = async {
            self.of_all(name)?;
            total::total::<T>(&reading, target, &self.request.condition, column).await
        };
        operation.run(total).await
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
        self.of_all(name)?;
        // Nulls come last in both directions, so the first record has a value if any record has
        // one.
        let request = Request { condition: self.request.condition.clone(), order: vec![order.key], backwards: false };
        let all = Self { request, limit: None, offset: 0, after: None, model: PhantomData };
        let first = all.select(|_| column).first_as(db, name).await?;
        Ok(first.and_then(ColumnType::into_value))
    }

    /// Delivers whole records.
    fn records() -> Delivery<M> {
        let decode = |hit: Hit| {
            let Some(fields) = hit.fields else { return Ok(None) };
            record::found(M::schema(), &hit.key, &hit.id, fields)?.as_mut().map(M::read).transpose()
        };
        Delivery { columns: Some(M::schema().stored.as_slice().into()), decode: Arc::new(decode) }
    }

    /// Runs the query, page by page as the stream is read. The first 100 records take one round
    /// trip, each further 1,000 take two. There are more round trips if many records have to be
    /// tested for each one that matches, since a call takes no longer than about
    /// [`query_budget`](crate::DbBuilder::query_budget) on the server.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(Debug, RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let mut adults = User::filter_by(|u| u.age.ge(18)).stream(&db);
    /// while let Some(user) = adults.try_next().await? {
    ///     println!("{user:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// A record that can't be read is an item of its own: an `Err` with its key, after which the
    /// stream continues. A loop with `try_next` and `?` ends at it, and so does `try_collect` of
    /// `futures`, whose combinators work on the stream.
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

    /// The ids of the records, without reading the records. The first 100 take one round trip, each
    /// further 1,000 take one more; see [`stream`](Self::stream).
    pub fn ids(&self, db: &Db) -> RecordStream<M::Id> {
        let decode = |hit: Hit| M::Id::decode(M::schema(), &hit.id).map(Some);
        let delivery = Delivery { columns: None, decode: Arc::new(decode) };
        self.deliver(db, "ids", delivery)
    }

    /// A page of at most `limit` records (100 if the query has no limit), with [`Cursor`]s for the
    /// pages before and after. Up to 100 records take one round trip, up to 1,000 take two or
    /// three, and so on; see [`stream`](Self::stream). One record that can't be read makes the page
    /// fail, as it makes [`fetch`](Self::fetch) fail.
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
    /// The same as for [`fetch`](Self::fetch).
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
        // If the page is empty, the edge is the start of the order. The page before then ends with
        // the last record of all, and the page after begins with the first one.
        let edge = cursor(&first.unwrap_or_default(), !backwards);
        let last = last.map(|last| cursor(last, backwards));
        if backwards {
            items.reverse();
            return Ok(Page { items, next: Some(edge), previous: last });
        }
        let previous = Some(edge).filter(|_| self.after.is_some() || self.offset > 0);
        Ok(Page { items, next: last, previous })
    }

    /// Runs the query and collects all its records. If there are many, [`stream`](Self::stream)
    /// holds fewer at a time, at the same cost.
    ///
    /// One record that can't be read makes the whole call fail. This happens if another program
    /// stored a value that a column can't hold. A stream delivers an error for such a record, and
    /// continues with the next one. An enum with a variant
    /// [`#[column(other)]`](derive@crate::ColumnEnum#) reads values that only another version of
    /// the program knows.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidQuery`](crate::Error::InvalidQuery) if a filter has a value that can't be
    /// stored, or the cursor belongs to another query. [`Error::Schema`](crate::Error::Schema) if
    /// the stored indexes are not those of this model, or an index that is needed is still being
    /// built. For the first record that can't be read, the error that [`RedisModel::load`] returns.
    pub async fn fetch(&self, db: &Db) -> Result<Vec<M>> {
        self.deliver(db, "fetch", Self::records()).try_collect().await
    }

    /// The first record, or `None`. One round trip; see [`stream`](Self::stream). If the first
    /// record can't be read, this is an error, and the next one is not tried.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch).
    pub async fn first(&self, db: &Db) -> Result<Option<M>> {
        let first = self.clone().limit(self.limit.unwrap_or(1).min(1));
        first.deliver(db, "first", Self::records()).try_next().await
    }

    /// Deletes the records, as limited by `limit` and `offset`, and returns their number. It works
    /// in steps. Two round trips delete the first 100 records. After these, two read each 500
    /// records, and one deletes each 100 of them. The filter is not evaluated anew for each step,
    /// unless there is an order.
    ///
    /// Each record is deleted together with its index entries in one atomic step, and only if it
    /// still matches at that moment. The call as a whole is not atomic.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch) and [`RedisModel::delete`]. What was deleted before
    /// the error stays deleted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the records are deleted and the others are not. Calling it
    /// again deletes the others.
    pub async fn delete(&self, db: &Db) -> Result<u64> {
        let (operation, stats) = self.operation(db, "delete");
        let deleted = async {
            let call =
                |target: &Target, key: &[u8], seen: &[Seen]| Ok(record::delete_call(target, key, &[], None, seen));
            let mut execution = self.forwards(db)?.with_stats(stats);
            execution.change(&DELETE, &call, self.limit.unwrap_or(u64::MAX)).await
        };
        operation.run(deleted).await
    }

    /// Changes columns of the records, as limited by `limit` and `offset`, and returns how many
    /// records were changed. Each is changed as by [`RedisModel::patch`].
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct Order { #[column(primary_key)] id: u64, #[column(index)] state: String, #[column(sort)] at: i64, tries: u32 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let late = Order::filter_by(|o| o.state.eq("open") & o.at.lt(1_700_000_000));
    /// let changed: u64 = late.patch(&db, |o| [o.state.set("late"), o.tries.incr(1)]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// It works in steps, whose round trips are those of [`delete`](Self::delete). Each record is
    /// changed together with its index entries in one atomic step, only if it still matches at that
    /// moment, and only once, even if it still matches afterwards. The call as a whole is not
    /// atomic.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch) and [`RedisModel::patch`]; a record that was deleted
    /// meanwhile is no error. What was changed before the error stays changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the records are changed and the others are not.
    pub async fn patch<I>(&self, db: &Db, changes: impl FnOnce(M::Columns) -> I) -> Result<u64>
    where
        I: IntoIterator<Item = ColumnChange<M>>,
    {
        let (operation, stats) = self.operation(db, "patch");
        let changes = changes(M::columns()).into_iter().map(ColumnChange::into_parts).collect();
        let patched = async {
            let patch = patch::patch_of(M::schema(), changes)?;
            let call = |target: &Target, key: &[u8], seen: &[Seen]| patch.call(target, key, seen);
            let mut execution = self.forwards(db)?.with_stats(stats);
            execution.change(&PATCH, &call, self.limit.unwrap_or(u64::MAX)).await
        };
        operation.run(patched).await
    }

    /// See [`RedisModel::rewrite`].
    pub(crate) async fn rewrite(&self, db: &Db, change: impl Fn(&mut M) + Send + Sync) -> Result<u64> {
        let schema = M::schema();
        let patch = |hit: &Hit| {
            let fields = hit.fields.clone().unwrap_or(redis::Value::Nil);
            let Some(mut found) = record::found(schema, &hit.key, &hit.id, fields)? else { return Ok(None) };
            let mut record = M::read(&mut found)?;
            let before = encoded(&record)?;
            change(&mut record);
            patch::between(&before, &encoded(&record)?)
        };
        let (operation, stats) = self.operation(db, "rewrite");
        let rewritten = async { self.forwards(db)?.with_stats(stats).rewrite(&schema.stored, &patch).await };
        operation.run(rewritten).await
    }

    /// The number of records, as limited by `limit` and `offset`. The order does not matter. One
    /// round trip for each millisecond that the server takes, in which it usually counts about six
    /// million rows. With a filter that combines a wide range with other conditions, this program
    /// compares the values of those parts of the model that are neither in the range nor out of it
    /// as a whole: one more round trip for each 500 KB, with 8 bytes for each record. If few
    /// records are in the range, it reads these, 4,000 in a round trip.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch), except those of reading records.
    /// [`Error::InvalidQuery`] if the query has a cursor.
    pub async fn count(&self, db: &Db) -> Result<u64> {
        let (operation, stats) = self.operation(db, "count");
        let count = async {
            self.without("count", [("cursor", self.after.is_some())])?;
            let target = Target::new(db, M::schema());
            let execution = Execution::new(&db.reading(), target, self.request.clone())?;
            let matching = execution.with_stats(stats).count().await?;
            Ok(matching.saturating_sub(self.offset).min(self.limit.unwrap_or(u64::MAX)))
        };
        operation.run(count).await
    }

    /// The number of records for each value of a column with `index`, as pairs of a value and the
    /// number of records that have it. The most frequent value comes first; equally frequent values
    /// come in their own order, null last. For a list, these are the elements, each with the number
    /// of records that contain it. With two to four columns, a group has a value of each. The
    /// order does not matter.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User {
    /// #     #[column(primary_key)] id: u64, #[column(sort)] age: u8,
    /// #     #[column(index)] country: Option<String>, #[column(index)] active: bool,
    /// # }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let adults: Vec<(Option<String>, u64)> = User::filter_by(|u| u.age.ge(18)).count_by(&db, |u| u.country).await?;
    /// let pairs = User::all().count_by(&db, |u| (u.country, u.active)).await?;
    /// let ((country, active), count): &((Option<String>, bool), u64) = &pairs[0];
    /// # Ok(()) }
    /// ```
    ///
    /// Up to 1,000 values are counted by the indexes, in one round trip for each millisecond that
    /// the server takes. In this time it usually counts about 30 values of a million records. If
    /// there are more values, and for lists, the column of each record that matches is read. Each
    /// group of one column is counted by the next column in a round trip of its own, four at a
    /// time, unless there are fewer than 100 records a group: then these are read. A record that
    /// changes meanwhile may be counted in two groups or in none.
    ///
    /// # Errors
    ///
    /// The same as for [`count`](Self::count). [`Error::Corrupt`](crate::Error::Corrupt) if a
    /// stored value is not one of the column's type; [`Error::InvalidQuery`] if the query has a
    /// limit, an offset or a cursor.
    pub async fn count_by<G: Groups<M>>(
        &self,
        db: &Db,
        columns: impl FnOnce(M::Columns) -> G,
    ) -> Result<Vec<(G::Group, u64)>> {
        let (reading, target) = (db.reading(), Target::new(db, M::schema()));
        let (operation, columns) = (self.operation(db, "count_by").0, columns(M::columns()).columns());
        let groups = async {
            self.of_all("count_by")?;
            group_by::count_by::<M, G>(&reading, target, &self.request.condition, columns).await
        };
        operation.run(groups).await
    }

    /// Runs the query as [`fetch`](Self::fetch) does, drops the records, and returns how they were
    /// found and what that cost: see [`Plan`]. Then it counts the records that match each part of
    /// the filter, each as [`count`](Self::count) does. Set a limit if the query has many records.
    ///
    /// # Errors
    ///
    /// The same as for [`fetch`](Self::fetch), but a record that can't be read is not an error.
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
    /// The same as for [`fetch`](Self::fetch), except those of reading records.
    pub async fn exists(&self, db: &Db) -> Result<bool> {
        if self.limit == Some(0) {
            return Ok(false);
        }
        let (operation, stats) = self.operation(db, "exists");
        let exists = async {
            let mut execution = self.forwards(&db.reading())?.with_stats(stats);
            // The order does not matter, so rows are found in the cheapest one.
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
