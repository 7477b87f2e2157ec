//! The way in row order: through all that matches, or through one value of a column after the other.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::{mem, slice};

use redis::Value;

use crate::error::Result;
use crate::query::filter::Condition;
use crate::query::page::{self, OrderKey, Place, Position, Request};
use crate::query::plan;
use crate::query::reader::{Matches, Reader};
use crate::query::rows::{Rows, SEGMENT};
use crate::scripts;
use crate::value::parse;

/// A way in row order.
pub(super) struct Scan {
    /// The run that was begun, and those to come.
    runs: VecDeque<Run>,
    /// What else the rows have to be among.
    within: Option<Matches>,
    backwards: bool,
    /// Rows of the segment that was begun.
    rows: VecDeque<u32>,
    /// Segments to come, of those that were read.
    bitmaps: VecDeque<(u32, Vec<u8>)>,
    /// The segment to be read next, the first one, or none.
    next: Option<Option<u32>>,
    /// Whether all rows match, or their records have to be looked at.
    exact: bool,
    /// The row to begin after.
    after: Option<u32>,
    /// Where to go on when it is done.
    then: Option<Position>,
}

/// Rows that follow each other in row order.
struct Run {
    condition: Condition,
    mark: Mark,
}

/// What the position of a row is made of, besides the row: see [`Position`].
enum Mark {
    Row,
    Null,
    Ordinal(u16),
}

impl Run {
    fn position(&self, row: u32) -> Position {
        let text = row.to_string().into_bytes();
        match &self.mark {
            Mark::Row => Position { code: b"r".to_vec(), first: text, second: Vec::new() },
            Mark::Null => Position { code: b"n".to_vec(), first: text, second: Vec::new() },
            Mark::Ordinal(ordinal) => {
                let (first, second) = (ordinal.to_string().into_bytes(), row.to_be_bytes().to_vec());
                Position { code: b"k".to_vec(), first, second }
            }
        }
    }
}

impl Scan {
    /// Begins after the position, which is one in the first run.
    fn new(runs: VecDeque<Run>, from: &Position, backwards: bool) -> Self {
        let after = match &from.code[..] {
            b"k" => from.second.last_chunk().map(|row| u32::from_be_bytes(*row)),
            _ => parse::<u32>(&from.first),
        };
        let first = match after {
            Some(row) if backwards => Some(row.saturating_sub(1) / SEGMENT),
            Some(row) => Some(row.saturating_add(1) / SEGMENT),
            None => None,
        };
        let (rows, bitmaps, next) = (VecDeque::new(), VecDeque::new(), Some(first));
        Self { runs, within: None, backwards, rows, bitmaps, next, exact: true, after, then: None }
    }

    /// A way through all that matches.
    pub(super) fn of(request: &Request, from: &Position) -> Self {
        let run = Run { condition: request.condition.clone(), mark: Mark::Row };
        Self::new(VecDeque::from([run]), from, request.backwards)
    }

    /// Whether nothing follows.
    pub(super) fn is_done(&self) -> bool {
        self.is_read() && self.then.is_none()
    }

    /// Whether it has no more rows.
    fn is_read(&self) -> bool {
        self.rows.is_empty() && self.bitmaps.is_empty() && self.next.is_none() && self.runs.len() <= 1
    }
}

impl Reader {
    /// Goes on in row order, to the end of a run.
    pub(super) async fn scan(&mut self, scan: &mut Scan, rows: usize, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let mut taken = Vec::new();
        while taken.len() < rows {
            if scan.exact && self.skip > 0 {
                let left_out = scan.rows.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                scan.rows.drain(..left_out);
                self.skip -= left_out as u64;
            }
            let some = scan.rows.len().min(rows - taken.len());
            taken.extend(scan.rows.drain(..some));
            if !scan.rows.is_empty() {
                continue;
            }
            let Some(run) = scan.runs.front() else { break };
            if let Some((segment, bitmap)) = scan.bitmaps.pop_front() {
                let mut set = Rows::default();
                set.set_segment(segment, bitmap);
                if scan.backwards {
                    scan.rows = set.iter().rev().filter(|&row| scan.after.is_none_or(|after| row < after)).collect();
                } else {
                    scan.rows = set.iter().filter(|&row| scan.after.is_none_or(|after| row > after)).collect();
                }
                if !self.request.order.is_empty() {
                    let within = |row| scan.within.as_ref().is_none_or(|within| within.rows.has(row));
                    scan.rows.retain(|&row| within(row) && !self.found.has(row));
                }
            } else if let Some(from) = scan.next {
                let part = self.bitmaps(&run.condition.clone(), from, scan.backwards).await?;
                scan.next = part.next.map(Some);
                scan.exact &= part.exact && scan.within.as_ref().is_none_or(|within| within.exact);
                scan.bitmaps = part.bitmaps.into();
            } else if scan.runs.len() > 1 && taken.is_empty() {
                scan.runs.pop_front();
                (scan.next, scan.after) = (Some(None), None);
            } else {
                break;
            }
        }
        let Some(run) = scan.runs.front() else { return Ok(Vec::new()) };
        self.from = match taken.last() {
            // What comes then is the next call's, so that a full page ends with a row.
            Some(&last) if !scan.is_done() => Some(run.position(last)),
            _ if scan.is_read() => scan.then.take(),
            _ => return Ok(Vec::new()),
        };
        if !self.request.order.is_empty() {
            for &row in &taken {
                self.found.insert(row);
            }
        }
        let mut places = self.look_up(&taken, columns).await?;
        if !scan.exact {
            places = self.leave_out(places);
        }
        if self.first.is_none() {
            self.first = places.first().map(|place| run.position(place.row));
        }
        Ok(places)
    }

