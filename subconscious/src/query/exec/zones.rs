//! Finds the first rows of an order by the zones of its column: the part whose zone begins first is
//! read first, and no part is read whose zone begins after all rows that are wanted.
//!
//! In a column that grows with the rows, such as the time of creation, one or two parts have the
//! newest rows, however large the model is. The idea is the threshold algorithm of Fagin, Lotem and
//! Naor, *Optimal Aggregation Algorithms for Middleware* (PODS 2001), with zones as bounds.

use futures::try_join;

use crate::error::Result;
use crate::model::layout::{PART, PARTS, SEGMENT};
use crate::query::exec::bitmaps;
use crate::query::exec::context::Context;
use crate::query::exec::entry::SortEntry;
use crate::query::exec::position::Position;
use crate::query::exec::rows::Rows;
use crate::query::exec::scores::{self, Part, Place, ScoreRange, Scores, Zone};
use crate::query::plan::{Leaf, Node, cost};
use crate::query::request::OrderKey;
use crate::query::way::PlanWay;
use crate::value::SortKey;

/// Rows that may be the first ones of an order.
pub(super) enum Candidates {
    /// These rows match, and are sorted by these keys.
    Entries(Vec<SortEntry>),
    /// All rows that can be among those that are wanted.
    Rows {
        rows: Rows,
        /// Whether all of these match. Otherwise each has to be tested by its record.
        exact: bool,
    },
}

/// Rows that may be read next, with the zone that they are in. The greatest scores come first.
struct Next {
    greatest: f64,
    least: f64,
    place: Place,
}

impl Next {
    /// Estimated number of parts here that have greater scores, or this one.
    fn parts_beyond(&self, score: f64) -> f64 {
        match self.place {
            _ if self.greatest < score => 0.0,
            Place::Part(_) => 1.0,
            Place::Segment(_) => {
                let share = (self.greatest - score.max(self.least)) / (self.greatest - self.least);
                // All parts of a segment may have the same scores, or one may be infinite.
                if share.is_finite() { (share * f64::from(PARTS)).max(1.0) } else { f64::from(PARTS) }
            }
        }
    }
}

/// A row that may match, with its score. The greatest scores come first.
#[derive(Debug, Clone, Copy)]
struct Found {
    score: f64,
    row: u32,
}

/// Parts that are read together at first. If these are not enough, twice as many follow.
const AT_FIRST: usize = 8;

/// What a script says of a model and a filter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    /// Number of rows that the model has handed out; 0 if that is not known.
    pub(super) handed: u32,
    /// Estimated number of rows that match.
    pub(super) estimated: u64,
}

