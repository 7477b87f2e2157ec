//! The way along a sorted set, read by the client.

use futures::future::try_join_all;
use redis::{Pipeline, Value};

use crate::db::Db;
use crate::error::Result;
use crate::query::filter::Condition;
use crate::query::page::{self, OrderKey, Position, Words};
use crate::query::plan;
use crate::scripts::{self, Answer, ORDER};
use crate::write::Target;

/// A member of a sorted set, and its score if that was asked for.
pub(crate) type Member = (Vec<u8>, Vec<u8>);

/// A way along a sorted set, or a range of it.
#[derive(Debug)]
pub(crate) struct Along {
    pub(crate) key: OrderKey,
    /// A range of the column, or all.
    pub(crate) range: Condition,
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

/// Members that a plain command reads at most: with many millions of them, each takes the server a microsecond.
pub(super) const PART: usize = 250;

/// Members that the script reads, before plain commands read more: they take a quarter of the time, but know no place to begin.
const FIRST: usize = 500;

impl Along {
    pub(crate) fn new(key: OrderKey, range: Condition, scores: bool, after: Position) -> Self {
        Self { key, range, scores, last: after, rank: None, more: true, left: 0 }
    }

    /// Reads up to so many members that follow, and says how long the script took, if it was asked. One round trip; another one if others
    /// have been added or removed before them since the last time.
    pub(crate) async fn read(&mut self, db: &Db, target: &Target, count: usize) -> Result<(Vec<Member>, Option<u64>)> {
        if let Some(rank) = self.rank
            && let Some(members) = self.continued(db, target, rank, count).await?
        {
            return Ok((members, None));
        }
        let schema = target.schema;
        let mut command = page::begin(db, target, &ORDER);
        command.arg(schema.columns()[self.key.column].name()).arg(page::direction(self.key.descending));
        command.arg(&self.last.first).arg(&self.last.second).arg(count.min(FIRST));
        command.arg(if self.scores { "scores" } else { "" });
        for word in plan::program(schema, &self.range) {
            command.arg(word);
        }
        let reply = loop {
            let reply = ORDER.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
            if !target.admit(db, &reply, &mut command).await? {
                break reply;
            }
        };
        let mut words = Words(page::done(target, Answer::of(reply))?.into_iter());
        let (left, score, rank) = (words.number().unwrap_or(0), words.word(), words.number());
        let (microseconds, last) = (words.number().unwrap_or(0), words.word());
        self.moved(last, score, rank, left);
        Ok((members(words.0, self.scores), Some(microseconds)))
    }

    fn moved(&mut self, last: Vec<u8>, score: Vec<u8>, rank: Option<u64>, left: u64) {
        let found = !last.is_empty();
        if found {
            self.last = Position { code: b"k".to_vec(), first: score, second: last };
        }
        self.rank = rank.filter(|_| found);
        (self.left, self.more) = (left, left > 0 && found);
    }

    /// Reads what comes after the rank, as far as it is still where it was: `None` if nothing is. Each part begins with the last member of the one
    /// before, so that it shows what others added or removed.
    async fn continued(&mut self, db: &Db, target: &Target, rank: u64, count: usize) -> Result<Option<Vec<Member>>> {
        let key = target.keys.sorted(target.schema.columns()[self.key.column].name());
        let end = rank + self.left.min(count as u64);
        let (descending, scores) = (self.key.descending, self.scores);
        let parts = (rank..end).step_by(PART).map(|first| (first, end.min(first + PART as u64)));
        let read = parts.clone().map(async |(first, last)| {
            let mut pipeline = Pipeline::with_capacity(4);
            pipeline.cmd("MULTI");
            for (from, scores) in [(first, scores), (last, true)] {
                pipeline.cmd("ZRANGE").arg(&key).arg(from).arg(last);
                if descending {
                    pipeline.arg("REV");
                }
                if scores {
                    pipeline.arg("WITHSCORES");
                }
            }
            pipeline.cmd("EXEC");
            let reply = scripts::last(db.send_all(&pipeline).await?).map_err(|error| target.wrong_type(error))?;
            match reply {
                Value::Array(replies) => Ok(replies),
                other => Err(page::unexpected(target, &other)),
            }
        });
        let mut found = Vec::new();
        for ((_, last), replies) in parts.zip(try_join_all(read).await?) {
            let mut replies =
                replies.into_iter().map(|reply| if let Value::Array(values) = reply { values } else { Vec::new() });
            let mut read = members(replies.next().into_iter().flatten(), scores).into_iter();
            let end = members(replies.next().into_iter().flatten(), true).pop();
            let begin = read.next().filter(|(begin, _)| *begin == self.last.second);
            let (Some(_), Some((member, score))) = (begin, end) else {
                self.rank = None;
                break;
            };
            let left = self.left.saturating_sub(read.len() as u64);
            found.extend(read);
            self.moved(member, score, Some(last), left);
        }
        if found.is_empty() {
            return Ok(None);
        }
        if self.left == 0 {
            // Others may have been added at the end: the script knows.
            (self.rank, self.more) = (None, true);
        }
        Ok(Some(found))
    }
}

/// Pairs members with their scores, if they have some; RESP3 has lists of two, and numbers.
fn members(values: impl Iterator<Item = Value>, scores: bool) -> Vec<Member> {
    let mut flat = values.flat_map(|value| match value {
        Value::Array(pair) => pair,
        other => vec![other],
    });
    let mut members = Vec::new();
    while let Some(member) = flat.next() {
        let score = if scores { flat.next().map(scripts::bytes).unwrap_or_default() } else { Vec::new() };
        members.push((scripts::bytes(member), score));
    }
    members
}
