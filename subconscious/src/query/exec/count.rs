//! Counts the records that match.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::Execution;
use crate::query::exec::call::{self, ReplyReader};
use crate::query::exec::context::{Context, MatchingRows, STEP};
use crate::query::exec::order::OrderReader;
use crate::query::exec::position::Position;
use crate::query::exec::rows::{self, Rows};
use crate::query::exec::scores::{self, Part};
use crate::query::filter::Condition;
use crate::query::request::{OrderKey, Request};
use crate::scripts::{COUNT, ESTIMATE};
use crate::server::Db;

/// The result of counting by the script.
enum Counted {
    /// This many records match.
    All(u64),
    /// The script counted nothing. The rows to count are those in the filter's range of this column
    /// that also match the rest of the filter.
    AlongRange(usize),
}

/// Counts by the script. One round trip for each millisecond of the server's time, and one more
/// where this program compares scores.
async fn by_script(context: &Context) -> Result<Counted> {
    let (db, target, filter) = (&context.db, &context.target, &context.filter);
    let (mut total, mut from, mut column) = (0, Position::default().words(), Vec::new());
    loop {
        let mut command = call::begin(db, target, &COUNT);
        command.arg(&from).arg(&column);
        let mut reply = call::run(db, target, &COUNT, command, filter).await?;
        let word = reply.bytes()?;
        total += reply.number::<u64>()?;
        match &word[..] {
            b"done" => return Ok(Counted::All(total)),
            b"more" => (from, column) = (reply.position()?.words(), reply.bytes()?),
            b"parts" => {
                let next = reply.optional()?;
                total += in_parts(context, &mut reply).await?;
                let Some(segment) = next else { return Ok(Counted::All(total)) };
                from = [b"part".to_vec(), segment.to_string().into_bytes(), Vec::new()];
            }
            b"along" => {
                let name = reply.bytes()?;
                let column = target.schema.columns().iter().position(|column| column.name().as_bytes() == name);
                return column.map(Counted::AlongRange).ok_or_else(|| reply.unknown(&name));
            }
            other => return Err(reply.unknown(other)),
        }
    }
}

/// Counts the rows of parts whose scores are in the ranges of some columns.
async fn in_parts(context: &Context, reply: &mut ReplyReader<'_>) -> Result<u64> {
    let schema = context.target.schema;
    let (mut columns, mut pieces) = (reply.reader()?, reply.reader()?);
    let mut named = Vec::new();
    while !columns.is_done() {
        named.push(columns.bytes()?);
    }
    let mut rows = Rows::default();
    while !pieces.is_done() {
        let part = Part::of(pieces.number()?);
        match pieces.value()? {
            Value::BulkString(bits) => scores::insert(&mut rows, part, &bits),
            Value::Array(offsets) => {
                let offsets = offsets.iter().filter_map(|offset| match offset {
                    Value::Int(offset) => u32::try_from(*offset).ok(),
                    _ => None,
                });
                scores::insert(&mut rows, part, &rows::bitmap(offsets));
            }
            other => return Err(context.target.unexpected(&other)),
        }
    }
    if rows.is_empty() {
        return Ok(0);
    }
    let (ranges, _) = scores::ranges(schema, &context.filter);
    let mut exact = true;
    for range in ranges {
        if named.iter().any(|name| schema.columns()[range.column()].name().as_bytes() == name) {
            // The script has looked at the zones.
            exact &= context.keep(range, &mut rows, false).await?;
        }
    }
    if exact { Ok(rows.len()) } else { context.count_records(&rows).await }
}

/// The number of records that match, as it is estimated before a way is chosen; `None` if scripts
/// do not evaluate the filter. One round trip.
pub(crate) async fn estimate(db: &Db, target: &Target, condition: &Condition) -> Result<Option<u64>> {
    let Execution { context, .. } = Execution::new(db, target.clone(), Request::of(condition.clone()))?;
    if context.client_side {
        return Ok(None);
    }
    let command = call::begin(&context.db, &context.target, &ESTIMATE);
    match call::run(&context.db, &context.target, &ESTIMATE, command, &context.filter).await {
        Ok(mut reply) => reply.number().map(Some),
        Err(error) if error.refuses_writes() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Execution {
    /// The number of records that match. One round trip for each millisecond of the server's time.
    /// If this program scans a wide range of a sorted set, one for each 4,000 rows of the range,
    /// and if it compares scores, one for each 500 KB.
    pub(crate) async fn count(self) -> Result<u64> {
        let mut context = self.context;
        if !context.client_side {
            match by_script(&context).await {
                Err(error) if error.refuses_writes() => context.client_side = true,
                Err(error) => return Err(error),
                Ok(Counted::All(count)) => return Ok(count),
                Ok(Counted::AlongRange(column)) => return Ok(along_range(&mut context, column).await?.len()),
            }
        }
        // Reading a range takes a quarter of the time that reading the records of its rows takes.
        // Comparing scores takes less.
        let has_scores = |column: usize| context.target.schema.columns()[column].kind.has_scores();
        if let Some(column) = context.filter.sorted_range().filter(|column| !has_scores(*column)) {
            return Ok(along_range(&mut context, column).await?.len());
        }
        let matches = context.matching(&context.filter.clone(), None).await?;
        if matches.exact {
            return Ok(matches.count);
        }
        context.count_records(&matches.rows).await
    }

    /// The rows that match a filter with a wide range of this column.
    pub(crate) async fn rows_in_range(self, column: usize) -> Result<Rows> {
        let mut context = self.context;
        if !context.target.schema.columns()[column].kind.has_scores() {
            return along_range(&mut context, column).await;
        }
        let MatchingRows { mut rows, exact, .. } = context.matching(&context.filter.clone(), None).await?;
        if !exact {
            let all: Vec<u32> = rows.iter().collect();
            rows = Rows::default();
            for some in all.chunks(STEP) {
                for hit in context.look_up(some, None).await? {
                    rows.insert(hit.row);
                }
            }
        }
        Ok(rows)
    }
}

impl Context {
    /// The number of these rows whose records match.
    async fn count_records(&self, rows: &Rows) -> Result<u64> {
        let (rows, mut count) = (rows.iter().collect::<Vec<_>>(), 0);
        for rows in rows.chunks(STEP) {
            count += self.look_up(rows, None).await?.len() as u64;
        }
        Ok(count)
    }
}

async fn along_range(context: &mut Context, column: usize) -> Result<Rows> {
    let (range, others) = context.filter.split_range(column);
    let matches = context.matching(&others, None).await?;
    let mut order = OrderReader::new(OrderKey::ascending(column), range, false, None);
    let mut found = Rows::default();
    while order.more {
        let (members, _) = order.read(&context.db, &context.target, 4 * STEP).await?;
        // A row that moves within the range during the scan counts once.
        let rows = members.iter().map(|member| member.row());
        let mut rows: Vec<u32> = rows.filter(|&row| matches.rows.has(row) && !found.has(row)).collect();
        if !matches.exact {
            rows = context.look_up(&rows, None).await?.into_iter().map(|hit| hit.row).collect();
        }
        for row in rows {
            found.insert(row);
        }
    }
    Ok(found)
}
