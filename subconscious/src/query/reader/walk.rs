//! The way along a sorted set.

use std::collections::VecDeque;

use crate::error::Result;
use crate::query::along::{Along, Member};
use crate::query::explain::PlanWay;
use crate::query::page::{OrderKey, Place, Position};
use crate::query::plan::{self, Node};
use crate::query::reader::{Matches, Reader, STEP};
use crate::query::rows::Rows;

/// A way along a sorted set.
pub(super) struct Walk {
    /// What matches the rest of the filter.
    pub(super) matches: Matches,
    pub(super) along: Along,
    /// Members that were read but not looked at.
    members: VecDeque<Member>,
    /// Rows walked past.
    walked: u64,
}

impl Walk {
    pub(super) fn new(matches: Matches, along: Along) -> Self {
        Self { matches, along, members: VecDeque::new(), walked: 0 }
    }

    /// Whether all that match had better be sorted, before more of the order is read.
    pub(super) fn is_too_long(&self) -> bool {
        self.along.more && self.members.is_empty() && plan::walking_is_too_long(self.walked, self.matches.count)
    }
}

impl Reader {
    /// Goes on along a sorted set.
    pub(super) async fn walk(
        &mut self,
        walk: &mut Walk,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
    ) -> Result<Vec<Place>> {
        let Some(&key) = self.request.order.first() else { return Ok(Vec::new()) };
        let mut taken = Vec::new();
        while taken.len() < rows {
            let Some((member, score)) = walk.members.pop_front() else {
                if !walk.along.more || walk.is_too_long() {
                    break;
                }
                // As many as are likely to have those that are wanted among them.
                let wanted = (left.min(rows as u64) + self.skip) as f64;
                let count = (1.5 * wanted * walk.matches.total as f64 / walk.matches.count.max(1) as f64) as usize;
                let count = count.clamp(200, STEP);
                let (members, microseconds) = walk.along.read(&self.db, &self.target, count).await?;
                self.note(|spent| {
                    let bytes = members.iter().map(|(member, score)| member.len() + score.len()).sum();
                    spent.call(PlanWay::Order, microseconds, members.len() as u64, bytes);
                });
                walk.walked += members.len() as u64;
                walk.members = members.into();
                continue;
            };
            let row = row_of(&member);
            if !walk.matches.rows.has(row) || self.found.has(row) {
                continue;
            }
            if walk.matches.exact && self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.found.insert(row);
            taken.push((row, score, member));
        }
        let numbers: Vec<u32> = taken.iter().map(|(row, ..)| *row).collect();
        let mut places = self.look_up(&numbers, columns).await?;
        if !walk.matches.exact {
            places = self.leave_out(places);
        }
        let position = |(_, score, member): &(u32, Vec<u8>, Vec<u8>)| Position {
            code: b"k".to_vec(),
            first: score.clone(),
            second: member.clone(),
        };
        if let (None, Some(place)) = (&self.first, places.first()) {
            self.first = taken.iter().find(|(row, ..)| *row == place.row).map(position);
        }
        let done = walk.members.is_empty() && !walk.along.more;
        let column = &self.target.schema.columns()[key.column];
        let nulls = column.is_nullable() && !key.nulls_first && walk.along.range == Node::All;
        match taken.last() {
            // The null ones are the next call's, so that a full page ends with a row.
            Some(last) if !done || nulls => self.from = Some(position(last)),
            _ if done => self.from = nulls.then(|| Position { code: b"n".to_vec(), ..Position::default() }),
            _ => {}
        }
        Ok(places)
    }

    /// The rows that match, found along the filter's range of this column.
    pub(crate) async fn along(mut self, column: usize) -> Result<Rows> {
        let (range, others) = self.filter.split_range(column);
        let matches = self.matches(&others, None).await?;
        let key = OrderKey { column, descending: false, nulls_first: false };
        let mut along = Along::new(key, range, false, Position::default());
        let mut found = Rows::default();
        while along.more {
            let (members, _) = along.read(&self.db, &self.target, 4 * STEP).await?;
            let rows = members.iter().map(|(member, _)| row_of(member));
            // A row that moves along the range meanwhile counts once.
            let mut rows: Vec<u32> = rows.filter(|&row| matches.rows.has(row) && !found.has(row)).collect();
            if !matches.exact {
                rows = self.look_up(&rows, None).await?.into_iter().map(|place| place.row).collect();
            }
            for row in rows {
                found.insert(row);
            }
        }
        Ok(found)
    }
}

/// The row of a sorted set's member, its last four bytes.
fn row_of(member: &[u8]) -> u32 {
    member.split_last_chunk::<4>().map_or(0, |(_, row)| u32::from_be_bytes(*row))
}
