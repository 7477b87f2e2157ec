//! Evaluates a filter in this program, in two cases. Either the server does not let scripts keep
//! intermediate bitmaps: it is a read-only replica, or it refuses writes. Or the filter is so long
//! that a script would keep the server from other clients.
//!
//! First the posting lists of the filter's values are read, once for a query: see
//! [`lists`](super::lists). Then, for each segment that may have rows that match,
//! `scripts/query/leaves.lua` reads the other index entries that the leaves of the filter need, in
//! one step. If one call may not read all of them, further calls follow. A record that changes from
//! one value of the filter to another between two calls may then be missed.

use std::collections::BTreeSet;

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::bitmaps::Bitmaps;
use crate::query::exec::call;
use crate::query::exec::lists::Lists;
use crate::query::exec::rows::{self, Rows, SEGMENT};
use crate::query::plan::{Leaf, Node};
use crate::scripts::LEAVES;
use crate::server::Db;
use crate::server::reply;
use crate::value::parse;

/// Index entries that one call reads at most. A call ends earlier if its budget is spent.
const ENTRIES: usize = 500;

/// The rows of a container, as a script reads it.
#[derive(Debug)]
enum Container {
    Bitmap(Vec<u8>),
    Offsets(Vec<u32>),
}

impl Container {
    fn of(value: Value) -> Self {
        match value {
            Value::BulkString(bitmap) => Self::Bitmap(bitmap),
            Value::Array(mut packed) => {
                let members = packed.pop().map(reply::unpacked).and_then(Result::ok).unwrap_or_default();
                Self::Offsets(members.into_iter().filter_map(|member| parse(&reply::bytes(member))).collect())
            }
            _ => Self::Offsets(Vec::new()),
        }
    }

    fn unite_into(&self, all: &mut [u8]) {
        match self {
            Self::Bitmap(bitmap) => all.iter_mut().zip(bitmap).for_each(|(one, two)| *one |= two),
            Self::Offsets(offsets) => rows::insert(all, offsets.iter().copied()),
        }
    }
}

/// The rows of a leaf in a segment.
#[derive(Debug)]
enum LeafRows {
    /// The rows in any of the containers.
    Any(Vec<Container>),
    /// All rows except those in the containers.
    AllBut(Vec<Container>),
    /// Any of the rows that are not in the container, which has the nulls: the range is too wide to
    /// be listed.
    AnyBut(Container),
}

/// The offsets of those rows that are in the segment.
fn in_segment(rows: impl Iterator<Item = Value>, segment: u32) -> Container {
    let offset = |row: Value| match row {
        Value::Int(row) => u32::try_from(row).ok()?.checked_sub(segment * SEGMENT).filter(|offset| *offset < SEGMENT),
        _ => None,
    };
    Container::Offsets(rows.filter_map(offset).collect())
}

impl LeafRows {
    /// Adds what was read for an index entry of this leaf.
    fn add(&mut self, leaf: &Leaf, value: Value, segment: u32) {
        let list = |value| if let Value::Array(list) | Value::Set(list) = value { list } else { Vec::new() };
        match (leaf, &mut *self) {
            (Leaf::Equals { .. } | Leaf::In { .. } | Leaf::Null { .. }, Self::Any(all)) => {
                all.push(Container::of(value));
            }
            (Leaf::Unique { .. }, Self::Any(all)) => all.push(in_segment(list(value).into_iter(), segment)),
            (Leaf::Ordinals { .. }, Self::Any(all)) => all.extend(list(value).into_iter().map(Container::of)),
            _ => {
                // The list has the null rows, then 1 and the rows in the range, or 0 and the rows
                // outside it, or nothing if the range is too wide.
                let mut listed = list(value).into_iter();
                let null = listed.next().map_or(Container::Offsets(Vec::new()), Container::of);
                *self = match listed.next() {
                    Some(Value::Int(1)) => Self::Any(vec![in_segment(listed, segment)]),
                    Some(Value::Int(0)) => Self::AllBut(vec![null, in_segment(listed, segment)]),
                    _ => Self::AnyBut(null),
                };
            }
        }
    }
}

/// What was read of a segment.
struct Segment<'a> {
    /// The bitmap of the rows in use. No other bitmap of the segment is longer here.
    live: Vec<u8>,
    /// The rows of the leaves, in the order of the filter.
    leaves: std::slice::Iter<'a, LeafRows>,
    /// Whether the rows of all ranges are known.
    exact: bool,
}

