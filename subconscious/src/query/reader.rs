//! Reads what a query asks for, call by call, in its order.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};

use futures::future::try_join_all;
use redis::Value;

use crate::db::Db;
use crate::error::Result;
use crate::query::along::Along;
use crate::query::entry::Entry;
use crate::query::evaluate;
use crate::query::explain::{Book, PlanWay, Spent};
use crate::query::page::{self, Ask, Counted, OrderKey, Part, Place, Position, Request};
use crate::query::plan::{self, Leaf, Node, Tried};
use crate::query::rows::Rows;
use crate::record;
use crate::write::Target;

mod delete;
mod scan;
mod sort;
mod walk;

use scan::Scan;
use walk::Walk;

/// Rows up to this number come with their fields in the same round trip; more are read by a pipeline, which costs the
/// server a third.
const IN_SCRIPT: usize = 100;

/// Rows that are asked for at most in one call or pipeline.
const STEP: usize = 1000;

/// Rows whose records are looked up in a pipeline of their own.
const TOGETHER: usize = 250;

/// What is delivered of each row.
pub(crate) struct Delivery<T> {
    /// Positions of the columns to read, with all of the filter among them; `None` if the ids are enough.
    pub(crate) columns: Option<Arc<[usize]>>,
    pub(crate) decode: Decode<T>,
}

/// Makes an item of a row; `None` if its record is gone.
type Decode<T> = Arc<dyn Fn(Place) -> Result<Option<T>> + Send + Sync>;

impl<T> Clone for Delivery<T> {
    fn clone(&self) -> Self {
        Self { columns: self.columns.clone(), decode: Arc::clone(&self.decode) }
    }
}

/// A query on its way.
pub(crate) struct Reader {
    db: Db,
    target: Target,
    request: Request,
    /// What the request filters by.
    filter: Node,
    /// Where to go on; `None` if all was read.
    from: Option<Position>,
    /// Matching rows still to be left out.
    skip: u64,
    /// Where the first row that was found is.
    first: Option<Position>,
    ahead: Ahead,
    /// Whether the filter is evaluated here: see [`evaluate`].
    evaluates: bool,
    /// Rows of records that expired but are still there, as far as that is known: see [`evaluate`].
    due: Option<Rows>,
    /// Rows found so far, where one that moves in the order could be met again; those of the last call are not among them before something else is
    /// looked for, as most queries end with the first.
    found: Rows,
    last: Vec<u32>,
    /// What calls of the script did for the rows that are wanted now.
    tried: Tried,
    /// Whether `first` and `from` are wanted as they are, to begin there again: else they only say whether there is something.
    marks: bool,
    /// What it took, where somebody wants to know.
    book: Option<Book>,
}

/// How the rows that follow are found.
enum Ahead {
    /// By calls of the script, which may choose not to.
    Script { choose: bool },
    /// By bitmaps, in row order.
    Scan(Scan),
    /// By bitmaps, along a sorted set.
    Walk(Walk),
    /// They have been found and sorted; there may be more than these.
    Sorted(VecDeque<Entry>, bool),
}

/// All rows that match a filter.
struct Matches {
    rows: Rows,
    count: u64,
    /// Whether all of them match, or their records have to be looked at.
    exact: bool,
    /// Records of the model.
    total: u64,
}