/// The rows that match and may come first in an order, after a position. `None` if another way is
/// cheaper, or if no more than the wanted rows are found.
///
/// One round trip for zones, and usually one or two for the scores of one to three parts.
pub(super) async fn candidates(
    context: &Context,
    key: OrderKey,
    from: &Position,
    wanted: u64,
    Sizes { handed, estimated }: Sizes,
) -> Result<Option<Candidates>> {
    let schema = context.target.schema;
    let (ranges, complete) = scores::ranges(schema, &context.filter);
    let kind = schema.columns()[key.column].kind;
    let (of_order, others): (Vec<ScoreRange>, Vec<ScoreRange>) =
        ranges.into_iter().partition(|range| range.column() == key.column);
    if !complete || handed == 0 || !kind.has_scores() {
        return Ok(None);
    }
    let all_parts = handed.div_ceil(PART) as usize;
    // Where a range is wide, all parts of its column would be read otherwise.
    let most = if others.is_empty() { cost::PARTS_READ } else { (all_parts / 2).max(1) };
    let is_range = |part: &&Node| matches!(part, Node::Leaf(Leaf::Range { .. }));
    let rest = Node::and(context.filter.parts().iter().filter(|part| !is_range(part)).cloned().collect());
    let turned = |score: f64| if key.descending { score } else { -score };
    let edge = match from {
        Position::Value(Some(member)) => Some(turned(member.double())),
        _ => None,
    };
    let next = |place: Place, zone: Option<Zone>| {
        let (one, two) = (turned(zone?.least), turned(zone?.greatest));
        let next = Next { greatest: one.max(two), least: one.min(two), place };
        // Not one that only has rows before the position.
        Some(next).filter(|next| edge.is_none_or(|edge| next.least <= edge))
    };
    // The last segment of a column that grows has the newest rows.
    let segments = handed.div_ceil(SEGMENT);
    let likely = if key.descending { segments - 1 } else { 0 };
    let places = (0..segments).filter(|segment| *segment != likely).map(Place::Segment);
    let mut places: Vec<Place> = places.chain(Part::of_segment(likely, handed).map(Place::Part)).collect();
    let (mut queue, mut found, mut exact) = (Vec::<Next>::new(), Vec::<Found>::new(), true);
    // The scores of the rows that surely match.
    let mut sure = Vec::<f64>::new();
    // One more, which says that others follow.
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_add(1);
    let columns: Vec<usize> = std::iter::once(key.column).chain(others.iter().map(ScoreRange::column)).collect();
    let (mut read, mut together, mut is_likely) = (0, 1, false);
    loop {
        if !places.is_empty() {
            let zones = scores::zones(&context.db, &context.target, key.column, &places).await?;
            queue.extend(places.drain(..).zip(zones).filter_map(|(place, zone)| next(place, zone)));
            queue.sort_by(|one, two| one.greatest.total_cmp(&two.greatest));
        }
        let Some(first) = queue.last() else { break };
        if sure.len() >= wanted {
            let (_, last, _) = sure.select_nth_unstable_by(wanted - 1, |one, two| two.total_cmp(one));
            if first.greatest < *last {
                break;
            }
        }
        if !is_likely {
            // So many parts have as many matching rows as are wanted, if these are spread evenly.
            // All parts are read that have rows before the last of these.
            let enough = (wanted as f64 * all_parts as f64 / estimated.max(1) as f64).ceil();
            let mut parts = 0.0;
            let last = queue.iter().rev().find(|next| {
                parts += next.parts_beyond(f64::NEG_INFINITY);
                parts >= enough
            });
            let last = last.map_or(f64::NEG_INFINITY, |next| next.least);
            let likely: f64 = queue.iter().map(|next| next.parts_beyond(last)).sum();
            if likely > most as f64 {
                return Ok(None);
            }
            (is_likely, together) = (true, (enough as usize).clamp(1, AT_FIRST));
        }
        if let Place::Segment(segment) = first.place {
            queue.pop();
            places.extend(Part::of_segment(segment, handed).map(Place::Part));
            continue;
        }
        together = together.min((scores::parts_in_flight(&context.db) / columns.len()).max(1));
        let mut parts = Vec::new();
        while parts.len() < together
            && let Some(Next { place: Place::Part(part), .. }) = queue.last()
        {
            parts.push(*part);
            queue.pop();
        }
        (read, together) = (read + parts.len(), together * 2);
        if read > most {
            return Ok(None);
        }
        let scores = scores::columns(&context.db, &context.target, &columns, &parts);
        let (rows, scores) = try_join!(context.rows_of_parts(&rest, &parts), scores)?;
        for (part, columns) in parts.iter().zip(scores) {
            let [order, rest @ ..] = &columns[..] else { continue };
            let mut rest: Vec<_> = rest.iter().map(Scores::iter).collect();
            for (row, score) in (part.first_row()..).zip(order.iter()) {
                let (mut surely, mut possibly) = (true, true);
                let mut test = |range: &ScoreRange, score: Option<f64>| {
                    let (one, two) = score.map_or((false, false), |score| range.has(score));
                    (surely, possibly) = (surely && one, possibly && two);
                };
                for (range, scores) in others.iter().zip(&mut rest) {
                    test(range, scores.next().flatten());
                }
                for range in &of_order {
                    test(range, score);
                }
                let Some(score) = score.map(turned).filter(|_| possibly) else { continue };
                let left_out = edge.is_some_and(|edge| score > edge) || context.delivered.has(row);
                if left_out || rows.as_ref().is_some_and(|rows| !rows.has(row)) {
                    continue;
                }
                exact &= surely;
                found.push(Found { score, row });
                // A row with the score of the position may be before it.
                if surely && edge.is_none_or(|edge| score < edge) {
                    sure.push(score);
                }
            }
        }
    }
    if sure.len() < wanted {
        return Ok(None);
    }
    let why = || format!("no other part than {read} of {all_parts} can have such rows");
    context.note(|stats| stats.way(PlanWay::Zones, why()));
    let (_, last, _) = sure.select_nth_unstable_by(wanted - 1, |one, two| two.total_cmp(one));
    found.retain(|found| found.score >= *last);
    if exact && found.iter().all(|found| kind.is_alone(found.score)) {
        let entry = |found: &Found| {
            let key = SortKey { score: turned(found.score).to_string().into_bytes(), tail: Vec::new() };
            SortEntry { keys: vec![Some(key)], row: i64::from(found.row) }
        };
        return Ok(Some(Candidates::Entries(found.iter().map(entry).collect())));
    }
    let mut rows = Rows::default();
    for Found { row, .. } in found {
        rows.insert(row);
    }
    Ok(Some(Candidates::Rows { rows, exact }))
}

impl Context {
    /// The rows of some parts that match a filter; `None` if the filter lets all through.
    async fn rows_of_parts(&self, filter: &Node, parts: &[Part]) -> Result<Option<Rows>> {
        if *filter == Node::All {
            return Ok(None);
        }
        let mut rows = Rows::default();
        let mut segments: Vec<u32> = parts.iter().map(|part| part.segment).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            let read = bitmaps::of_segment(&self.db, &self.target, filter, segment).await?;
            for (segment, bitmap) in read.bitmaps {
                rows.set_segment(segment, bitmap);
            }
        }
        Ok(Some(rows))
    }
}