impl Segment<'_> {
    /// The rows that match. If the rows of a range are not known, the result has at least these
    /// rows with `more`, and at most these rows without it.
    fn evaluate(&mut self, node: &Node, more: bool) -> Vec<u8> {
        match node {
            Node::All => self.live.clone(),
            Node::None => self.empty(),
            Node::Not(inner) => {
                let inner = self.evaluate(inner, !more);
                self.live_without(inner)
            }
            Node::And(parts) => {
                let mut all = self.live.clone();
                for part in parts {
                    let part = self.evaluate(part, more);
                    all.iter_mut().zip(part).for_each(|(one, two)| *one &= two);
                }
                all
            }
            Node::Or(parts) => {
                let mut all = self.empty();
                for part in parts {
                    let part = self.evaluate(part, more);
                    all.iter_mut().zip(part).for_each(|(one, two)| *one |= two);
                }
                all
            }
            Node::Leaf(_) => {
                let length = self.live.len();
                let union = |containers: &[Container]| {
                    let mut all = vec![0; length];
                    containers.iter().for_each(|container| container.unite_into(&mut all));
                    all
                };
                match self.leaves.next() {
                    Some(LeafRows::Any(containers)) => union(containers),
                    Some(LeafRows::AllBut(containers)) => self.live_without(union(containers)),
                    Some(LeafRows::AnyBut(null)) => {
                        self.exact = false;
                        if more { self.live_without(union(std::slice::from_ref(null))) } else { self.empty() }
                    }
                    None => self.empty(),
                }
            }
        }
    }

    fn empty(&self) -> Vec<u8> {
        vec![0; self.live.len()]
    }

    fn live_without(&self, mut rows: Vec<u8>) -> Vec<u8> {
        rows.iter_mut().zip(&self.live).for_each(|(row, live)| *row = !*row & live);
        rows
    }
}

/// What is read once for all segments.
#[derive(Default)]
pub(super) struct Known {
    lists: Lists,
    /// The rows of expired records that the primary has not removed, once these rows are known.
    expired: Option<Rows>,
}

/// The index entries that a filter needs besides posting lists, as words for
/// `scripts/query/leaves.lua`. Each has the number of its leaf.
fn entries(target: &Target, leaves: &[&Leaf], lists: &Lists) -> Vec<(usize, Vec<Vec<u8>>)> {
    let mut entries = Vec::with_capacity(leaves.len());
    let mut add = |at: usize, leaf: &Leaf| {
        let mut words = Vec::new();
        leaf.encode(target.schema, &mut words);
        entries.push((at, words));
    };
    for (at, leaf) in leaves.iter().enumerate() {
        if let Some(lists) = lists.get(leaf) {
            // Each value is an entry of its own, so that a call may end between two values.
            let column = leaf.column();
            for value in &lists.divided {
                match value {
                    Some(value) => add(at, &Leaf::Equals { column, value: value.clone() }),
                    None => add(at, &Leaf::Null { column }),
                }
            }
            if lists.divided.is_empty() {
                // The script refuses an index that is unfinished. So it is asked for one value.
                match leaf {
                    Leaf::In { values, .. } => add(at, &Leaf::Equals { column, value: values[0].clone() }),
                    leaf => add(at, leaf),
                }
            }
            continue;
        }
        match leaf {
            &&Leaf::Unique { column, ref values } => {
                values.chunks(100).for_each(|values| add(at, &Leaf::Unique { column, values: values.to_vec() }));
            }
            leaf => add(at, leaf),
        }
    }
    entries
}

