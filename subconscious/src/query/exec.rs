//! Runs a query call by call, in its order.
//!
//! A way finds the next rows, and owns what it needs to continue. [`Context`] has what all ways
//! share. An [`Execution`] chooses which way is taken next.

use std::sync::Arc;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::plan::{Node, cost};
use crate::query::request::Request;
use crate::query::stats::Stats;
use crate::server::Db;

mod bitmaps;
mod by_value;
mod call;
mod change;
mod context;
mod count;
pub(crate) mod entry;
mod evaluate;
pub(crate) mod groups;
mod hit;
mod lists;
pub(crate) mod lookup;
mod order;
mod ordered_scan;
mod owner;
mod page;
pub(crate) mod position;
mod row_scan;
mod rows;
mod scores;
mod script_scan;
mod top_k;
pub(crate) mod values;
mod zones;

use by_value::ByValue;
use context::{Context, STEP};
pub(crate) use count::estimate;
pub(crate) use hit::Hit;
use order::OrderReader;
use ordered_scan::OrderedScan;
pub(crate) use position::Position;
use row_scan::RowScan;
use script_scan::{GoOn, ScriptScan};
use top_k::TopK;
use zones::Sizes;

/// Up to this number of rows, a script reads the fields in the same round trip. The fields of more
/// rows are read by a pipeline, which costs the server a third of that.
const IN_SCRIPT: usize = 100;

/// What a query delivers for each row.
pub(crate) struct Delivery<T> {
    /// Positions of the columns to read, including all columns of the filter; `None` if the ids are
    /// enough.
    pub(crate) columns: Option<Arc<[usize]>>,
    pub(crate) decode: Decode<T>,
}

/// Makes an item from a row; `None` if its record is gone.
type Decode<T> = Arc<dyn Fn(Hit) -> Result<Option<T>> + Send + Sync>;

impl<T> Clone for Delivery<T> {
    fn clone(&self) -> Self {
        Self { columns: self.columns.clone(), decode: Arc::clone(&self.decode) }
    }
}

/// A query that is running.
pub(crate) struct Execution {
    context: Context,
    way: Way,
}

/// How the next rows are found.
enum Way {
    Script(ScriptScan),
    Rows(RowScan),
    Ordered(OrderedScan),
    TopK(TopK),
    ByValue(ByValue),
}

impl Execution {
    pub(crate) fn new(db: &Db, target: Target, request: Request) -> Result<Self> {
        Self::from(db, target, request, Position::Start, 0)
    }

    /// Begins after the position `from`, and leaves out the first `skip` rows that match.
    pub(crate) fn from(db: &Db, target: Target, request: Request, from: Position, skip: u64) -> Result<Self> {
        let context = Context::new(db, target, request, from, skip)?;
        Ok(Self { context, way: Way::Script(ScriptScan::default()) })
    }

    /// Keeps the exact positions of the first and the last row.
    pub(crate) fn keep_positions(&mut self) {
        self.context.exact_positions = true;
    }

    /// Notes from now on what the query costs, if there are statistics to note it in.
    pub(crate) fn with_stats(mut self, stats: Option<Stats>) -> Self {
        self.context.set_stats(stats);
        self
    }

    /// Makes the scripts report how long they took.
    pub(crate) fn timed(mut self) -> Self {
        self.context.db = self.context.db.timed();
        self
    }

    /// The position to continue from; `None` if nothing follows.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.context.next.as_ref()
    }

    /// The position of the first row that was found.
    pub(crate) fn first(&self) -> Option<&Position> {
        self.context.first.as_ref()
    }

    /// Drops the order for a caller that only asks whether there is a row. After a cursor, the
    /// order matters and is kept.
    pub(crate) fn forget_order(&mut self, after_cursor: bool) {
        if !after_cursor {
            self.context.request.order.clear();
        }
    }

    /// The next items: see [`next`](Self::next).
    pub(crate) async fn items<T>(&mut self, rows: usize, left: u64, delivery: &Delivery<T>) -> Result<Vec<Result<T>>> {
        let hits = self.next(rows, left, delivery.columns.as_deref()).await?;
        Ok(hits.into_iter().filter_map(|hit| (delivery.decode)(hit).transpose()).collect())
    }

    /// Finds up to `rows` of the rows that follow. It finds fewer, or none, if a call ended before.
    /// `left` is the number of rows that will be wanted in all. `columns` are those to read, which
    /// include the columns of the order.
    ///
    /// Up to [`IN_SCRIPT`] rows usually take one round trip. More rows take three or four: for
    /// bitmaps, members of the order, ids, and records.
    pub(crate) async fn next(&mut self, rows: usize, left: u64, columns: Option<&[usize]>) -> Result<Vec<Hit>> {
        let Self { context, way } = self;
        let Some(from) = context.next.clone() else { return Ok(Vec::new()) };
        if let Way::Script(script) = way {
            script.keep_delivered(context);
            if let Some(other) = instead_of_script(context, &from, rows, left, columns).await? {
                *way = other;
            }
        }
        match way {
            Way::Script(script) => {
                let (hits, go_on) = script.next(context, &from, rows, left, columns).await?;
                if let Some(go_on) = go_on {
                    script.keep_delivered(context);
                    if let Some(other) = order_in_program(context, go_on).await? {
                        *way = other;
                    }
                }
                Ok(hits)
            }
            Way::Rows(scan) => {
                let hits = scan.next(context, rows, columns).await;
                if scan.is_done() {
                    *way = Way::Script(ScriptScan::default());
                }
                hits
            }
            Way::Ordered(scan) if scan.is_too_long() => {
                let (exact, from) = (scan.matches.exact && scan.order.is_whole(), scan.position());
                *way = Way::TopK(TopK::new(context, &scan.matches.rows, exact, &from, left).await?);
                Ok(Vec::new())
            }
            Way::Ordered(scan) => {
                let hits = scan.next(context, rows, left, columns).await;
                // The script finds the nulls at the end of an order.
                if matches!(context.next, Some(Position::Null(_))) {
                    *way = Way::Script(ScriptScan::of_order());
                }
                hits
            }
            Way::ByValue(by_value) => by_value.next(context, rows, left, columns).await,
            Way::TopK(top_k) => {
                let hits = top_k.next(context, rows, columns).await;
                // If some of the sorted rows no longer match, more rows are wanted, and the search
                // begins again after them.
                if top_k.is_done() {
                    *way = Way::Script(ScriptScan::default());
                }
                hits
            }
        }
    }
}

