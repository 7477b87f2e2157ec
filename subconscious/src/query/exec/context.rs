//! What all ways of running a query share.

use std::borrow::Cow;

use futures::future::try_join_all;
use redis::Value;

use crate::error::{Error, Result};
use crate::model::index::Need;
use crate::model::target::Target;
use crate::query::exec::bitmaps::{self, Bitmaps};
use crate::query::exec::evaluate;
use crate::query::exec::hit::Hit;
use crate::query::exec::lookup;
use crate::query::exec::position::Position;
use crate::query::exec::rows::Rows;
use crate::query::exec::scores::{self, ScoreRange};
use crate::query::plan::{Leaf, Node};
use crate::query::request::Request;
use crate::query::stats::{QueryStats, Stats};
use crate::query::way::PlanWay;
use crate::server::Db;
use crate::write::record;

/// Rows that a step of the client reads at most. A count reads four times as many members of an
/// order.
pub(super) const STEP: usize = 1000;

/// Rows whose records one pipeline looks up.
const TOGETHER: usize = 250;

/// A query that is running: what it asks for, and how far it has got.
pub(super) struct Context {
    pub(super) db: Db,
    pub(super) target: Target,
    pub(super) request: Request,
    /// The filter of the request.
    pub(super) filter: Node,
    /// Whether the filter is evaluated in this program: see [`evaluate`].
    pub(super) client_side: bool,
    /// What is read once to evaluate the filter in this program.
    known: evaluate::Known,
    /// Number of matching rows still to leave out.
    pub(super) skip: u64,
    /// The position to continue from; `None` if all rows were read.
    pub(super) next: Option<Position>,
    /// The position of the first row that was found.
    pub(super) first: Option<Position>,
    /// Whether `first` and `next` must be exact, so that a page can begin there. Otherwise they
    /// only say whether there is a row.
    pub(super) exact_positions: bool,
    /// Rows found so far, in an order where a row that moves could be met again.
    pub(super) delivered: Rows,
    stats: Option<Stats>,
}

/// All rows that match a filter.
pub(super) struct MatchingRows {
    pub(super) rows: Rows,
    pub(super) count: u64,
    /// Whether all of these rows match. Otherwise each has to be tested by its record.
    pub(super) exact: bool,
    /// Number of records of the model.
    pub(super) total: u64,
}

/// Bytes of the texts in a reply.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

/// The filter of a request, or the error if it is refused. Notes what the request needs.
pub(crate) fn filter(target: &mut Target, request: &Request) -> Result<Node> {
    if let Some(reason) = request.condition.refusal(target.schema) {
        return Err(Error::InvalidQuery { model: target.schema.name(), reason });
    }
    let schema = target.schema;
    let filter = Node::of(schema, &request.condition);
    let of_order = request.order.iter().map(|key| Need::Order(key.column));
    target.need(filter.leaves().into_iter().map(Leaf::need).chain(of_order));
    let same = std::ptr::eq(schema, target.schema);
    Ok(if same { filter } else { Node::of(target.schema, &request.condition) })
}

impl Context {
    pub(super) fn new(db: &Db, mut target: Target, request: Request, from: Position, skip: u64) -> Result<Self> {
        let filter = filter(&mut target, &request)?;
        // Scripts read a single container or sorted set without an intermediate bitmap.
        let alone = matches!(
            filter,
            Node::All | Node::None | Node::Leaf(Leaf::Equals { .. } | Leaf::Null { .. } | Leaf::Range { .. })
        );
        Ok(Self {
            client_side: db.is_read_only() && !alone || filter.is_long(),
            db: db.clone(),
            target,
            request,
            filter,
            known: evaluate::Known::default(),
            skip,
            next: Some(from),
            first: None,
            exact_positions: false,
            delivered: Rows::default(),
            stats: None,
        })
    }

    /// Notes from now on what the query costs, if there are statistics to note it in.
    pub(super) fn set_stats(&mut self, stats: Option<Stats>) {
        if let Some(stats) = &stats {
            self.db = self.db.counting(stats.traffic());
        }
        self.stats = stats;
    }

