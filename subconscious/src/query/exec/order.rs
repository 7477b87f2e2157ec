//! Reads the members of a sorted set in their order.

use futures::future::try_join_all;
use redis::{Pipeline, Value};

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::call;
use crate::query::exec::position::Member;
use crate::query::plan::Node;
use crate::query::request::OrderKey;
use crate::scripts::ORDER;
use crate::server::Db;
use crate::server::reply;

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

    /// Reads up to so many members that follow, and says how long the script took, if it was asked.
    /// One round trip; another one if others have added or removed members before these since the
    /// last time.
    pub(super) async fn read(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, u64)> {
        if let Some(rank) = self.rank {
            let found = self.read_after(db, target, rank, count).await?;
            if !found.is_empty() {
                return Ok((found, 0));
            }
        }
        self.find(db, target, count.min(PART)).await
    }

    /// Reads what comes after the rank, as far as it is still where it was, in parts at once. Each
    /// part begins with the last member of the one before: where that is another one, others have
    /// added or removed members. By plain commands, as a script takes 0.2 us more for each member.
    async fn read_after(&mut self, db: &Db, target: &Target, rank: u64, count: usize) -> Result<Vec<Member>> {
        let key = target.keys.sorted(target.schema.columns()[self.key.column].name());
        let end = rank + self.left.min(count as u64);
        let parts = (rank..end).step_by(PART).map(|first| (first, end.min(first + PART as u64)));
        let (descending, scores) = (self.key.descending, self.scores);
        let read = parts.clone().map(async |(first, last)| {
            let mut pipeline = Pipeline::with_capacity(2);
            // The last one with its score, for what comes after.
            for (from, scores) in [(first, scores), (last, true)] {
                pipeline.cmd("ZRANGE").arg(&key).arg(from).arg(last);
                if descending {
                    pipeline.arg("REV");
                }
                if scores {
                    pipeline.arg("WITHSCORES");
                }
            }
            let replies = db.send_all(&pipeline).await?.into_iter();
            let lists = replies.map(|reply| reply.map_err(|error| target.wrong_type(error)));
            lists.collect::<Result<Vec<Value>>>()
        });
        let mut found = Vec::new();
        for ((_, last), lists) in parts.zip(try_join_all(read).await?) {
            let mut lists = lists.into_iter();
            let mut part = members(lists.next(), scores).into_iter();
            let end = members(lists.next(), true).pop();
            let begin = part.next();
            let is = |one: &Option<Member>, other: &Option<Member>| match (one, other) {
                (Some(one), Some(other)) => one.member == other.member,
                _ => false,
            };
            if !is(&begin, &self.last) || !is(&end, &part.as_slice().last().cloned()) {
                self.rank = None;
                break;
            }
            self.left -= part.len() as u64;
            (self.rank, self.last) = (Some(last), end);
            found.extend(part);
        }
        if self.left == 0 {
            // Others may have been added at the end: the script knows.
            self.rank = None;
        }
        Ok(found)
    }

    /// Reads members after the last one.
    async fn find(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, u64)> {
        let schema = target.schema;
        let mut command = call::begin(db, target, &ORDER);
        command.arg(schema.columns()[self.key.column].name()).arg(call::direction(self.key.descending));
        match &self.last {
            Some(Member { score, member }) => command.arg(score).arg(member),
            None => command.arg("").arg(""),
        };
        command.arg(count).arg(if self.scores { "scores" } else { "" }).arg(self.range.words(schema));
        let mut reply = call::run_timeless(db, target, &ORDER, command).await?;
        let (score, member) = (reply.bytes()?, reply.bytes()?);
        let (rank, left, microseconds) = (reply.optional()?, reply.number()?, reply.number()?);
        let found = members(Some(Value::Array(reply.list()?)), self.scores);
        (self.rank, self.left, self.more) = (rank, left, left > 0);
        if !found.is_empty() {
            self.last = Some(Member { score, member });
        }
        Ok((found, microseconds))
    }
}

/// Members of a list, with their scores if they have some; RESP3 has lists of two.
fn members(list: Option<Value>, scores: bool) -> Vec<Member> {
    let Some(Value::Array(list)) = list else { return Vec::new() };
    let mut flat = list.into_iter().flat_map(|value| match value {
        Value::Array(pair) => pair,
        other => vec![other],
    });
    let mut members = Vec::new();
    while let Some(member) = flat.next().map(reply::bytes) {
        let score = if scores { flat.next().map(reply::bytes).unwrap_or_default() } else { Vec::new() };
        members.push(Member { score, member });
    }
    members
}