/// Bytes of the texts in a reply.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Reader {
    pub(crate) fn new(db: &Db, target: Target, request: Request, from: Position, skip: u64) -> Result<Self> {
        let filter = page::filter(target.schema, &request)?;
        // A container alone the scripts read as it is.
        let alone = matches!(
            filter,
            Node::All | Node::None | Node::Leaf(Leaf::Equals { .. } | Leaf::Null { .. } | Leaf::Range { .. })
        );
        Ok(Self {
            evaluates: db.is_read_only() && !alone || filter.is_long(),
            filter,
            due: None,
            db: db.clone(),
            target,
            request,
            from: Some(from),
            skip,
            first: None,
            ahead: Ahead::Script { choose: true },
            found: Rows::default(),
            last: Vec::new(),
            tried: Tried::default(),
            marks: false,
            book: None,
        })
    }

    /// Keeps book of where the first and the last row are.
    pub(crate) fn mark(&mut self) {
        self.marks = true;
    }

    /// Writes down what it takes from now on, if there is a book for it.
    pub(crate) fn noting(mut self, book: Option<Book>) -> Self {
        self.book = book;
        self
    }

    /// Lets the scripts tell how long they took.
    pub(crate) fn timed(mut self) -> Self {
        self.db = self.db.timed();
        self
    }

    fn note(&self, note: impl FnOnce(&mut Spent)) {
        if let Some(book) = &self.book {
            note(&mut book.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Where to go on; `None` if nothing follows.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.from.as_ref()
    }

    /// Where the first row is that was found.
    pub(crate) fn first(&self) -> Option<&Position> {
        self.first.as_ref()
    }

    /// Finds up to `rows` of the rows that follow, fewer or none where a call ended before; `left` is how many will be wanted in all, and the
    /// columns to read are those of the order and more. One round trip for up to [`IN_SCRIPT`] rows, as a rule; else three or four: bitmaps,
    /// members of the order, ids, records.
    pub(crate) async fn next(&mut self, rows: usize, left: u64, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let Some(from) = self.from.clone() else { return Ok(Vec::new()) };
        self.keep_found();
        if let Ahead::Script { .. } = self.ahead {
            if self.request.order.len() > 1 {
                let matches = self.matches(&self.filter.clone(), None).await?;
                self.sort(&matches.rows, matches.exact, &from, left).await?;
            } else if self.evaluates {
                self.begin(&from, left).await?;
            } else if self.request.order.is_empty() && rows > IN_SCRIPT && columns.is_some() {
                self.ahead = Ahead::Scan(Scan::of(&self.request, &self.filter, &from));
            }
        }
        let mut ahead = mem::replace(&mut self.ahead, Ahead::Script { choose: false });
        let places = match &mut ahead {
            Ahead::Script { choose } => return self.call(&from, rows, left, columns, *choose).await,
            Ahead::Scan(scan) => self.scan(scan, rows, columns).await,
            Ahead::Walk(walk) => {
                if walk.is_too_long() {
                    let exact = walk.matches.exact && walk.along.range == Node::All;
                    self.sort(&walk.matches.rows, exact, &walk.along.last, left).await?;
                    return Ok(Vec::new());
                }
                self.walk(walk, rows, left, columns).await
            }
            Ahead::Sorted(entries, more) => {
                let rows = self.take(entries, *more, rows);
                self.look_up(&rows, columns).await
            }
        };
        // The null ones at the end of an order are found by the script. Where those that were sorted are all used, and some of them
        // matched no more, it begins again after them.
        let nulls = self.from.as_ref().is_some_and(|from| from.code == b"n" && matches!(ahead, Ahead::Walk(_)));
        match &ahead {
            Ahead::Sorted(entries, _) if entries.is_empty() => self.ahead = Ahead::Script { choose: true },
            Ahead::Scan(scan) if scan.is_done() => self.ahead = Ahead::Script { choose: true },
            _ if nulls => {}
            _ => self.ahead = ahead,
        }
        places
    }

    fn keep_found(&mut self) {
        for row in self.last.drain(..) {
            self.found.insert(row);
        }
    }

    /// Calls the script.
    async fn call(
        &mut self,
        from: &Position,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
        choose: bool,
    ) -> Result<Vec<Place>> {
        let in_script = columns.filter(|_| rows <= IN_SCRIPT);
        let ask = Ask { from, rows, skip: self.skip, left, columns: in_script, choose };
        let part = match page::part(&self.db, &self.target, &self.request, &self.filter, ask).await {
            Err(error) if error.refuses_writes() => {
                self.evaluates = true;
                return Ok(Vec::new());
            }
            part => part?,
        };
        let Part { mut places, next, skip, first, way, microseconds, looked, expected, evaluating, spent, bitmaps } =
            part;
        self.note(|spent| {
            let mut bytes = places.iter().map(|place| place.id.len() + place.fields.as_ref().map_or(0, size)).sum();
            bytes += bitmaps.as_ref().map_or(0, page::Bitmaps::size);
            spent.expected = spent.expected.or(expected);
            spent.call(if bitmaps.is_some() { PlanWay::Bitmaps } else { way }, microseconds, looked, bytes);
        });
        let left = left.saturating_sub(places.len() as u64);
        let met = self.skip.saturating_sub(skip) + places.len() as u64;
        (self.from, self.skip) = (next, skip);
        if self.first.is_none() && !places.is_empty() {
            self.first = Some(first);
        }
        if !self.request.order.is_empty() {
            places.retain(|place| !self.found.has(place.row));
            self.last = places.iter().map(|place| place.row).collect();
        }
        self.ahead = Ahead::Script { choose: choose && way == PlanWay::Gather };
        let mut too_long = false;
        if way == PlanWay::Walk && places.len() < rows {
            self.tried.microseconds += spent;
            self.tried.looked += looked;
            self.tried.met += met;
            let wanted = self.skip.saturating_add(left);
            too_long = self.tried.is_too_much(wanted, evaluating, self.db.query_budget());
        } else {
            self.tried = Tried::default();
        }
        if let (Some(next), [key]) = (self.from.clone(), &self.request.order[..])
            && next.code == b"k"
            && (way == PlanWay::Estimate || too_long)
        {
            let key = *key;
            self.keep_found();
            self.plan(key, next, left, bitmaps).await?;
        }
        match columns {
            Some(columns) if in_script.is_none() => self.read(places, columns).await,
            _ => Ok(places),
        }
    }

    /// Begins a way that is gone without the scripts that answer a query.
    async fn begin(&mut self, from: &Position, left: u64) -> Result<()> {
        let Some(&key) = self.request.order.first() else {
            self.ahead = Ahead::Scan(Scan::of(&self.request, &self.filter, from));
            return Ok(());
        };
        let column = &self.target.schema.columns()[key.column];
        if !column.has_sorted_set() {
            let matches = self.matches(&self.filter.clone(), None).await?;
            if matches.count > STEP as u64 {
                self.ahead = Ahead::Scan(self.scan_values(key, from, matches).await?);
                return Ok(());
            }
            return self.sort(&matches.rows, matches.exact, from, left).await;
        }
        if from.code == b"n" || from.code.is_empty() && key.nulls_first && column.is_nullable() {
            self.ahead = Ahead::Scan(self.scan_nulls(key, from));
            return Ok(());
        }
        self.plan(key, from.clone(), left, None).await
    }

    /// Decides how an order is gone on with where the script found that it takes long.
    async fn plan(&mut self, key: OrderKey, from: Position, left: u64, begun: Option<page::Bitmaps>) -> Result<()> {
        let (range, others) = self.filter.split_range(key.column);
        if others == Node::All && !self.evaluates {
            return Ok(());
        }
        let wanted = self.skip.saturating_add(left);
        if self.target.schema.columns()[key.column].has_sorted_set() {
            let matches = self.matches(&others, begun).await?;
            if plan::walking_is_cheaper(matches.total, matches.count, wanted) {
                let along = Along::new(key, range, self.marks, from);
                self.ahead = Ahead::Walk(Walk::new(matches, along));
                return Ok(());
            }
            let exact = matches.exact && range == Node::All;
            return self.sort(&matches.rows, exact, &from, left).await;
        }
        let matches = self.matches(&self.filter.clone(), None).await?;
        self.sort(&matches.rows, matches.exact, &from, left).await
    }

    /// Reads all rows that match a condition, as bitmaps, of which the first may be here.
    async fn matches(&mut self, filter: &Node, mut begun: Option<page::Bitmaps>) -> Result<Matches> {
        let mut matches = Matches { rows: Rows::default(), count: 0, exact: true, total: 0 };
        let mut next = Some(None);
        while let Some(from) = next {
            let part = match begun.take() {
                Some(part) => part,
                None => self.bitmaps(filter, from, false).await?,
            };
            next = part.next.map(Some);
            matches.exact &= part.exact;
            matches.total = part.total;
            for (segment, bitmap) in part.bitmaps {
                matches.rows.set_segment(segment, bitmap);
            }
        }
        matches.count = matches.rows.len();
        Ok(matches)
    }

    async fn bitmaps(&mut self, filter: &Node, from: Option<u32>, backwards: bool) -> Result<page::Bitmaps> {
        if !self.evaluates {
            match page::bitmaps(&self.db, &self.target, filter, from, backwards).await {
                Err(error) if error.refuses_writes() => self.evaluates = true,
                part => return Ok(self.spend(part?)),
            }
        }
        let part = evaluate::bitmaps(&self.db, &self.target, filter, from, backwards, &mut self.due).await?;
        Ok(self.spend(part))
    }

    fn spend(&mut self, part: page::Bitmaps) -> page::Bitmaps {
        self.note(|spent| {
            spent.call(PlanWay::Bitmaps, part.microseconds, 0, part.size());
        });
        part
    }

    /// Leaves out places that `skip` wants left out.
    fn leave_out(&mut self, mut places: Vec<Place>) -> Vec<Place> {
        let left_out = places.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= left_out as u64;
        places.drain(..left_out);
        places
    }

    /// The columns of the filter and the order.
    fn columns(&self) -> Vec<usize> {
        self.request.fields(self.target.schema, &[])
    }

    /// Finds the records of rows and reads the columns, and drops those that match no more. Two round trips. The rows go in parts, so that the server
    /// reads one while the reply of another is taken apart here.
    async fn look_up(&self, rows: &[u32], columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let columns = &columns.map_or_else(|| Cow::Owned(self.columns()), Cow::Borrowed);
        let parts = rows.chunks(TOGETHER).map(async |rows| {
            let places = page::locate(&self.db, &self.target, rows).await?;
            self.note(|spent| {
                spent.pipeline(rows.len(), places.iter().map(|place| place.id.len()).sum());
            });
            self.read(places, columns).await
        });
        Ok(try_join_all(parts).await?.into_iter().flatten().collect())
    }

    /// The number of records that match. A round trip for each millisecond of the server's time; with a range of a sorted set that is wide, for each
    /// thousand rows in it.
    pub(crate) async fn count(mut self) -> Result<u64> {
        if !self.evaluates {
            match page::count(&self.db, &self.target, &self.filter).await {
                Err(error) if error.refuses_writes() => self.evaluates = true,
                Err(error) => return Err(error),
                Ok(Counted::All(count)) => return Ok(count),
                Ok(Counted::Along(column)) => return Ok(self.along(column).await?.len()),
            }
        }
        // To read a range takes a quarter of the time that the records of its rows do.
        if let Some(column) = self.filter.sorted_range() {
            return Ok(self.along(column).await?.len());
        }
        let matches = self.matches(&self.filter.clone(), None).await?;
        if matches.exact {
            return Ok(matches.count);
        }
        let (rows, mut count) = (matches.rows.iter().collect::<Vec<_>>(), 0);
        for rows in rows.chunks(STEP) {
            count += self.look_up(rows, None).await?.len() as u64;
        }
        Ok(count)
    }

    /// The items that follow: see [`next`](Self::next).
    pub(crate) async fn items<T>(&mut self, rows: usize, left: u64, delivery: &Delivery<T>) -> Result<Vec<Result<T>>> {
        let places = self.next(rows, left, delivery.columns.as_deref()).await?;
        Ok(places.into_iter().filter_map(|place| (delivery.decode)(place).transpose()).collect())
    }

    /// Leaves the order away where it does not matter, as only whether there is a row is asked; after a cursor it does.
    pub(crate) fn forget_order(&mut self, after_cursor: bool) {
        if !after_cursor {
            self.request.order.clear();
        }
    }

    /// Reads the columns of rows that were found before, and drops those that match no more.
    async fn read(&self, mut places: Vec<Place>, columns: &[usize]) -> Result<Vec<Place>> {
        if places.is_empty() {
            return Ok(places);
        }
        let schema = self.target.schema;
        let mut pipeline = redis::Pipeline::with_capacity(places.len());
        for place in &places {
            pipeline.add_command(record::read_command(schema, &place.key, columns));
        }
        let replies = self.db.send_all(&pipeline).await?;
        self.note(|spent| {
            spent.pipeline(replies.len(), replies.iter().flatten().map(size).sum());
        });
        for (place, reply) in places.iter_mut().zip(replies) {
            // The record may have changed, or given its row to another one, since it was found.
            let fields = reply.map_err(|error| self.target.wrong_type(error))?;
            place.fields = Some(fields).filter(|fields| self.still_matches(columns, place.row, fields));
        }
        places.retain(|place| place.fields.is_some());
        Ok(places)
    }

    /// Whether a record still has the row and matches, by what was read of it.
    fn still_matches(&self, columns: &[usize], row: u32, fields: &Value) -> bool {
        let Value::Array(fields) = fields else { return false };
        let [Value::BulkString(found), fields @ ..] = fields.as_slice() else { return false };
        *found == row.to_string().into_bytes() && self.filter.matches(self.target.schema, columns, fields)
    }
}
