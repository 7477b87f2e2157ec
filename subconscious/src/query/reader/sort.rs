//! The way of sorting what matches.

use std::collections::VecDeque;

use crate::error::Result;
use crate::query::entry::Entry;
use crate::query::explain::{PlanStep, PlanWay};
use crate::query::page::{self, Position};
use crate::query::reader::{Ahead, Reader, STEP};
use crate::query::rows::Rows;
use crate::value::SortKey;

impl Reader {
    /// Reads what these rows are ordered by, and holds those of them that match, follow the position and are wanted, sorted.
    pub(super) async fn sort(&mut self, rows: &Rows, exact: bool, from: &Position, left: u64) -> Result<()> {
        let order = self.request.order.clone();
        let (columns, edge) = (self.columns(), Entry::at(&order, from));
        let wanted = usize::try_from(self.skip.saturating_add(left)).unwrap_or(usize::MAX);
        let (mut entries, mut more) = (Vec::new(), false);
        let mut rows = rows.iter().filter(|&row| !self.found.has(row)).collect::<VecDeque<u32>>();
        self.note(|spent| {
            spent.steps.push(PlanStep { way: PlanWay::Sort, calls: 0 });
            spent.looked += rows.len() as u64;
        });
        while !rows.is_empty() {
            let some: Vec<u32> = rows.drain(..rows.len().min(STEP)).collect();
            for entry in self.entries(&some, &columns, exact).await? {
                if edge.as_ref().is_none_or(|edge| entry.compare(edge, &order).is_gt()) {
                    entries.push(entry);
                }
            }
            // Now and then, those that are not wanted go.
            if entries.len() / 2 > wanted {
                entries.select_nth_unstable_by(wanted, |one, two| one.compare(two, &order));
                entries.truncate(wanted);
                more = true;
            }
        }
        entries.sort_unstable_by(|one, two| one.compare(two, &order));
        more |= entries.len() > wanted;
        entries.truncate(wanted);
        let left_out = usize::try_from(self.skip).unwrap_or(usize::MAX).min(entries.len());
        self.skip -= left_out as u64;
        entries.drain(..left_out);
        self.ahead = Ahead::Sorted(entries.into(), more);
        Ok(())
    }

    /// What the rows are ordered by, for those that match.
    async fn entries(&mut self, rows: &[u32], columns: &[usize], exact: bool) -> Result<Vec<Entry>> {
        let (schema, order) = (self.target.schema, self.request.order.clone());
        let (mut entries, mut others) = (Vec::with_capacity(rows.len()), Vec::new());
        match order[..] {
            // What has a place of its own in the sorted set says so without its record.
            [key] if exact && schema.columns()[key.column].has_sorted_set() => {
                let scores = page::scores(&self.db, &self.target, key.column, rows).await?;
                self.note(|spent| {
                    spent.pipeline(1, scores.iter().flatten().map(Vec::len).sum());
                });
                for (&row, score) in rows.iter().zip(scores) {
                    match score {
                        Some(score) => {
                            let key = SortKey { score, tail: Vec::new() };
                            entries.push(Entry { keys: vec![Some(key)], row: i64::from(row) });
                        }
                        None => others.push(row),
                    }
                }
            }
            _ => others.extend(rows),
        }
        let places = self.look_up(&others, Some(columns)).await?;
        entries.extend(places.iter().filter_map(|place| Entry::of(schema, &order, columns, place)));
        Ok(entries)
    }

    /// Takes some of those that were sorted.
    pub(super) fn take(&mut self, entries: &mut VecDeque<Entry>, more: bool, rows: usize) -> Vec<u32> {
        let order = &self.request.order;
        let taken: Vec<Entry> = entries.drain(..rows.min(entries.len())).collect();
        if self.first.is_none() {
            self.first = taken.first().map(|entry| entry.position(order));
        }
        self.from = taken.last().filter(|_| more || !entries.is_empty()).map(|last| last.position(order));
        taken.into_iter().map(|entry| entry.row as u32).collect()
    }
}
