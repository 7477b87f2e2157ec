//! The row scan of this program, by bitmaps. It reads all rows that match in row order, or the rows
//! of one value of a column after the other.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::slice;

use crate::error::Result;
use crate::query::exec::context::{Context, MatchingRows};
use crate::query::exec::hit::Hit;
use crate::query::exec::lookup;
use crate::query::exec::position::{Member, Position};
use crate::query::exec::rows::{Rows, SEGMENT};
use crate::query::plan::{Leaf, Node};
use crate::query::request::OrderKey;
use crate::server::reply;
use crate::value::parse;

pub(super) struct RowScan {
    /// The current run, and those that follow.
    runs: VecDeque<Run>,
    /// If set, only the rows that are also in this set are delivered.
    within: Option<MatchingRows>,
    backwards: bool,
    /// Rows of the current segment that are left.
    rows: VecDeque<u32>,
    /// Segments that were read but not scanned yet.
    bitmaps: VecDeque<(u32, Vec<u8>)>,
    /// The segment to read next: `Some(None)` for the first one, `None` if all were read.
    next: Option<Option<u32>>,
    /// Whether all rows match. Otherwise each has to be tested by its record.
    exact: bool,
    /// The row to begin after.
    after: Option<u32>,
    /// The position to continue from when the scan is done.
    then: Option<Position>,
}

/// Rows that are delivered in row order.
struct Run {
    filter: Node,
    kind: RunKind,
}

/// What the rows of a run have in common, which is a part of their positions.
enum RunKind {
    All,
    Null,
    Ordinal(u16),
}

impl Run {
    fn position(&self, row: u32) -> Position {
        match &self.kind {
            RunKind::All => Position::Row(row),
            RunKind::Null => Position::Null(Some(row)),
            RunKind::Ordinal(ordinal) => {
                let (score, member) = (ordinal.to_string().into_bytes(), row.to_be_bytes().to_vec());
                Position::Value(Some(Member { score, member }))
            }
        }
    }
}

impl RowScan {
    /// Begins after a position, which must be in the first run.
    fn new(runs: VecDeque<Run>, from: &Position, backwards: bool) -> Self {
        let after = match from {
            Position::Row(row) => Some(*row),
            Position::Null(row) => *row,
            Position::Value(member) => member.as_ref().map(Member::row),
            Position::Start | Position::Entry(_) => None,
        };
        let first = match after {
            Some(row) if backwards => Some(row.saturating_sub(1) / SEGMENT),
            Some(row) => Some(row.saturating_add(1) / SEGMENT),
            None => None,
        };
        let (rows, bitmaps, next) = (VecDeque::new(), VecDeque::new(), Some(first));
        Self { runs, within: None, backwards, rows, bitmaps, next, exact: true, after, then: None }
    }

    /// A scan of all rows that match.
    pub(super) fn all(context: &Context, from: &Position) -> Self {
        let run = Run { filter: context.filter.clone(), kind: RunKind::All };
        Self::new(VecDeque::from([run]), from, context.request.backwards)
    }

    /// A scan of the rows that are null in the column of an order.
    pub(super) fn nulls(context: &Context, key: OrderKey, from: &Position) -> Self {
        let filter = Node::and(vec![context.filter.clone(), Node::Leaf(Leaf::Null { column: key.column })]);
        let runs = VecDeque::from([Run { filter, kind: RunKind::Null }]);
        let then = key.nulls_first.then_some(Position::Value(None));
        Self { then, ..Self::new(runs, from, key.descending) }
    }

