//! One call of `scripts/query/query.lua`: a page of the rows that match, in order.

use redis::Value;

use crate::error::Result;
use crate::model::id;
use crate::model::target::Target;
use crate::query::exec::bitmaps::Bitmaps;
use crate::query::exec::call;
use crate::query::exec::hit::Hit;
use crate::query::exec::position::Position;
use crate::query::plan::Node;
use crate::query::request::Request;
use crate::query::way::PlanWay;
use crate::scripts::QUERY;
use crate::server::Db;

/// What a call should do.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRequest<'a> {
    pub(super) from: &'a Position,
    /// Greatest number of rows to find, after `skip` matching rows are left out.
    pub(super) rows: usize,
    pub(super) skip: u64,
    /// Number of rows that will be wanted in all.
    pub(super) left: u64,
    /// Positions of the columns to read.
    pub(super) columns: Option<&'a [usize]>,
    /// Whether the call may choose another way than an ordered scan.
    pub(super) choose: bool,
}

/// The result of a call.
#[derive(Debug)]
pub(super) struct PageReply {
    pub(super) hits: Vec<Hit>,
    /// The position to continue from; `None` if nothing follows.
    pub(super) next: Option<Position>,
    /// Number of matching rows still to leave out.
    pub(super) skip: u64,
    /// The position of the first row.
    pub(super) first: Position,
    /// The way that the call took; [`PlanWay::Estimate`] if the client can continue at a lower
    /// cost.
    pub(super) way: PlanWay,
    /// Microseconds that the server took.
    pub(super) microseconds: u64,
    /// Number of rows that were looked at one by one.
    pub(super) looked_at: u64,
    /// Number of matching rows, as estimated by the call.
    pub(super) estimated: Option<u64>,
    /// About how many microseconds the server takes to evaluate the filter in all segments.
    pub(super) evaluating: u64,
    /// About how many microseconds a call took that ended before it was done.
    pub(super) spent: u64,
    /// Number of rows that the model has handed out.
    pub(super) handed: u32,
    /// Why the call took this way, in words; empty if nobody asked, or if there was no choice.
    pub(super) why: String,
    /// If the way is an estimate: the bitmaps of the filter without its range of the order's
    /// column, unless zones may have the first rows.
    pub(super) bitmaps: Option<Bitmaps>,
}

/// Finds rows. There are fewer than asked for if the call ended before. One round trip.
pub(super) async fn read(
    db: &Db,
    target: &Target,
    request: &Request,
    filter: &Node,
    page: PageRequest<'_>,
) -> Result<PageReply> {
    let Target { schema, keys, .. } = target;
    let mut command = call::begin(db, target, &QUERY);
    command.arg(if page.columns.is_some() { "page" } else { "ids" });
    command.arg(page.rows).arg(page.skip).arg(page.skip.saturating_add(page.left).min(1 << 40));
    match request.order.first() {
        Some(key) => {
            let column = &schema.columns()[key.column];
            command.arg(column.name()).arg(call::direction(key.descending));
            let nulls = if key.nulls_first { "first" } else { "last" };
            command.arg(if column.is_nullable() { nulls } else { "never" }).arg(column.index_spec(0));
        }
        None => {
            command.arg("").arg(call::direction(request.backwards)).arg("never").arg("");
        }
    }
    command.arg(if page.choose { "choose" } else { "scan" }).arg(&page.from.words());
    let columns = page.columns.unwrap_or_default();
    command.arg(columns.len());
    for &at in columns {
        command.arg(schema.columns()[at].name());
    }
    let mut reply = call::run(db, target, &QUERY, command, filter).await?;
    let (mut head, mut bitmaps, rows) = (reply.reader()?, reply.reader()?, reply.list()?);
    let (more, next) = (head.flag()?, head.position()?);
    let (skip, first) = (head.number()?, head.position()?);
    let (microseconds, looked_at) = (head.number()?, head.number()?);
    let way = match &head.bytes()?[..] {
        b"row scan" => PlanWay::Scan,
        b"ordered scan" => PlanWay::Walk,
        b"values" => PlanWay::Values,
        b"top-k" => PlanWay::Gather,
        b"estimate" => PlanWay::Estimate,
        other => return Err(head.unknown(other)),
    };
    let (estimated, evaluating, spent) = (head.optional()?, head.number()?, head.number()?);
    let (handed, why) = (head.number()?, String::from_utf8_lossy(&head.bytes()?).into_owned());
    let bitmaps = if bitmaps.is_done() { None } else { Some(Bitmaps::of(&mut bitmaps)?) };
    let mut hits = Vec::with_capacity(rows.len() / 2);
    let mut values = rows.into_iter();
    while let Some(row) = values.next() {
        let (Value::Int(row), Some(directory)) = (&row, values.next()) else {
            return Err(target.unexpected(&row));
        };
        let fields = if page.columns.is_some() { values.next() } else { None };
        // A row without an entry in the row directory has no record: something other than this
        // library removed the entry's key.
        let Value::BulkString(stored) = directory else { continue };
        let Some(id) = id::from_directory(schema, stored) else { continue };
        let key = keys.record(&id);
        hits.push(Hit { row: *row as u32, id, key, fields });
    }
    let next = more.then_some(next);
    Ok(PageReply {
        hits,
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
    })
}
