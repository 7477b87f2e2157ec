//! Counts the records that match by the values of a column.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::context::filter;
use crate::query::exec::hit::Hit;
use crate::query::exec::rows::Rows;
use crate::query::exec::{Delivery, Execution, call};
use crate::query::plan::Node;
use crate::query::request::Request;
use crate::scripts::GROUPS;
use crate::server::Db;
use crate::value::{Kind, index_form, list};

/// Values that are counted one by one at most. If a column has more values, its records are read.
const MANY: usize = 1000;

/// Records that are read at a time.
const STEP: usize = 500;

/// Counts by stored value, in the order in which the values were found; `None` is null.
#[derive(Debug, Default)]
struct Tally {
    counts: Vec<(Option<Vec<u8>>, u64)>,
    places: HashMap<Option<Vec<u8>>, usize>,
}

impl Tally {
    fn add(&mut self, value: Option<Vec<u8>>, count: u64) {
        match self.places.get(&value) {
            Some(&place) => self.counts[place].1 += count,
            None => {
                self.places.insert(value.clone(), self.counts.len());
                self.counts.push((value, count));
            }
        }
    }
}

/// The stored values, each with the number of records that have it, in the order in which the
/// values were found; `None` is null.
pub(crate) async fn count(
    db: &Db,
    target: Target,
    request: Request,
    column: usize,
) -> Result<Vec<(Option<Vec<u8>>, u64)>> {
    let filter = filter(&target, &request)?;
    let indexed = match target.schema.columns()[column].kind {
        Kind::List => None,
        // The script keeps intermediate bitmaps, and evaluates the whole filter for a segment.
        _ if db.is_read_only() || filter.is_long() => None,
        _ => match by_index(db, &target, &request, &filter, column).await {
            Err(error) if error.refuses_writes() => None,
            tally => tally?,
        },
    };
    match indexed {
        Some(tally) => Ok(tally.counts),
        None => Ok(by_records(db, target, request, column).await?.counts),
    }
}

/// Counts by the containers of the column; `None` if the column has too many values, or the ranges
/// of the filter are too wide. One round trip for each millisecond of the server's time.
async fn by_index(db: &Db, target: &Target, request: &Request, filter: &Node, column: usize) -> Result<Option<Tally>> {
    let schema = &target.schema.columns()[column];
    let mut tally = Tally::default();
    // Rows found by an ordered scan of a range. They replace those that the script finds.
    let mut found: Option<Rows> = None;
    let (mut segment, mut left, mut tried) = (0, Vec::new(), 0);
    loop {
        let mut command = call::begin(db, target, &GROUPS);
        command.arg(schema.name()).arg(schema.kind.code().to_string()).arg(segment).arg(&left).arg(tried);
        command.arg(tally.counts.len());
        for (value, _) in &tally.counts {
            command.arg(value.as_ref().map_or_else(|| b"0".to_vec(), |value| [b"=", &value[..]].concat()));
        }
        let filter = if found.is_some() { &Node::None } else { filter };
        let mut reply = call::run(db, target, &GROUPS, command, filter).await?;
        match &reply.bytes()?[..] {
            b"counted" => {}
            b"along" => {
                let range = reply.bytes()?;
                let named = target.schema.columns().iter().position(|column| column.name().as_bytes() == range);
                let Some(range) = named else { return Err(reply.unknown(&range)) };
                let execution = Execution::new(db, target.clone(), request.clone())?;
                match found.insert(execution.rows_in_range(range).await?).take_first() {
                    Some(rows) => (segment, left) = rows,
                    None => return Ok(Some(tally)),
                }
                continue;
            }
            b"wide" => return Ok(None),
            other => return Err(reply.unknown(other)),
        }
        let next = reply.optional()?.map(|next| next as u32);
        (left, tried) = (reply.bytes()?, reply.number::<u64>()?);
        while !reply.is_done() {
            let (value, count) = (reply.bytes()?, reply.number()?);
            tally.add(value.strip_prefix(b"=").map(<[u8]>::to_vec), count);
        }
        if tally.counts.len() > MANY {
            return Ok(None);
        }
        let next = match &mut found {
            Some(rows) if left.is_empty() => rows.take_first(),
            _ => next.map(|next| (next, mem::take(&mut left))),
        };
        match next {
            Some(rows) => (segment, left) = rows,
            None => return Ok(Some(tally)),
        }
    }
}

/// Counts by reading the column of each record that matches.
async fn by_records(db: &Db, target: Target, request: Request, column: usize) -> Result<Tally> {
    let schema = target.schema;
    let columns: Arc<[usize]> = request.fields(schema, &[column]).into();
    let place = columns.iter().position(|&at| at == column);
    let decode = move |found: Hit| {
        let Some(Value::Array(mut fields)) = found.fields else { return Ok(None) };
        // The first field is the row.
        Ok(place.filter(|place| place + 1 < fields.len()).map(|place| fields.swap_remove(place + 1)))
    };
    let delivery = Delivery { columns: Some(columns), decode: Arc::new(decode) };
    let mut execution = Execution::new(db, target, request)?;
    let (mut tally, kind) = (Tally::default(), schema.columns()[column].kind);
    while execution.position().is_some() {
        for value in execution.items(STEP, u64::MAX, &delivery).await? {
            match value? {
                Value::BulkString(stored) if kind == Kind::List => {
                    // An index has each different element of a list once.
                    let elements: BTreeSet<_> = list::entries(&stored).into_iter().collect();
                    elements.into_iter().for_each(|element| tally.add(Some(element.into_owned()), 1));
                }
                Value::BulkString(stored) => tally.add(Some(index_form(kind, &stored).to_vec()), 1),
                _ if kind == Kind::List => {}
                _ => tally.add(None, 1),
            }
        }
    }
    Ok(tally)
}
