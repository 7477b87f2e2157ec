//! Meets the parts of a condition here, where the server can't: a read-only replica lets no script keep an intermediate bitmap.
//!
//! It runs the program that `scripts/filter.lua` runs, over containers that plain commands read.

use std::collections::{BTreeMap, BTreeSet};
use std::vec;

use redis::{Pipeline, Value};

use crate::db::Db;
use crate::error::Result;
use crate::query::filter::Condition;
use crate::query::page::{self, Bitmaps, Words};
use crate::query::plan;
use crate::query::rows::{self, Rows, SEGMENT};
use crate::scripts::{self, Answer, LEAVES};
use crate::value::parse;
use crate::write::Target;

/// A container in each segment: a column and a value of it, `None` for null.
type Container = (Vec<u8>, Option<Vec<u8>>);

/// A program as a tree. What a number stands for, `scripts/leaves.lua` says at this place.
enum Node {
    All,
    Nothing,
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Container(Container),
    /// The row that has a unique value.
    Row(usize),
    /// The rows with one of some values of the column.
    Values(Vec<u8>, usize),
    /// The rows in a range, and the container of those that are null.
    Range(Container, usize),
}

impl Node {
    /// Reads the words of a program, of which so many leaves have been met.
    fn parse(words: &mut impl Iterator<Item = Vec<u8>>, leaves: &mut usize) -> Self {
        let operator = words.next().unwrap_or_default();
        match &operator[..] {
            b"*" => return Self::All,
            b"-" => return Self::Nothing,
            b"!" => return Self::Not(Box::new(Self::parse(words, leaves))),
            _ => {}
        }
        let name = words.next().unwrap_or_default();
        match &operator[..] {
            b"&" | b"|" => {
                let count = parse(&name).unwrap_or(0);
                let parts = (0..count).map(|_| Self::parse(words, leaves)).collect();
                return if operator == b"&" { Self::And(parts) } else { Self::Or(parts) };
            }
            b"=" => return Self::Container((name, words.next())),
            b"i" => {
                let count = words.next().and_then(|count| parse(&count)).unwrap_or(0);
                return Self::Or(words.take(count).map(|value| Self::Container((name.clone(), Some(value)))).collect());
            }
            b"0" => return Self::Container((name, None)),
            _ => {}
        }
        let leaf = *leaves;
        *leaves += 1;
        // What else there is, the script has read.
        match &operator[..] {
            b"q" => {
                words.nth(0);
                Self::Row(leaf)
            }
            b"v" => {
                words.nth(1);
                Self::Values(name, leaf)
            }
            _ => {
                words.nth(4);
                Self::Range((name, None), leaf)
            }
        }
    }

    /// Adds the containers that it needs, as far as these leaves tell.
    fn containers(&self, leaves: &[Value], found: &mut BTreeSet<Container>) {
        match self {
            Self::All | Self::Nothing | Self::Row(_) => {}
            Self::Not(inner) => inner.containers(leaves, found),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.containers(leaves, found)),
            Self::Container(container) | Self::Range(container, _) => {
                found.insert(container.clone());
            }
            Self::Values(column, leaf) => {
                let values = list(leaves.get(*leaf)).map(|value| scripts::bytes(value.clone()));
                found.extend(values.map(|value| (column.clone(), Some(value))));
            }
        }
    }
}

/// Reads a program, of which any may be read.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_program(program: Vec<Vec<u8>>) {
    let mut words = program.into_iter();
    Node::parse(&mut words, &mut 0);
    assert_eq!(words.next(), None);
}

/// What a list in a reply has; nothing if it is none.
fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(values) | Value::Set(values)) => values.as_slice().iter(),
        _ => [].iter(),
    }
}

/// A segment as it was at one moment.
struct Segment {
    number: u32,
    live: Vec<u8>,
    containers: BTreeMap<Container, Value>,
    leaves: Vec<Value>,
    /// Whether all ranges are known row by row.
    exact: bool,
}

