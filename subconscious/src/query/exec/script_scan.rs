//! The scans of the server. Each is a call of `scripts/query/query.lua`, which may answer that this
//! program continues at a lower cost.

use crate::error::Result;
use crate::query::exec::IN_SCRIPT;
use crate::query::exec::bitmaps::Bitmaps;
use crate::query::exec::context::{Context, size};
use crate::query::exec::hit::Hit;
use crate::query::exec::owner;
use crate::query::exec::page::{self, PageReply, PageRequest};
use crate::query::exec::position::Position;
use crate::query::exec::zones::Sizes;
use crate::query::plan::cost::Attempt;
use crate::query::request::OrderKey;
use crate::query::way::PlanWay;

#[derive(Default)]
pub(super) struct ScriptScan {
    /// Whether calls may only scan the order.
    scan_only: bool,
    /// Rows of the last call. They are added to the delivered rows only before another call: most
    /// queries end with the first one, and never need them.
    last: Vec<u32>,
    /// What the calls did for the rows that are wanted now.
    attempt: Attempt,
}

/// This program is to continue the order. It begins with the bitmaps that the script has read, if
/// there are any.
pub(super) struct GoOn {
    pub(super) key: OrderKey,
    pub(super) from: Position,
    pub(super) left: u64,
    pub(super) sizes: Sizes,
    pub(super) begun: Option<Bitmaps>,
}

impl ScriptScan {
    /// A scan of the order that chooses no other way.
    pub(super) fn of_order() -> Self {
        Self { scan_only: true, ..Self::default() }
    }

    /// Adds the rows of the last call to the delivered rows.
    pub(super) fn keep_delivered(&mut self, context: &mut Context) {
        for row in self.last.drain(..) {
            context.delivered.insert(row);
        }
    }

    /// Makes a call, and says whether this program is to continue.
    pub(super) async fn next(
        &mut self,
        context: &mut Context,
        from: &Position,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
    ) -> Result<(Vec<Hit>, Option<GoOn>)> {
        if let Some(columns) = columns
            && let Some(hits) = owner::read(context, from, columns).await?
        {
            context.next = None;
            context.first = hits.first().map(|hit| Position::Row(hit.row));
            return Ok((hits, None));
        }
        let in_script = columns.filter(|_| rows <= IN_SCRIPT);
        let (skip, choose) = (context.skip, !self.scan_only);
        let request = PageRequest { from, rows, skip, left, columns: in_script, choose };
        let reply = page::read(&context.db, &context.target, &context.request, &context.filter, request).await;
        let PageReply {
            mut hits,
            next,
            skip,
            first,
            way,
            microseconds,
            looked_at,
            estimated,
            evaluating,
            spent,
            handed,
            why,
            bitmaps,
        } = match reply {
            Err(error) if error.refuses_writes() => {
                context.client_side = true;
                return Ok((Vec::new(), None));
            }
            reply => reply?,
        };
        context.note(|stats| {
            let mut bytes = hits.iter().map(|hit| hit.id.len() + hit.fields.as_ref().map_or(0, size)).sum();
            bytes += bitmaps.as_ref().map_or(0, Bitmaps::size);
            stats.estimated = stats.estimated.or(estimated);
            stats.call(if bitmaps.is_some() { PlanWay::Bitmaps } else { way }, microseconds, looked_at, bytes);
            stats.because(why);
        });
        let left = left.saturating_sub(hits.len() as u64);
        let found = context.skip.saturating_sub(skip) + hits.len() as u64;
        (context.next, context.skip) = (next, skip);
        if context.first.is_none() && !hits.is_empty() {
            context.first = Some(first);
        }
        if !context.request.order.is_empty() {
            hits.retain(|hit| !context.delivered.has(hit.row));
            self.last = hits.iter().map(|hit| hit.row).collect();
        }
        self.scan_only |= way != PlanWay::Gather;
        let mut too_long = false;
        if way == PlanWay::Walk && hits.len() < rows {
            self.attempt.microseconds += spent;
            self.attempt.looked_at += looked_at;
            self.attempt.found += found;
            let wanted = context.skip.saturating_add(left);
            too_long = self.attempt.is_too_long(wanted, evaluating, context.db.query_budget());
        } else {
            self.attempt = Attempt::default();
        }
        let go_on = match (&context.next, &context.request.order[..]) {
            (Some(from @ Position::Value(_)), &[key]) if way == PlanWay::Estimate || too_long => {
                let sizes = Sizes { handed, estimated: estimated.unwrap_or_default() };
                Some(GoOn { key, from: from.clone(), left, sizes, begun: bitmaps })
            }
            _ => None,
        };
        let hits = match columns {
            Some(columns) if in_script.is_none() => context.read(hits, columns).await?,
            _ => hits,
        };
        Ok((hits, go_on))
    }
}
