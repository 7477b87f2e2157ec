//! An order of several columns whose first has few values: one value after the other, each along
//! the order of the next column. A page then costs as much as one of that order, however many rows
//! match.

use std::collections::VecDeque;
use std::mem;

use crate::error::Result;
use crate::query::exec::Execution;
use crate::query::exec::context::Context;
use crate::query::exec::entry::SortEntry;
use crate::query::exec::hit::Hit;
use crate::query::exec::lookup;
use crate::query::exec::position::Position;
use crate::query::plan::{Leaf, Node};
use crate::query::request::Request;
use crate::server::reply;
use crate::value::SortKey;

/// The most rows that are read so, with those that are left out. For more, reading and sorting all
/// rows that match takes less time than going along an order for each value.
pub(super) const WANTED: u64 = 1_000;

pub(super) struct ByValue {
    /// The values whose rows follow.
    groups: VecDeque<Group>,
    /// The rows of the current value.
    current: Option<(Option<SortKey>, Box<Execution>)>,
    /// Rows of the last call. They are added to the delivered rows only before another call.
    last: Vec<u32>,
}

/// The rows that have one value of the first column.
struct Group {
    /// The sort key of the value; `None` for null.
    key: Option<SortKey>,
    filter: Node,
    /// Where to begin, in the order of the other columns.
    from: Position,
}

/// The rank of a group in the order: nulls are before all values or after them.
fn rank(key: Option<&SortKey>, descending: bool, nulls_first: bool) -> (u8, i64) {
    match key {
        None => (if nulls_first { 0 } else { 2 }, 0),
        Some(key) => {
            let ordinal = key.score.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            (1, if descending { -ordinal } else { ordinal })
        }
    }
}

impl ByValue {
    /// Whether the order can be read so.
    pub(super) fn suits(context: &Context, left: u64) -> bool {
        let [first, _, ..] = context.request.order[..] else { return false };
        let few = context.target.schema.columns()[first.column].has_values();
        few && !context.client_side && context.skip.saturating_add(left) <= WANTED
    }

    /// Reads the values. One round trip.
    pub(super) async fn new(context: &Context, from: &Position) -> Result<Self> {
        let (schema, key) = (context.target.schema, context.request.order[0]);
        let column = &schema.columns()[key.column];
        let (mut groups, mut readable) = (Vec::new(), Vec::new());
        for value in lookup::values(&context.db, &context.target, key.column).await? {
            let others = context.filter.given(schema, key.column, &value);
            let stored = reply::bytes(value);
            let Some(ordinal) = column.ordinal_of(&stored) else { continue };
            readable.push(stored.clone());
            let Some(others) = others else { continue };
            let own = Node::Leaf(Leaf::Equals { column: key.column, value: stored });
            groups.push(Group {
                key: Some(SortKey { score: ordinal.to_string().into_bytes(), tail: Vec::new() }),
                filter: Node::and(vec![own, others]),
                from: Position::Start,
            });
        }
        // Values that this program can't read have no sort key, as null has none.
        readable.sort_unstable();
        let unread = Node::Not(Box::new(Node::Leaf(Leaf::In { column: key.column, values: readable })));
        let filter = Node::and(vec![unread, context.filter.clone()]);
        groups.push(Group { key: None, filter, from: Position::Start });
        let place = |group: &Group| rank(group.key.as_ref(), key.descending, key.nulls_first);
        groups.sort_by_key(place);
        // The values that an enum does not know share an ordinal, so their rows are in one order.
        groups.dedup_by(|next, group| {
            let same = next.key == group.key;
            if same {
                let filters = [&mut group.filter, &mut next.filter].map(|filter| mem::replace(filter, Node::None));
                group.filter = Node::Or(filters.into());
            }
            same
        });
        if let Position::Entry(SortEntry { keys, row }) = from {
            let begin = rank(keys[0].as_ref(), key.descending, key.nulls_first);
            groups.retain(|group| place(group) >= begin);
            // The value of the position may be gone. Then the next one is read from its start.
            if let Some(group) = groups.first_mut().filter(|group| place(group) == begin) {
                let entry = SortEntry { keys: keys[1..].to_vec(), row: *row };
                group.from = Position::after(&entry, &context.request.order[1..]);
            }
        }
        Ok(Self { groups: groups.into(), current: None, last: Vec::new() })
    }

    /// Finds up to `rows` of the rows that follow, at most to the end of a value.
    pub(super) async fn next(
        &mut self,
        context: &mut Context,
        rows: usize,
        left: u64,
        columns: Option<&[usize]>,
    ) -> Result<Vec<Hit>> {
        for row in self.last.drain(..) {
            context.delivered.insert(row);
        }
        let Some((key, mut execution)) = self.current.take().map_or_else(|| self.begin(context), |it| Ok(Some(it)))?
        else {
            context.next = None;
            return Ok(Vec::new());
        };
        let schema = context.target.schema;
        let of_order = context.columns();
        let columns = columns.unwrap_or(&of_order);
        // The execution of a value is an execution itself.
        let mut hits = Box::pin(execution.next(rows, left, Some(columns))).await?;
        context.skip = execution.context.skip;
        if execution.position().is_some() {
            self.current = Some((key.clone(), execution));
        }
        hits.retain(|hit| !context.delivered.has(hit.row));
        self.last = hits.iter().map(|hit| hit.row).collect();
        let order = &context.request.order;
        let position = |hit: &Hit| {
            let mut entry = SortEntry::of(schema, order, columns, hit)?;
            entry.keys[0].clone_from(&key);
            Some(Position::Entry(entry))
        };
        if context.first.is_none() {
            context.first = hits.first().and_then(position);
        }
        if let Some(last) = hits.last().and_then(position) {
            context.next = Some(last);
        }
        if self.current.is_none() && self.groups.is_empty() {
            context.next = None;
        }
        Ok(hits)
    }

    /// Begins the next value.
    fn begin(&mut self, context: &Context) -> Result<Option<(Option<SortKey>, Box<Execution>)>> {
        let Some(Group { key, filter, from }) = self.groups.pop_front() else { return Ok(None) };
        let request = Request { order: context.request.order[1..].to_vec(), ..context.request.clone() };
        let mut execution = Execution::from(&context.db, context.target.clone(), request, from, context.skip)?;
        execution.context.filter = filter;
        Ok(Some((key, Box::new(execution.with_stats(context.stats())))))
    }
}