impl Segment {
    /// The rows that match; where a range is not known row by row, at least these if `more`, else at most.
    fn evaluate(&mut self, node: &Node, more: bool) -> Vec<u8> {
        match node {
            Node::All => self.live.clone(),
            Node::Nothing => rows::bitmap([].into_iter()),
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
                let mut all = rows::bitmap([].into_iter());
                for part in parts {
                    unite(&mut all, &self.evaluate(part, more));
                }
                all
            }
            Node::Container(container) => self.container(container),
            Node::Row(leaf) => self.rows(list(self.leaves.get(*leaf))),
            Node::Values(column, leaf) => {
                let mut all = rows::bitmap([].into_iter());
                for value in list(self.leaves.get(*leaf)) {
                    unite(&mut all, &self.container(&(column.clone(), Some(scripts::bytes(value.clone())))));
                }
                all
            }
            Node::Range(null, leaf) => {
                let mut listed = list(self.leaves.get(*leaf));
                match listed.next() {
                    Some(Value::Int(1)) => return self.rows(listed),
                    // None of these, nor null.
                    Some(_) => {
                        let mut others = self.rows(listed);
                        unite(&mut others, &self.container(null));
                        return self.live_without(others);
                    }
                    None => {}
                }
                self.exact = false;
                if more { self.live_without(self.container(null)) } else { rows::bitmap([].into_iter()) }
            }
        }
    }

    fn live_without(&self, mut rows: Vec<u8>) -> Vec<u8> {
        rows.iter_mut().zip(&self.live).for_each(|(row, live)| *row = !*row & live);
        rows
    }

    /// Those of the rows that are in this segment.
    fn rows<'a>(&self, rows: impl Iterator<Item = &'a Value>) -> Vec<u8> {
        let first = self.number * SEGMENT;
        rows::bitmap(rows.filter_map(|row| match row {
            Value::Int(row) => u32::try_from(*row).ok()?.checked_sub(first).filter(|offset| *offset < SEGMENT),
            _ => None,
        }))
    }

    fn container(&self, container: &Container) -> Vec<u8> {
        match self.containers.get(container) {
            Some(Value::BulkString(bitmap)) => whole(bitmap),
            offsets => rows::bitmap(list(offsets).filter_map(|offset| match offset {
                Value::BulkString(offset) => parse(offset),
                _ => None,
            })),
        }
    }
}

fn unite(all: &mut [u8], others: &[u8]) {
    all.iter_mut().zip(others).for_each(|(one, two)| *one |= two);
}

/// A bitmap in its full length; Redis' end with the last byte that is not 0.
fn whole(bitmap: &[u8]) -> Vec<u8> {
    let mut whole = bitmap.to_vec();
    whole.resize(SEGMENT as usize / 8, 0);
    whole
}

/// Reads the rows that match as a bitmap, of one segment, the first one if `from` is none. One round trip, and one or two more where
/// the values of a range, the number of segments or what is due are not known yet.
///
/// `due` has the rows of records that expired but that the primary has not removed, once they are known.
pub(super) async fn bitmaps(
    db: &Db,
    target: &Target,
    condition: &Condition,
    from: Option<u32>,
    backwards: bool,
    due: &mut Option<Rows>,
) -> Result<Bitmaps> {
    let program = plan::program(target.schema, condition);
    let node = Node::parse(&mut program.iter().cloned(), &mut 0);
    let (mut names, mut number) = (BTreeSet::new(), from.unwrap_or(0));
    node.containers(&[], &mut names);
    loop {
        let (leaves, mut replies) = read(db, target, &program, &names, number).await?;
        let mut words = Words(leaves.into_iter());
        let segments = words.number().and_then(|segments| u32::try_from(segments).ok()).unwrap_or(0);
        let (total, now) = (words.number().unwrap_or(0), words.number().unwrap_or(0));
        let leaves: Vec<Value> = words.0.collect();
        if number >= segments {
            return Ok(Bitmaps { bitmaps: Vec::new(), next: None, total, exact: true, microseconds: 0 });
        }
        let begin = if backwards && from.is_none() { segments - 1 } else { number };
        let mut needed = BTreeSet::new();
        node.containers(&leaves, &mut needed);
        if now == 0 {
            due.get_or_insert_default();
        }
        if due.is_none() || begin != number || !needed.is_subset(&names) {
            number = begin;
            names.extend(needed);
            if due.is_none() {
                // Before the segment, lest a row that is given to another record in between be taken for one that matches.
                *due = Some(read_due(db, target, now).await?);
            }
            continue;
        }
        let live = whole(&replies.next().map(scripts::bytes).unwrap_or_default());
        let mut containers = BTreeMap::new();
        for name in names {
            // The one or the other is there.
            let (bitmap, offsets) = (replies.next(), replies.next());
            let bitmap = bitmap.filter(|bitmap| *bitmap != Value::Nil);
            containers.extend(bitmap.or(offsets).map(|rows| (name, rows)));
        }
        let mut segment = Segment { number, live, containers, leaves, exact: true };
        let mut found = Rows::default();
        found.set_segment(number, segment.evaluate(&node, true));
        if let Some(due) = due {
            found.remove(due);
        }
        let next = if backwards { number.checked_sub(1) } else { Some(number + 1).filter(|next| *next < segments) };
        let bitmaps = found.take_first().into_iter().collect();
        return Ok(Bitmaps { bitmaps, next, total, exact: segment.exact, microseconds: 0 });
    }
}