    /// A way through the nulls of an order.
    pub(super) fn scan_nulls(&self, key: OrderKey, from: &Position) -> Scan {
        let condition = self.request.condition.clone().and(Condition::IsNull { column: key.column });
        let runs = VecDeque::from([Run { condition, mark: Mark::Null }]);
        let then = key.nulls_first.then(|| Position { code: b"k".to_vec(), ..Position::default() });
        Scan { then, ..Scan::new(runs, from, key.descending) }
    }

    /// A way through the order of a column of few values, value by value, for what matches the condition. One round trip.
    pub(super) async fn scan_values(&self, key: OrderKey, from: &Position, matches: Matches) -> Result<Scan> {
        let (schema, at) = (self.target.schema, key.column);
        let column = &schema.columns()[at];
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.target.keys.values(column.name())).arg(0).arg(-1);
        let reply = self.db.send(&command).await.map_err(|error| self.target.wrong_type(error))?;
        let Value::Array(values) = reply else { return Err(page::unexpected(&self.target, &reply)) };
        let (range, _) = plan::split_range(&self.request.condition, at);
        let begin = parse::<u16>(&from.first);
        let mut runs = Vec::new();
        for value in values {
            let (within, stored) = (range.matches(schema, &[at], slice::from_ref(&value)), scripts::bytes(value));
            if let Some(ordinal) = column.ordinal_of(&stored).filter(|_| within) {
                runs.push(Run { condition: Condition::Equals { column: at, stored }, mark: Mark::Ordinal(ordinal) });
            }
        }
        if column.is_nullable() {
            runs.push(Run { condition: Condition::IsNull { column: at }, mark: Mark::Null });
        }
        runs.sort_by(|one, two| match (&one.mark, &two.mark) {
            (Mark::Ordinal(one), Mark::Ordinal(two)) if key.descending => two.cmp(one),
            (Mark::Ordinal(one), Mark::Ordinal(two)) => one.cmp(two),
            (one, _) if matches!(one, Mark::Null) == key.nulls_first => Ordering::Less,
            _ => Ordering::Greater,
        });
        // Values that an enum does not know have one ordinal, and are in the order of their rows.
        runs.dedup_by(|next, run| {
            let same = matches!((&run.mark, &next.mark), (Mark::Ordinal(one), Mark::Ordinal(two)) if one == two);
            if same {
                let one = mem::replace(&mut run.condition, Condition::Nothing);
                run.condition = one.or(mem::replace(&mut next.condition, Condition::Nothing));
            }
            same
        });
        runs.retain(|run| match (&from.code[..], &run.mark) {
            (b"n", mark) => key.nulls_first || matches!(mark, Mark::Null),
            (b"k", Mark::Ordinal(ordinal)) => {
                begin.is_none_or(|begin| if key.descending { *ordinal <= begin } else { *ordinal >= begin })
            }
            (b"k", Mark::Null) => !key.nulls_first,
            _ => true,
        });
        // Its value may be gone.
        let here = runs.first().is_some_and(|run| match run.mark {
            Mark::Ordinal(ordinal) => Some(ordinal) == begin,
            _ => from.code == b"n",
        });
        let from = if here { from } else { &Position::default() };
        Ok(Scan { within: Some(matches), ..Scan::new(runs.into(), from, key.descending) })
    }
}
