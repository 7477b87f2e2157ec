//! The ordered scan of this program: it reads a sorted set in its order, and tests each row by the
//! bitmaps of the rows that match.

use std::collections::VecDeque;

use crate::error::Result;
use crate::query::exec::context::{Context, MatchingRows, STEP};
use crate::query::exec::hit::Hit;
use crate::query::exec::order::OrderReader;
use crate::query::exec::position::{Member, Position};
use crate::query::plan::cost;
use crate::query::request::OrderKey;
use crate::query::way::PlanWay;

pub(super) struct OrderedScan {
    key: OrderKey,
    /// The rows that match the rest of the filter.
    pub(super) matches: MatchingRows,
    pub(super) order: OrderReader,
    /// Members that were read but not tested yet.
    members: VecDeque<Member>,
    /// Number of rows passed.
    passed: u64,
}

impl OrderedScan {
    pub(super) fn new(key: OrderKey, matches: MatchingRows, order: OrderReader) -> Self {
        Self { key, matches, order, members: VecDeque::new(), passed: 0 }
    }

    /// Whether sorting all rows that match is better than reading more of the order.
    pub(super) fn is_too_long(&self) -> bool {
        self.order.more && self.members.is_empty() && cost::ordered_scan_is_too_long(self.passed, self.matches.count)
    }

    /// The position of the scan.
    pub(super) fn position(&self) -> Position {
        Position::Value(self.order.last().cloned())
    }

    /// Finds up to `rows` of the rows that follow.
    pub(super) async fn next(
        &mut self,
        context: &mut Context,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
    ) -> Result<Vec<Hit>> {
        let mut taken = Vec::new();
        while taken.len() < rows {
            let Some(member) = self.members.pop_front() else {
                if !self.order.more || self.is_too_long() {
                    break;
                }
                // As many members as are likely to include the rows that are wanted.
                let wanted = (left.min(rows as u64) + context.skip) as f64;
                let count = (1.5 * wanted * self.matches.total as f64 / self.matches.count.max(1) as f64) as usize;
                let count = count.clamp(200, STEP);
                let (members, microseconds) = self.order.read(&context.db, &context.target, count).await?;
                context.note(|stats| {
                    let bytes = members.iter().map(|member| member.member.len() + member.score.len()).sum();
                    stats.call(PlanWay::Order, microseconds, members.len() as u64, bytes);
                });
                self.passed += members.len() as u64;
                self.members = members.into();
                continue;
            };
            let row = member.row();
            if !self.matches.rows.has(row) || context.delivered.has(row) {
                continue;
            }
            if self.matches.exact && context.leave_out(1) > 0 {
                continue;
            }
            context.delivered.insert(row);
            taken.push(member);
        }
        let numbers: Vec<u32> = taken.iter().map(Member::row).collect();
        let mut hits = context.look_up(&numbers, columns).await?;
        if !self.matches.exact {
            hits.drain(..context.leave_out(hits.len()));
        }
        let position = |member: &Member| Position::Value(Some(member.clone()));
        if let (None, Some(hit)) = (&context.first, hits.first()) {
            context.first = taken.iter().find(|member| member.row() == hit.row).map(position);
        }
        let done = self.members.is_empty() && !self.order.more;
        let column = &context.target.schema.columns()[self.key.column];
        let nulls = column.is_nullable() && !self.key.nulls_first && self.order.is_whole();
        match taken.last() {
            // The nulls are left to the next call, so that a full page ends with a row.
            Some(last) if !done || nulls => context.next = Some(position(last)),
            _ if done => context.next = nulls.then_some(Position::Null(None)),
            _ => {}
        }
        Ok(hits)
    }
}
