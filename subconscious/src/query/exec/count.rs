//! Counts the records that match.

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::Execution;
use crate::query::exec::call;
use crate::query::exec::context::{Context, STEP};
use crate::query::exec::order::OrderReader;
use crate::query::exec::position::Position;
use crate::query::exec::rows::Rows;
use crate::query::plan::Node;
use crate::query::request::OrderKey;
use crate::scripts::COUNT;
use crate::server::Db;

/// The result of counting by the script.
enum Counted {
    /// This many records match.
    All(u64),
    /// The script counted nothing. The rows to count are those in the filter's range of this column
    /// that also match the rest of the filter.
    AlongRange(usize),
}

/// Counts by the script. One round trip for each millisecond of the server's time.
async fn by_script(db: &Db, target: &Target, filter: &Node) -> Result<Counted> {
    let (mut total, mut from, mut column) = (0, Position::default(), Vec::new());
    loop {
        let mut command = call::begin(db, target, &COUNT);
        command.arg(&from.words()).arg(&column);
        let mut reply = call::run(db, target, &COUNT, command, filter).await?;
        let word = reply.bytes()?;
        total += reply.number::<u64>()?;
        match &word[..] {
            b"done" => return Ok(Counted::All(total)),
            b"more" => (from, column) = (reply.position()?, reply.bytes()?),
            b"along" => {
                let name = reply.bytes()?;
                let column = target.schema.columns().iter().position(|column| column.name().as_bytes() == name);
                return column.map(Counted::AlongRange).ok_or_else(|| reply.unknown(&name));
            }
            other => return Err(reply.unknown(other)),
        }
    }
}

impl Execution {
    /// The number of records that match. One round trip for each millisecond of the server's time.
    /// If this program scans a wide range of a sorted set, one for each 4,000 rows of the range.
    pub(crate) async fn count(self) -> Result<u64> {
        let mut context = self.context;
        if !context.client_side {
            match by_script(&context.db, &context.target, &context.filter).await {
                Err(error) if error.refuses_writes() => context.client_side = true,
                Err(error) => return Err(error),
                Ok(Counted::All(count)) => return Ok(count),
                Ok(Counted::AlongRange(column)) => return Ok(along_range(&mut context, column).await?.len()),
            }
        }
        // Reading a range takes a quarter of the time that reading the records of its rows takes.
        if let Some(column) = context.filter.sorted_range() {
            return Ok(along_range(&mut context, column).await?.len());
        }
        let matches = context.matching(&context.filter.clone(), None).await?;
        if matches.exact {
            return Ok(matches.count);
        }
        let (rows, mut count) = (matches.rows.iter().collect::<Vec<_>>(), 0);
        for rows in rows.chunks(STEP) {
            count += context.look_up(rows, None).await?.len() as u64;
        }
        Ok(count)
    }

    /// The rows that match, found by an ordered scan of the filter's range of this column.
    pub(crate) async fn along_range(mut self, column: usize) -> Result<Rows> {
        along_range(&mut self.context, column).await
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
