//! Reads the members of a sorted set in order.

use futures::future::try_join_all;
use redis::{Pipeline, Value};

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::call;
use crate::query::exec::position::Member;
use crate::query::plan::{Leaf, Node};
use crate::query::request::OrderKey;
use crate::scripts::ORDER;
use crate::server::Db;
use crate::server::reply;
use crate::value::SortKey;

/// Reads the members of a sorted set that are in a range, part by part.
#[derive(Debug)]
pub(super) struct OrderReader {
    key: OrderKey,
    /// A range of the column, or all of it.
    range: Node,
    /// Whether members are read with their scores, which takes four times as long. Otherwise the
    /// scores are empty.
    scores: bool,
    /// The member to continue after.
    last: Option<Member>,
    /// The rank of that member in this direction, if it is known.
    rank: Option<u64>,
    /// Whether more members may follow.
    pub(super) more: bool,
    /// Number of members that follow, by the count of the last call of the script.
    left: u64,
}

/// Members that one call reads at most. If a sorted set has many millions, each member takes the
/// server a microsecond.
const PART: usize = 500;

impl OrderReader {
    pub(super) fn new(key: OrderKey, range: Node, scores: bool, after: Option<Member>) -> Self {
        Self { key, range, scores, last: after, rank: None, more: true, left: 0 }
    }

    /// The member that was read last, or the one to begin after.
    pub(super) fn last(&self) -> Option<&Member> {
        self.last.as_ref()
    }

    /// Whether the whole column is read, not a range of it.
    pub(super) fn is_whole(&self) -> bool {
        self.range == Node::All
    }

    /// Reads up to `count` members that follow. Also returns the microseconds that the script took,
    /// if it was asked. One round trip; two if others have added or removed members before these
    /// since the last read.
    pub(super) async fn read(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, u64)> {
        if let Some(rank) = self.rank {
            let found = self.read_after(db, target, rank, count).await?;
            if !found.is_empty() {
                return Ok((found, 0));
            }
        }
        self.find(db, target, count.min(PART)).await
    }

    /// Reads the members after a rank by plain commands, as a script takes 0.2 us more for each
    /// member. All parts are read at once. Each part begins with the last member of the part
    /// before. If it begins with another one, others have added or removed members, and reading
    /// stops there.
    async fn read_after(&mut self, db: &Db, target: &Target, rank: u64, count: usize) -> Result<Vec<Member>> {
        let key = target.keys.sorted(target.schema.columns()[self.key.column].name());
        let end = rank + self.left.min(count as u64);
        let parts = (rank..end).step_by(PART).map(|first| (first, end.min(first + PART as u64)));
        let (descending, scores) = (self.key.descending, self.scores);
        let read = parts.clone().map(async |(first, last)| {
            let mut pipeline = Pipeline::with_capacity(2);
            // The last member is also read with its score, for the position to continue from.
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
            let same = |one: Option<&Member>, other: Option<&Member>| {
                one.zip(other).is_some_and(|(one, other)| one.member == other.member)
            };
            let in_range = end.as_ref().is_some_and(|end| self.has(end));
            let moved = !same(begin.as_ref(), self.last.as_ref()) || !same(end.as_ref(), part.as_slice().last());
            if moved || !in_range {
                self.rank = None;
                break;
            }
            self.left -= part.len() as u64;
            (self.rank, self.last) = (Some(last), end);
            found.extend(part);
        }
        if self.left == 0 {
            // Others may have added members at the end, which the script will find.
            self.rank = None;
        }
        Ok(found)
    }

    /// Whether a member is in the range. If others have removed members, a rank may be beyond it.
    fn has(&self, member: &Member) -> bool {
        let Node::Leaf(Leaf::Range { low, high, .. }) = &self.range else { return self.is_whole() };
        let place = SortKey { score: member.score.clone(), tail: member.member.clone() };
        let after_low = low.as_ref().is_none_or(|low| place.compare(low).is_ge());
        after_low && high.as_ref().is_none_or(|high| place.compare(high).is_lt())
    }

    /// Reads the members after the last one by the script.
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

/// The members of a list, with their scores if it has any. RESP3 answers pairs.
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
