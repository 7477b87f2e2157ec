//! Reads the members of a sorted set in their order.

use futures::future::try_join_all;

use crate::db::Db;
use crate::error::Result;
use crate::query::exec::call;
use crate::query::exec::position::Member;
use crate::query::plan::Node;
use crate::query::request::OrderKey;
use crate::reply;
use crate::scripts::ORDER;
use crate::write::Target;

/// The members of a sorted set that are in a range, one part after the other.
#[derive(Debug)]
pub(super) struct OrderReader {
    key: OrderKey,
    /// A range of the column, or all.
    range: Node,
    /// Whether each member comes with its score, which takes four times as long; else scores are
    /// empty.
    scores: bool,
    /// The member to go on after.
    last: Option<Member>,
    /// Its rank in this direction, if it was read before.
    rank: Option<u64>,
    /// Whether there may be more.
    pub(super) more: bool,
    /// How many were left at that time.
    left: u64,
}

/// Members that one call reads at most: with many millions of them, each takes the server a
/// microsecond.
const PART: usize = 500;

/// What `scripts/order.lua` answered.
struct Part {
    members: Vec<Member>,
    /// The member before these, where a rank was given.
    before: Option<Member>,
    last: Option<Member>,
    rank: Option<u64>,
    left: u64,
    microseconds: u64,
}

impl OrderReader {
    pub(super) fn new(key: OrderKey, range: Node, scores: bool, after: Option<Member>) -> Self {
        Self { key, range, scores, last: after, rank: None, more: true, left: 0 }
    }

    /// The member that was read last, or to begin after.
    pub(super) fn last(&self) -> Option<&Member> {
        self.last.as_ref()
    }

    /// Whether the whole column is read, and no range of it.
    pub(super) fn is_whole(&self) -> bool {
        self.range == Node::All
    }

    /// Reads up to so many members that follow, and says how long the scripts took, if they were
    /// asked. One round trip; another one if others have added or removed members before these
    /// since the last time.
    pub(super) async fn read(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, u64)> {
        let mut microseconds = 0;
        if let Some(rank) = self.rank {
            // Parts that begin at ranks are read at once. Each says which member comes before it:
            // if that is the last one of the part before, nothing has moved.
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
        let found = part.last.is_some();
        (self.rank, self.left, self.more) = (part.rank, part.left, found && part.left > 0);
        if found {
            self.last = part.last;
        }
        part.members
    }

    /// Reads members after the last one, or after the one at a rank.
    async fn part(&self, db: &Db, target: &Target, rank: Option<u64>, count: usize) -> Result<Part> {
        let schema = target.schema;
        let mut command = call::begin(db, target, &ORDER);
        command.arg(schema.columns()[self.key.column].name()).arg(call::direction(self.key.descending));
        match &self.last {
            Some(Member { score, member }) => command.arg(score).arg(member),
            None => command.arg("").arg(""),
        };
        command.arg(rank.map(|rank| rank.to_string()).unwrap_or_default()).arg(count);
        command.arg(if self.scores { "scores" } else { "" }).arg(self.range.words(schema));
        let mut reply = call::run_timeless(db, target, &ORDER, command).await?;
        let (before, last) = ([reply.bytes()?, reply.bytes()?], [reply.bytes()?, reply.bytes()?]);
        let member = |[score, member]: [Vec<u8>; 2]| (!member.is_empty()).then_some(Member { score, member });
        let (rank, left, microseconds) = (reply.optional()?, reply.number()?, reply.number()?);
        let list = reply.list()?;
        let mut list = list.into_iter().map(reply::bytes);
        let mut members = Vec::with_capacity(list.len());
        while let Some(member) = list.next() {
            let score = if self.scores { list.next().unwrap_or_default() } else { Vec::new() };
            members.push(Member { score, member });
        }
        Ok(Part { members, before: member(before), last: member(last), rank, left, microseconds })
    }
}