/// Reads the rows of one segment that match, as a bitmap. It is the first segment if `from` is
/// `None`. One round trip for each [`ENTRIES`] index entries of the filter. If records have expired
/// that are not removed, one more, and one for each 900 of them. The first time, some more for the
/// posting lists.
pub(super) async fn bitmaps(
    db: &Db,
    target: &Target,
    filter: &Node,
    from: Option<u32>,
    backwards: bool,
    known: &mut Known,
) -> Result<Bitmaps> {
    let leaves = filter.leaves();
    known.lists.read(db, target, &leaves).await?;
    let Known { lists, expired: due } = known;
    let entries = entries(target, &leaves, lists);
    let candidates = lists.segments(filter);
    let outermost =
        |segments: &BTreeSet<u32>| if backwards { segments.last().copied() } else { segments.first().copied() };
    let (mut rows, mut read, mut segment) = (Vec::new(), 0, from.or_else(|| candidates.as_ref().and_then(outermost)));
    loop {
        if read == 0 {
            rows = leaves.iter().map(|_| LeafRows::Any(Vec::new())).collect::<Vec<_>>();
        }
        let some = &entries[read..entries.len().min(read + ENTRIES)];
        let mut reply = read_leaves(db, target, segment, backwards, some).await?;
        let Some(number) = reply.segment else {
            return Ok(Bitmaps { bitmaps: Vec::new(), next: None, total: reply.total, exact: true, microseconds: 0 });
        };
        segment = Some(number);
        if due.is_none() {
            *due = Some(Rows::default());
            if reply.now > 0 {
                // The expired rows are read before the segment. Otherwise the primary could remove
                // an expired record in between and give its row to another record: the row would
                // match in the segment, and would not be among the expired ones.
                *due = Some(read_due(db, target, reply.now).await?);
                continue;
            }
        }
        for ((leaf, _), value) in some.iter().zip(reply.values.by_ref()) {
            rows[*leaf].add(leaves[*leaf], value, number);
            read += 1;
        }
        if read < entries.len() {
            continue;
        }
        for (leaf, rows) in leaves.iter().zip(&mut rows) {
            if let (Some(lists), LeafRows::Any(all)) = (lists.get(leaf), rows)
                && let Some(bitmap) = lists.rows.segment(number)
            {
                all.push(Container::Bitmap(bitmap.clone()));
            }
        }
        let mut evaluated = Segment { live: reply.live, leaves: rows.iter(), exact: true };
        let mut found = Rows::default();
        found.set_segment(number, evaluated.evaluate(filter, true));
        if let Some(due) = due {
            found.remove(due);
        }
        let next = match candidates {
            Some(segments) if backwards => segments.range(..number).next_back().copied(),
            Some(segments) => segments.range(number + 1..reply.segments.max(number + 1)).next().copied(),
            None if backwards => number.checked_sub(1),
            None => Some(number + 1).filter(|next| *next < reply.segments),
        };
        let (exact, bitmaps) = (evaluated.exact, found.take_first().into_iter().collect());
        return Ok(Bitmaps { bitmaps, next, total: reply.total, exact, microseconds: 0 });
    }
}

/// The reply of `scripts/query/leaves.lua`.
struct LeavesReply {
    /// The segment that was read; `None` if there is no such segment.
    segment: Option<u32>,
    segments: u32,
    /// Number of records of the model.
    total: u64,
    /// The server's time in milliseconds if records have expired, else 0.
    now: u64,
    live: Vec<u8>,
    /// The values of the entries that the script had time to read, one for each.
    values: std::vec::IntoIter<Value>,
}

/// Reads index entries of a segment. One round trip.
async fn read_leaves(
    db: &Db,
    target: &Target,
    segment: Option<u32>,
    backwards: bool,
    entries: &[(usize, Vec<Vec<u8>>)],
) -> Result<LeavesReply> {
    let mut command = call::begin(db, target, &LEAVES);
    command.arg(segment.map(|segment| segment.to_string()).unwrap_or_default()).arg(call::direction(backwards));
    for (_, words) in entries {
        command.arg(words);
    }
    let mut reply = call::run_timeless(db, target, &LEAVES, command).await?;
    let (segment, segments): (u32, u32) = (reply.number()?, reply.number()?);
    let (total, now, live) = (reply.number()?, reply.number()?, reply.bytes()?);
    let segment = Some(segment).filter(|segment| *segment < segments);
    Ok(LeavesReply { segment, segments, total, now, live, values: reply.rest() })
}

/// Rows that one command reads, and how many of these the next command reads again, since rows
/// before them may be removed in between.
const DUE: (usize, usize) = (1000, 100);

/// Rows of the records that have expired by the time `now`, in milliseconds. One round trip for
/// each 900 of them.
async fn read_due(db: &Db, target: &Target, now: u64) -> Result<Rows> {
    let (mut rows, mut at) = (Rows::default(), 0);
    loop {
        let mut command = redis::cmd("ZRANGE");
        // The earliest are removed first, so the others keep their places when counted from the
        // end.
        command.arg(target.keys.ttl()).arg(now).arg("-inf").arg(&["BYSCORE", "REV", "LIMIT"]);
        command.arg(at).arg(DUE.0);
        let some = match db.send(&command).await.map_err(|error| target.wrong_type(error))? {
            Value::Array(some) => some,
            other => return Err(target.unexpected(&other)),
        };
        let count = some.len();
        for row in some {
            if let Some(row) = parse(&reply::bytes(row)) {
                rows.insert(row);
            }
        }
        if count < DUE.0 {
            return Ok(rows);
        }
        at += DUE.0 - DUE.1;
    }
}