/// Reads what `scripts/leaves.lua` says of a program, then the rows in use, then each container as a bitmap and as a set, all at one moment.
/// One round trip.
async fn read(
    db: &Db,
    target: &Target,
    program: &[Vec<u8>],
    containers: &BTreeSet<Container>,
    segment: u32,
) -> Result<(Vec<Value>, vec::IntoIter<Value>)> {
    let mut leaves = page::begin(db, target, &LEAVES);
    leaves.arg(program);
    let mut whole = false;
    loop {
        let mut pipeline = Pipeline::with_capacity(4 + 2 * containers.len());
        pipeline.cmd("MULTI").add_command(if whole { LEAVES.whole(&leaves) } else { leaves.clone() });
        pipeline.cmd("GET").arg(target.keys.live(segment));
        for (column, value) in containers {
            let [bitmap, set] = target.keys.containers(column, segment, value.as_deref());
            pipeline.cmd("GET").arg(bitmap).cmd("SMEMBERS").arg(set);
        }
        pipeline.cmd("EXEC");
        match scripts::last(db.send_all(&pipeline).await?) {
            Ok(Value::Array(replies)) => {
                let mut replies = replies.into_iter();
                let reply = replies.next().unwrap_or(Value::Nil);
                if target.admit(db, &reply, &mut leaves).await? {
                    continue;
                }
                return Ok((page::done(target, Answer::of(reply))?, replies));
            }
            Err(error) if !whole && scripts::is_unknown(&error) => whole = true,
            Err(error) => return Err(target.wrong_type(LEAVES.named(db, error).await)),
            other => return Err(page::unexpected(target, &other)),
        }
    }
}

/// Rows that are read at a time, and by how many less the next ones begin later, as some may be removed meanwhile.
const DUE: (usize, usize) = (1000, 100);

/// Rows of the records that expired before that time, in milliseconds. A round trip for each 900 of them.
async fn read_due(db: &Db, target: &Target, now: u64) -> Result<Rows> {
    let (mut rows, mut at) = (Rows::default(), 0);
    loop {
        let mut command = redis::cmd("ZRANGE");
        // Removed are the earliest first, so that from the other end they keep their places.
        command.arg(target.keys.ttl()).arg(now).arg("-inf").arg(&["BYSCORE", "REV", "LIMIT"]);
        command.arg(at).arg(DUE.0);
        let some = match db.send(&command).await.map_err(|error| target.wrong_type(error))? {
            Value::Array(some) => some,
            other => return Err(page::unexpected(target, &other)),
        };
        let count = some.len();
        for row in some {
            if let Some(row) = parse(&scripts::bytes(row)) {
                rows.insert(row);
            }
        }
        if count < DUE.0 {
            return Ok(rows);
        }
        at += DUE.0 - DUE.1;
    }
}