    pub(super) fn stats(&self) -> Option<Stats> {
        self.stats.clone()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut QueryStats)) {
        if let Some(stats) = &self.stats {
            stats.note(note);
        }
    }

    /// Notes the bytes in the replies of plain commands.
    fn note_bytes(&self, bytes: usize) {
        self.note(|stats| stats.bytes += bytes as u64);
    }

    /// Reads all rows that match a filter, as bitmaps. `begun` has the first of them, if they were
    /// read before.
    pub(super) async fn matching(&mut self, filter: &Node, mut begun: Option<Bitmaps>) -> Result<MatchingRows> {
        let mut matches = MatchingRows { rows: Rows::default(), count: 0, exact: true, total: 0 };
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
        if !matches.exact {
            matches.exact = self.compare_scores(filter, &mut matches.rows).await?;
        }
        matches.count = matches.rows.len();
        Ok(matches)
    }

    /// Removes rows whose scores are not in the ranges of a filter. Returns whether all that is
    /// left matches, if all rows match the filter without its ranges.
    async fn compare_scores(&self, filter: &Node, rows: &mut Rows) -> Result<bool> {
        let (ranges, mut exact) = scores::ranges(self.target.schema, filter);
        for range in ranges {
            let column = self.target.schema.columns()[range.column()].name();
            self.note(|stats| stats.way(PlanWay::Scores, format!("many rows are in the range of `{column}`")));
            exact &= self.keep(range, rows, true).await?;
        }
        Ok(exact)
    }

    /// Removes rows whose scores are not in a range. The records of rows whose scores do not decide
    /// it are tested, if they are few; otherwise it returns false.
    pub(super) async fn keep(&self, range: ScoreRange, rows: &mut Rows, zones: bool) -> Result<bool> {
        let mut undecided = scores::keep(&self.db, &self.target, range, rows, zones).await?;
        let doubts: Vec<u32> = undecided.iter().collect();
        if doubts.len() > STEP {
            return Ok(false);
        }
        for hit in self.look_up(&doubts, None).await? {
            undecided.remove_row(hit.row);
        }
        rows.remove(&undecided);
        Ok(true)
    }

    /// Reads the rows that match a filter in some segments, from segment `from` on.
    pub(super) async fn bitmaps(&mut self, filter: &Node, from: Option<u32>, backwards: bool) -> Result<Bitmaps> {
        if !self.client_side {
            match bitmaps::read(&self.db, &self.target, filter, from, backwards).await {
                Err(error) if error.refuses_writes() => self.client_side = true,
                part => return Ok(self.noted(part?)),
            }
        }
        let part = evaluate::bitmaps(&self.db, &self.target, filter, from, backwards, &mut self.known).await?;
        Ok(self.noted(part))
    }

    fn noted(&self, part: Bitmaps) -> Bitmaps {
        self.note(|stats| stats.call(PlanWay::Bitmaps, part.microseconds, 0, part.size()));
        part
    }

    /// Leaves out the first of the next `rows` rows, which all match, and returns how many. `skip`
    /// is reduced by this number.
    pub(super) fn leave_out(&mut self, rows: usize) -> usize {
        let left_out = rows.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.skip -= left_out as u64;
        left_out
    }

    /// The columns of the filter and the order.
    pub(super) fn columns(&self) -> Vec<usize> {
        let of_filter: Vec<usize> = self.filter.leaves().into_iter().map(Leaf::column).collect();
        self.request.fields(self.target.schema, &of_filter)
    }

    /// The scores of rows in a column's sorted set: see [`lookup::scores`].
    pub(super) async fn scores(&self, column: usize, rows: &[u32]) -> Result<Vec<Option<Vec<u8>>>> {
        let scores = lookup::scores(&self.db, &self.target, column, rows).await?;
        self.note_bytes(scores.iter().flatten().map(Vec::len).sum());
        Ok(scores)
    }

    /// Finds the records of rows, reads the columns, and drops the rows that no longer match. Two
    /// round trips. The rows are divided among several pipelines, so that the server reads one
    /// while this program decodes the reply of another.
    pub(super) async fn look_up(&self, rows: &[u32], columns: Option<&[usize]>) -> Result<Vec<Hit>> {
        let columns = &columns.map_or_else(|| Cow::Owned(self.columns()), Cow::Borrowed);
        let parts = rows.chunks(TOGETHER).map(async |rows| {
            let hits = lookup::locate(&self.db, &self.target, rows).await?;
            self.note_bytes(hits.iter().map(|hit| hit.id.len()).sum());
            self.read(hits, columns).await
        });
        Ok(try_join_all(parts).await?.into_iter().flatten().collect())
    }

    /// Reads the columns of rows that were found before, and drops the rows that no longer match.
    pub(super) async fn read(&self, mut hits: Vec<Hit>, columns: &[usize]) -> Result<Vec<Hit>> {
        if hits.is_empty() {
            return Ok(hits);
        }
        let schema = self.target.schema;
        let mut pipeline = redis::Pipeline::with_capacity(hits.len());
        for hit in &hits {
            pipeline.add_command(record::read_command(schema, &hit.key, columns));
        }
        let replies = self.db.send_all(&pipeline).await?;
        self.note_bytes(replies.iter().flatten().map(size).sum());
        for (hit, reply) in hits.iter_mut().zip(replies) {
            // Since the row was found, its record may have changed, or the row may have got another
            // record.
            let fields = reply.map_err(|error| self.target.wrong_type(error))?;
            hit.fields = Some(fields).filter(|fields| self.still_matches(columns, hit.row, fields));
        }
        hits.retain(|hit| hit.fields.is_some());
        Ok(hits)
    }

    /// Whether a record still has the row and matches, by the fields that were read.
    fn still_matches(&self, columns: &[usize], row: u32, fields: &Value) -> bool {
        let Value::Array(fields) = fields else { return false };
        let [Value::BulkString(found), fields @ ..] = fields.as_slice() else { return false };
        *found == row.to_string().into_bytes() && self.filter.matches(self.target.schema, columns, fields)
    }
}
