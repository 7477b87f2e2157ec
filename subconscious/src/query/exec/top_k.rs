//! The top-k of this program: it reads all rows that match, and sorts as many as are wanted.

use std::collections::VecDeque;

use crate::error::Result;
use crate::query::exec::context::{Context, STEP};
use crate::query::exec::entry::SortEntry;
use crate::query::exec::hit::Hit;
use crate::query::exec::position::Position;
use crate::query::exec::rows::Rows;
use crate::query::exec::zones::Candidates;
use crate::query::way::{PlanWay, count_of};
use crate::value::SortKey;

/// Rows that were found and sorted.
pub(super) struct TopK {
    entries: VecDeque<SortEntry>,
    /// Whether more rows may follow these.
    more: bool,
}

impl TopK {
    /// Reads the sort keys of these rows. Of the rows that match and follow the position, it keeps
    /// as many as are wanted, sorted.
    pub(super) async fn new(
        context: &mut Context,
        rows: &Rows,
        exact: bool,
        from: &Position,
        left: u64,
    ) -> Result<Self> {
        let order = context.request.order.clone();
        let (columns, edge) = (context.columns(), from.entry(&order));
        let wanted = usize::try_from(context.skip.saturating_add(left)).unwrap_or(usize::MAX);
        let (mut entries, mut more) = (Vec::new(), false);
        let mut rows = rows.iter().filter(|&row| !context.delivered.has(row)).collect::<VecDeque<u32>>();
        context.note(|stats| {
            stats.way(PlanWay::Sort, format!("{} match", count_of(rows.len() as u64, "row")));
            stats.looked_at += rows.len() as u64;
        });
        while !rows.is_empty() {
            let some: Vec<u32> = rows.drain(..rows.len().min(STEP)).collect();
            for entry in read_entries(context, &some, &columns, exact).await? {
                if edge.as_ref().is_none_or(|edge| entry.compare(edge, &order).is_gt()) {
                    entries.push(entry);
                }
            }
            // When there are twice as many as are wanted, those beyond are dropped.
            if entries.len() / 2 > wanted {
                entries.select_nth_unstable_by(wanted, |one, two| one.compare(two, &order));
                entries.truncate(wanted);
                more = true;
            }
        }
        let sorted = Self::of(context, entries, left);
        Ok(Self { more: more || sorted.more, ..sorted })
    }

    /// Sorts entries of rows that match and follow the position, and keeps as many as are wanted.
    fn of(context: &mut Context, mut entries: Vec<SortEntry>, left: u64) -> Self {
        let wanted = usize::try_from(context.skip.saturating_add(left)).unwrap_or(usize::MAX);
        entries.sort_unstable_by(|one, two| one.compare(two, &context.request.order));
        let more = entries.len() > wanted;
        entries.truncate(wanted);
        entries.drain(..context.leave_out(entries.len()));
        Self { entries: entries.into(), more }
    }

    /// The first of these candidates that follow the position.
    pub(super) async fn first(
        context: &mut Context,
        candidates: Candidates,
        from: &Position,
        left: u64,
    ) -> Result<Self> {
        match candidates {
            Candidates::Rows { rows, exact } => Self::new(context, &rows, exact, from, left).await,
            Candidates::Entries(mut entries) => {
                let order = &context.request.order;
                if let Some(edge) = from.entry(order) {
                    entries.retain(|entry| entry.compare(&edge, order).is_gt());
                }
                Ok(Self::of(context, entries, left))
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes up to `rows` of them.
    pub(super) async fn next(
        &mut self,
        context: &mut Context,
        rows: usize,
        columns: Option<&[usize]>,
    ) -> Result<Vec<Hit>> {
        let order = &context.request.order;
        let taken: Vec<SortEntry> = self.entries.drain(..rows.min(self.entries.len())).collect();
        let position = |entry: &SortEntry| Position::after(entry, order);
        let (first, next) = (taken.first().map(position), taken.last().map(position));
        if context.first.is_none() {
            context.first = first;
        }
        context.next = next.filter(|_| self.more || !self.entries.is_empty());
        let rows: Vec<u32> = taken.into_iter().map(|entry| entry.row as u32).collect();
        context.look_up(&rows, columns).await
    }
}

/// The sort keys of those rows that match.
async fn read_entries(context: &Context, rows: &[u32], columns: &[usize], exact: bool) -> Result<Vec<SortEntry>> {
    let (schema, order) = (context.target.schema, &context.request.order);
    let (mut entries, mut others) = (Vec::with_capacity(rows.len()), Vec::new());
    match order[..] {
        // If a sort key is a score alone, the sorted set has it, and the record is not read.
        [key] if exact && schema.columns()[key.column].has_sorted_set() => {
            let scores = context.scores(key.column, rows).await?;
            for (&row, score) in rows.iter().zip(scores) {
                match score {
                    Some(score) => {
                        let key = SortKey { score, tail: Vec::new() };
                        entries.push(SortEntry { keys: vec![Some(key)], row: i64::from(row) });
                    }
                    None => others.push(row),
                }
            }
        }
        _ => others.extend(rows),
    }
    let hits = context.look_up(&others, Some(columns)).await?;
    entries.extend(hits.iter().filter_map(|hit| SortEntry::of(schema, order, columns, hit)));
    Ok(entries)
}
