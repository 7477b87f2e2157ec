//! The way along a sorted set, read by the client.

use futures::future::try_join_all;
use redis::Value;

use crate::db::Db;
use crate::error::Result;
use crate::query::page::{self, OrderKey, Position, Words};
use crate::query::plan::Node;
use crate::scripts::{self, Answer, ORDER};
use crate::write::Target;

/// A member of a sorted set, and its score if that was asked for.
pub(crate) type Member = (Vec<u8>, Vec<u8>);

/// A way along a sorted set, or a range of it.
#[derive(Debug)]
pub(crate) struct Along {
    pub(crate) key: OrderKey,
    /// A range of the column, or all.
    pub(crate) range: Node,
    /// Whether each member comes with its score, which takes four times as long.
    pub(crate) scores: bool,
    /// Where the last member is that was read.
    pub(crate) last: Position,
    /// Its rank in this direction, if it was read before.
    rank: Option<u64>,
    /// Whether there may be more.
    pub(crate) more: bool,
    /// How many were left at that time.
    left: u64,
}

/// Members that one call reads at most: with many millions of them, each takes the server a microsecond.
const PART: usize = 500;

/// What `scripts/order.lua` answered.
struct Part {
    members: Vec<Member>,
    /// The member before these, where a rank was given.
    before: Position,
    last: Position,
    rank: u64,
    left: u64,
    microseconds: u64,
}

impl Along {
    pub(crate) fn new(key: OrderKey, range: Node, scores: bool, after: Position) -> Self {
        Self { key, range, scores, last: after, rank: None, more: true, left: 0 }
    }

    /// Reads up to so many members that follow, and says how long the scripts took, if they were asked. One round
    /// trip; another one if others have added or removed members before these since the last time.
    pub(crate) async fn read(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, u64)> {
        let mut microseconds = 0;
        if let Some(rank) = self.rank {
            // Parts that begin at ranks are read at once. Each says which member comes before it: if that is
            // the last one of the part before, nothing has moved.
            let end = rank + self.left.min(count as u64);
            let parts = (rank..end).step_by(PART).map(|first| (first, (end - first).min(PART as u64) as usize));
            let parts = try_join_all(parts.map(|(rank, count)| self.part(db, target, Some(rank), count))).await?;
            let mut found = Vec::new();
            for part in parts {
                microseconds += part.microseconds;
                if part.before != self.last {
                    self.rank = None;
                    break;
                }
                found.extend(self.take(part));
            }
            if !found.is_empty() {
                return Ok((found, microseconds));
            }
        }
        let part = self.part(db, target, None, count.min(PART)).await?;
        microseconds += part.microseconds;
        Ok((self.take(part), microseconds))
    }

    fn take(&mut self, part: Part) -> Vec<Member> {
        let found = !part.members.is_empty();
        self.rank = found.then_some(part.rank);
        (self.left, self.more) = (part.left, found && part.left > 0);
        if found {
            self.last = part.last;
        }
        part.members
    }

    /// Reads members after the last one, or after the one at a rank.
    async fn part(&self, db: &Db, target: &Target, rank: Option<u64>, count: usize) -> Result<Part> {
        let schema = target.schema;
        let mut command = page::begin(db, target, &ORDER);
        command.arg(schema.columns()[self.key.column].name()).arg(page::direction(self.key.descending));
        command.arg(&self.last.first).arg(&self.last.second);
        command.arg(rank.map(|rank| rank.to_string()).unwrap_or_default()).arg(count);
        command.arg(if self.scores { "scores" } else { "" }).arg(self.range.words(schema));
        let reply = ORDER.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
        let mut words = Words(page::done(target, Answer::of(reply))?.into_iter());
        let mut place = || {
            let (first, second) = (words.word(), words.word());
            Position { code: b"k".to_vec(), first, second }
        };
        let (before, last) = (place(), place());
        let mut number = || words.number().unwrap_or(0);
        let (rank, left, microseconds) = (number(), number(), number());
        let list = scripts::unpacked(words.0.next().unwrap_or(Value::Nil));
        let mut list = list.map_err(|list| page::unexpected(target, &list))?.into_iter().map(scripts::bytes);
        let mut members = Vec::with_capacity(list.len());
        while let Some(member) = list.next() {
            let score = if self.scores { list.next().unwrap_or_default() } else { Vec::new() };
            members.push((member, score));
        }
        Ok(Part { members, before, last, rank, left, microseconds })
    }
}