    /// A scan of the order of a column of few values, value by value. Only rows in `matches` are
    /// delivered. One round trip.
    pub(super) async fn values(
        context: &Context,
        key: OrderKey,
        from: &Position,
        matches: MatchingRows,
    ) -> Result<Self> {
        let (schema, at) = (context.target.schema, key.column);
        let column = &schema.columns()[at];
        let (range, _) = context.filter.split_range(at);
        let mut runs = Vec::new();
        for value in lookup::values(&context.db, &context.target, at).await? {
            let (within, stored) = (range.matches(schema, &[at], slice::from_ref(&value)), reply::bytes(value));
            if let Some(ordinal) = column.ordinal_of(&stored).filter(|_| within) {
                let filter = Node::Leaf(Leaf::In { column: at, values: vec![stored] });
                runs.push(Run { filter, kind: RunKind::Ordinal(ordinal) });
            }
        }
        if column.is_nullable() {
            runs.push(Run { filter: Node::Leaf(Leaf::Null { column: at }), kind: RunKind::Null });
        }
        runs.sort_by(|one, two| match (&one.kind, &two.kind) {
            (RunKind::Ordinal(one), RunKind::Ordinal(two)) if key.descending => two.cmp(one),
            (RunKind::Ordinal(one), RunKind::Ordinal(two)) => one.cmp(two),
            (one, _) if matches!(one, RunKind::Null) == key.nulls_first => Ordering::Less,
            _ => Ordering::Greater,
        });
        // The values that an enum does not know share an ordinal, so their rows are one run in row
        // order.
        runs.dedup_by(|next, run| {
            let same = matches!((&run.kind, &next.kind), (RunKind::Ordinal(one), RunKind::Ordinal(two)) if one == two);
            if same
                && let Node::Leaf(Leaf::In { values: more, .. }) = &mut next.filter
                && let Node::Leaf(Leaf::In { values, .. }) = &mut run.filter
            {
                values.append(more);
                values.sort_unstable();
            }
            same
        });
        let begin = match from {
            Position::Value(Some(member)) => parse::<u16>(&member.score),
            _ => None,
        };
        runs.retain(|run| match (from, &run.kind) {
            (Position::Null(_), kind) => key.nulls_first || matches!(kind, RunKind::Null),
            (Position::Value(_), RunKind::Ordinal(ordinal)) => {
                begin.is_none_or(|begin| if key.descending { *ordinal <= begin } else { *ordinal >= begin })
            }
            (Position::Value(_), RunKind::Null) => !key.nulls_first,
            _ => true,
        });
        // The value of the position may be gone. Then the next run is read from its start.
        let here = runs.first().is_some_and(|run| match run.kind {
            RunKind::Ordinal(ordinal) => Some(ordinal) == begin,
            _ => matches!(from, Position::Null(_)),
        });
        let from = if here { from } else { &Position::Start };
        Ok(Self { within: Some(matches), ..Self::new(runs.into(), from, key.descending) })
    }

    /// Whether nothing follows.
    pub(super) fn is_done(&self) -> bool {
        self.is_read() && self.then.is_none()
    }

    /// Whether the runs have no more rows.
    fn is_read(&self) -> bool {
        self.rows.is_empty() && self.bitmaps.is_empty() && self.next.is_none() && self.runs.len() <= 1
    }

    /// Finds up to `rows` of the rows that follow, at most to the end of a run.
    pub(super) async fn next(
        &mut self,
        context: &mut Context,
        rows: usize,
        columns: Option<&[usize]>,
    ) -> Result<Vec<Hit>> {
        let mut taken = Vec::new();
        while taken.len() < rows {
            if self.exact {
                self.rows.drain(..context.leave_out(self.rows.len()));
            }
            let some = self.rows.len().min(rows - taken.len());
            taken.extend(self.rows.drain(..some));
            if !self.rows.is_empty() {
                continue;
            }
            let Some(run) = self.runs.front() else { break };
            if let Some((segment, bitmap)) = self.bitmaps.pop_front() {
                let mut set = Rows::default();
                set.set_segment(segment, bitmap);
                if self.backwards {
                    self.rows = set.iter().rev().filter(|&row| self.after.is_none_or(|after| row < after)).collect();
                } else {
                    self.rows = set.iter().filter(|&row| self.after.is_none_or(|after| row > after)).collect();
                }
                if !context.request.order.is_empty() {
                    let within = |row| self.within.as_ref().is_none_or(|within| within.rows.has(row));
                    self.rows.retain(|&row| within(row) && !context.delivered.has(row));
                }
            } else if let Some(from) = self.next {
                let part = context.bitmaps(&run.filter, from, self.backwards).await?;
                self.next = part.next.map(Some);
                self.exact &= part.exact && self.within.as_ref().is_none_or(|within| within.exact);
                self.bitmaps = part.bitmaps.into();
            } else if self.runs.len() > 1 && taken.is_empty() {
                self.runs.pop_front();
                (self.next, self.after) = (Some(None), None);
            } else {
                break;
            }
        }
        let Some(run) = self.runs.front() else { return Ok(Vec::new()) };
        context.next = match taken.last() {
            // What follows is left to the next call, so that a full page ends with a row.
            Some(&last) if !self.is_done() => Some(run.position(last)),
            _ if self.is_read() => self.then.take(),
            _ => return Ok(Vec::new()),
        };
        if !context.request.order.is_empty() {
            for &row in &taken {
                context.delivered.insert(row);
            }
        }
        let mut hits = context.look_up(&taken, columns).await?;
        if !self.exact {
            hits.drain(..context.leave_out(hits.len()));
        }
        if context.first.is_none() {
            context.first = hits.first().map(|hit| run.position(hit.row));
        }
        Ok(hits)
    }
}
