//! Evaluates a filter in this program, where the server can't or should not: where it lets no
//! script keep an intermediate bitmap (a read-only replica, a server that refuses writes), and
//! where the filter is so long that a script would keep the server from others.
//!
//! `scripts/query/leaves.lua` reads the index entries that the leaves of the filter need, of one segment
//! in one step. Where they are more than one call may read, further calls go on; a record that
//! changes from one value of the filter to another one between two calls may then be missed.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::bitmaps::Bitmaps;
use crate::query::exec::call;
use crate::query::exec::rows::{self, Rows, SEGMENT};
use crate::query::plan::{Leaf, Node};
use crate::scripts::LEAVES;
use crate::server::Db;
use crate::server::reply;
use crate::value::parse;

/// Index entries that one call reads at most. It ends earlier when its time is spent.
const ENTRIES: usize = 500;

/// The rows of a container: what a script reads of it.
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
    /// All rows but those.
    AllBut(Vec<Container>),
    /// A range too wide to be listed: any rows but those.
    AnyBut(Container),
}

/// The offsets of rows that are in the segment.
fn in_segment(rows: impl Iterator<Item = Value>, segment: u32) -> Container {
    let offset = |row: Value| match row {
        Value::Int(row) => u32::try_from(row).ok()?.checked_sub(segment * SEGMENT).filter(|offset| *offset < SEGMENT),
        _ => None,
    };
    Container::Offsets(rows.filter_map(offset).collect())
}

impl LeafRows {
    /// Adds what was read of an entry of this leaf.
    fn add(&mut self, leaf: &Leaf, value: Value, segment: u32) {
        let list = |value| if let Value::Array(list) | Value::Set(list) = value { list } else { Vec::new() };
        match (leaf, &mut *self) {
            (Leaf::Equals { .. } | Leaf::In { .. } | Leaf::Null { .. }, Self::Any(all)) => {
                all.push(Container::of(value));
            }
            (Leaf::Unique { .. }, Self::Any(all)) => all.push(in_segment(list(value).into_iter(), segment)),
            (Leaf::Ordinals { .. }, Self::Any(all)) => all.extend(list(value).into_iter().map(Container::of)),
            _ => {
                // The null rows, which of the three it is, and the rows.
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

/// A segment, as far as it was read.
struct Segment<'a> {
    /// The rows in use, up to the last one. No bitmap here is longer.
    live: Vec<u8>,
    /// In the order of the filter's leaves.
    leaves: std::slice::Iter<'a, LeafRows>,
    /// Whether all ranges are known row by row.
    exact: bool,
}

impl Segment<'_> {
    /// The rows that match; where a range is not known row by row, at least these if `more`, else
    /// at most.
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

/// The index entries that a filter needs, as words of `scripts/query/leaves.lua`, each with the number of
/// its leaf.
fn entries(target: &Target, leaves: &[&Leaf]) -> Vec<(usize, Vec<Vec<u8>>)> {
    let mut entries = Vec::with_capacity(leaves.len());
    let mut add = |at: usize, leaf: &Leaf| {
        let mut words = Vec::new();
        leaf.encode(target.schema, &mut words);
        entries.push((at, words));
    };
    for (at, leaf) in leaves.iter().enumerate() {
        match leaf {
            // Each value is an entry of its own, so that a call may end between two.
            &&Leaf::In { column, ref values } => {
                values.iter().for_each(|value| add(at, &Leaf::Equals { column, value: value.clone() }));
            }
            &&Leaf::Unique { column, ref values } => {
                values.chunks(100).for_each(|values| add(at, &Leaf::Unique { column, values: values.to_vec() }));
            }
            leaf => add(at, leaf),
        }
    }
    entries
}

/// Reads the rows that match as a bitmap, of one segment, the first one if `from` is none. One
/// round trip for each [`ENTRIES`] index entries of the filter, and one or two more to learn which
/// records expired.
///
/// `due` has the rows of records that expired but that the primary has not removed, once they are
/// known.
pub(super) async fn bitmaps(
    db: &Db,
    target: &Target,
    filter: &Node,
    from: Option<u32>,
    backwards: bool,
    due: &mut Option<Rows>,
) -> Result<Bitmaps> {
    let leaves = filter.leaves();
    let entries = entries(target, &leaves);
    let (mut rows, mut read, mut segment) = (Vec::new(), 0, from);
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
                // Before the segment, lest a row that is given to another record in between be
                // taken for one that matches.
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
        let mut evaluated = Segment { live: reply.live, leaves: rows.iter(), exact: true };
        let mut found = Rows::default();
        found.set_segment(number, evaluated.evaluate(filter, true));
        if let Some(due) = due {
            found.remove(due);
        }
        let next =
            if backwards { number.checked_sub(1) } else { Some(number + 1).filter(|next| *next < reply.segments) };
        let (exact, bitmaps) = (evaluated.exact, found.take_first().into_iter().collect());
        return Ok(Bitmaps { bitmaps, next, total: reply.total, exact, microseconds: 0 });
    }
}

/// What `scripts/query/leaves.lua` answered.
struct LeavesReply {
    /// The segment that was read; `None` if there is no such segment.
    segment: Option<u32>,
    segments: u32,
    /// Records of the model.
    total: u64,
    /// The time in milliseconds, if there are records that expired before; else 0.
    now: u64,
    live: Vec<u8>,
    /// One value for each entry, of as many as there was time for.
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

/// Rows that are read at a time, and by how many less the next ones begin later, as some may be
/// removed meanwhile.
const DUE: (usize, usize) = (1000, 100);

/// Rows of the records that expired before that time, in milliseconds. A round trip for each 900 of
/// them.
async fn read_due(db: &Db, target: &Target, now: u64) -> Result<Rows> {
    let (mut rows, mut at) = (Rows::default(), 0);
    loop {
        let mut command = redis::cmd("ZRANGE");
        // Removed are the earliest first, so that from the other end they keep their places.
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
