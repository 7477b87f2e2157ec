//! Counts the records that match by the values of one column or several.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::pin::pin;
use std::slice;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use redis::Value;

use crate::error::{Error, Result};
use crate::model::index::Need;
use crate::model::target::Target;
use crate::query::exec::context::filter;
use crate::query::exec::hit::Hit;
use crate::query::exec::rows::Rows;
use crate::query::exec::{Delivery, Execution, call};
use crate::query::filter::Condition;
use crate::query::plan::Node;
use crate::query::request::Request;
use crate::scripts::GROUPS;
use crate::server::Db;
use crate::value::{Kind, index_form, list};

/// Values that are counted one by one at most. If a column has more values, its records are read.
const MANY: usize = 1000;

/// Records that are read at a time.
const STEP: usize = 500;

/// With fewer records for each group of the first columns, reading them takes less time than
/// counting each group by the next column.
const RECORDS_A_GROUP: u64 = 100;

/// Groups that are counted by the next column at a time.
const AT_A_TIME: usize = 4;

/// The stored value of each column that is counted by; `None` is null.
type Group = Vec<Option<Vec<u8>>>;

/// Counts by group, in the order in which the groups were found.
#[derive(Debug, Default)]
struct Tally {
    counts: Vec<(Group, u64)>,
    places: HashMap<Group, usize>,
}

impl Tally {
    fn add(&mut self, group: Group, count: u64) {
        match self.places.get(&group) {
            Some(&place) => self.counts[place].1 += count,
            None => {
                self.places.insert(group.clone(), self.counts.len());
                self.counts.push((group, count));
            }
        }
    }
}

/// The values of the columns that records have together, each with the number of these records.
pub(crate) async fn count(
    db: &Db,
    mut target: Target,
    request: Request,
    columns: &[usize],
) -> Result<Vec<(Group, u64)>> {
    target.need(columns.iter().map(|&at| Need::Values(at)));
    let filter = filter(&mut target, &request)?;
    let is_list = |column: &usize| target.schema.columns()[*column].kind == Kind::List;
    // The script keeps intermediate bitmaps, and evaluates the whole filter for a segment.
    let indexed = if columns.iter().any(is_list) || db.is_read_only() || filter.is_long() {
        None
    } else {
        match by_indexes(db, &target, &request, filter, columns).await {
            Err(error) if error.refuses_writes() => None,
            counts => counts?,
        }
    };
    match indexed {
        Some(counts) => Ok(counts),
        None => Ok(by_records(db, target, request, columns).await?.counts),
    }
}

/// Counts by the first column, then each of its groups by the next column, and so on. `None` if
/// reading the records takes less time, or if [`by_index`] says so.
async fn by_indexes(
    db: &Db,
    target: &Target,
    request: &Request,
    all: Node,
    columns: &[usize],
) -> Result<Option<Vec<(Group, u64)>>> {
    let mut narrowed = vec![(Group::new(), request.clone(), all)];
    let mut counts: Vec<(Group, u64)> = Vec::new();
    for (place, &column) in columns.iter().enumerate() {
        if place > 0 {
            let narrow = |(group, _): (Group, u64)| {
                let request = among(request, columns, &group);
                let filter = filter(&mut target.clone(), &request)?;
                Ok((group, request, filter))
            };
            narrowed = counts.drain(..).map(narrow).collect::<Result<_>>()?;
        }
        let counted = stream::iter(narrowed.drain(..)).map(|(group, request, filter)| async move {
            let found = by_index(db, target, &request, &filter, column).await?;
            Ok::<_, Error>(found.map(|found| (group, found)))
        });
        let mut counted = pin!(counted.buffered(AT_A_TIME));
        while let Some(found) = counted.try_next().await? {
            let Some((group, found)) = found else { return Ok(None) };
            let groups = found.counts.into_iter().map(|(value, count)| ([&group[..], &value[..]].concat(), count));
            counts.extend(groups.filter(|(_, count)| *count > 0));
        }
        let records: u64 = counts.iter().map(|(_, count)| count).sum();
        if place + 1 < columns.len() && records < RECORDS_A_GROUP * counts.len() as u64 {
            return Ok(None);
        }
    }
    Ok(Some(counts))
}

/// The same request, for the records of a group of the first columns.
fn among(request: &Request, columns: &[usize], group: &Group) -> Request {
    let has = |(&column, value): (&usize, &Option<Vec<u8>>)| match value {
        Some(stored) => Condition::Equals { column, stored: stored.clone() },
        None => Condition::IsNull { column },
    };
    Request::of(columns.iter().zip(group).map(has).fold(request.condition.clone(), Condition::and))
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
            command.arg(value[0].as_ref().map_or_else(|| b"0".to_vec(), |value| [b"=", &value[..]].concat()));
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
            tally.add(vec![value.strip_prefix(b"=").map(<[u8]>::to_vec)], count);
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

/// Counts by reading the columns of each record that matches.
async fn by_records(db: &Db, target: Target, request: Request, columns: &[usize]) -> Result<Tally> {
    let schema = target.schema;
    let read: Arc<[usize]> = request.fields(schema, columns).into();
    let places: Vec<Option<usize>> = columns.iter().map(|&column| read.iter().position(|&at| at == column)).collect();
    let kinds: Vec<Kind> = columns.iter().map(|&column| schema.columns()[column].kind).collect();
    let decode = move |found: Hit| {
        let Some(Value::Array(fields)) = found.fields else { return Ok(None) };
        // The first field is the row.
        let field = |place: &Option<usize>| fields.get((*place)? + 1);
        let values: Option<Vec<&Value>> = places.iter().map(field).collect();
        Ok(values.map(|values| values.into_iter().zip(&kinds).map(|(value, &kind)| groups_of(value, kind)).collect()))
    };
    let delivery = Delivery { columns: Some(read), decode: Arc::new(decode) };
    let mut execution = Execution::new(db, target, request)?;
    let mut tally = Tally::default();
    while execution.position().is_some() {
        for values in execution.items(STEP, u64::MAX, &delivery).await? {
            let values: Vec<Group> = values?;
            // A record is in a group for each of the values, and for each pair of them and so on.
            let each = |groups: Vec<Group>, values: &Group| {
                let joined =
                    |group: &Group| values.iter().map(|value| [&group[..], slice::from_ref(value)].concat()).collect();
                groups.iter().flat_map::<Vec<Group>, _>(joined).collect()
            };
            values.iter().fold(vec![Group::new()], each).into_iter().for_each(|group| tally.add(group, 1));
        }
    }
    Ok(tally)
}

/// The values by which a record counts: one, or each element of a list.
fn groups_of(value: &Value, kind: Kind) -> Group {
    match value {
        Value::BulkString(stored) if kind == Kind::List => {
            // An index has each different element of a list once.
            let elements: BTreeSet<_> = list::entries(stored).into_iter().collect();
            elements.into_iter().map(|element| Some(element.into_owned())).collect()
        }
        Value::BulkString(stored) => vec![Some(index_form(kind, stored).to_vec())],
        _ if kind == Kind::List => Vec::new(),
        _ => vec![None],
    }
}