/// The way to take without a call of `query.lua`, if there is one.
async fn instead_of_script(
    context: &mut Context,
    from: &Position,
    rows: usize,
    left: u64,
    columns: Option<&[usize]>,
) -> Result<Option<Way>> {
    if context.request.order.len() > 1 {
        let filter = context.filter.clone();
        let begun = context.bitmaps(&filter, None, false).await?;
        // With the usual budget, a thousand rows are soon sorted.
        let few = begun.next.is_none() && u128::from(begun.count()) <= context.db.query_budget().as_micros();
        if !few && ByValue::suits(context, left) {
            return ByValue::new(context, from).await.map(Way::ByValue).map(Some);
        }
        let matches = context.matching(&filter, Some(begun)).await?;
        return TopK::new(context, &matches.rows, matches.exact, from, left).await.map(Way::TopK).map(Some);
    }
    let Some(&key) = context.request.order.first() else {
        let many = rows > IN_SCRIPT && columns.is_some();
        return Ok((context.client_side || many).then(|| Way::Rows(RowScan::all(context, from))));
    };
    if !context.client_side {
        return Ok(None);
    }
    let column = &context.target.schema.columns()[key.column];
    if !column.has_sorted_set() {
        let matches = context.matching(&context.filter.clone(), None).await?;
        if matches.count > STEP as u64 {
            return RowScan::values(context, key, from, matches).await.map(Way::Rows).map(Some);
        }
        return TopK::new(context, &matches.rows, matches.exact, from, left).await.map(Way::TopK).map(Some);
    }
    let begins_with_nulls = *from == Position::Start && key.nulls_first && column.is_nullable();
    if matches!(from, Position::Null(_)) || begins_with_nulls {
        return Ok(Some(Way::Rows(RowScan::nulls(context, key, from))));
    }
    order_in_program(context, GoOn { key, from: from.clone(), left, sizes: Sizes::default(), begun: None }).await
}

/// The cheapest way to continue an order in this program; `None` if the script is cheaper.
async fn order_in_program(context: &mut Context, go_on: GoOn) -> Result<Option<Way>> {
    let GoOn { key, from, left, sizes, begun } = go_on;
    let (range, others) = context.filter.split_range(key.column);
    if others == Node::All && !context.client_side {
        return Ok(None);
    }
    let wanted = context.skip.saturating_add(left);
    match zones::candidates(context, key, &from, wanted, sizes).await {
        Err(error) if error.refuses_writes() => context.client_side = true,
        Err(error) => return Err(error),
        Ok(None) => {}
        Ok(Some(candidates)) => {
            return TopK::first(context, candidates, &from, left).await.map(Way::TopK).map(Some);
        }
    }
    let top_k = if context.target.schema.columns()[key.column].has_sorted_set() {
        let matches = context.matching(&others, begun).await?;
        if cost::ordered_scan_is_cheaper(matches.total, matches.count, wanted) {
            let after = if let Position::Value(member) = from { member } else { None };
            let order = OrderReader::new(key, range, context.exact_positions, after);
            return Ok(Some(Way::Ordered(OrderedScan::new(key, matches, order))));
        }
        let exact = matches.exact && range == Node::All;
        TopK::new(context, &matches.rows, exact, &from, left).await?
    } else {
        let matches = context.matching(&context.filter.clone(), None).await?;
        TopK::new(context, &matches.rows, matches.exact, &from, left).await?
    };
    Ok(Some(Way::TopK(top_k)))
}
