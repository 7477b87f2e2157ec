//! Counts by the values of a column.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use redis::Value;

use crate::codec::RecordReader;
use crate::db::Db;
use crate::error::Result;
use crate::model::RedisModel;
use crate::query::filter::Condition;
use crate::query::page::{self, Position, Request, Words};
use crate::query::reader::{Delivery, Reader};
use crate::query::rows::Rows;
use crate::scripts::GROUPS;
use crate::value::list::{self, ElementValue};
use crate::value::{ColumnType, IndexValue, Kind, index_form, parse};
use crate::write::Target;

/// A column type that records can be counted by: see [`Query::count_by`](crate::Query::count_by).
#[diagnostic::on_unimplemented(
    message = "records cannot be counted by a column of type `{Self}`",
    label = "has no values that can be compared"
)]
pub trait Grouping: ColumnType {
    /// What the records of a group have in common: the value of the column, or an element of a list.
    type Group: ColumnType + Send + 'static;
}

impl<T: IndexValue> Grouping for T {
    type Group = T;
}
impl<T: IndexValue> Grouping for Option<T> {
    type Group = Self;
}
impl<T: ElementValue> Grouping for Vec<T> {
    type Group = T;
}
impl<T: ElementValue> Grouping for Option<Vec<T>> {
    type Group = T;
}
impl<T: ElementValue + Ord> Grouping for BTreeSet<T> {
    type Group = T;
}
impl<T: ElementValue + Ord> Grouping for Option<BTreeSet<T>> {
    type Group = T;
}

/// Values that are looked for one by one. Of a column that has more, the records are read.
const MANY: usize = 1000;

/// Records that are read at a time.
const STEP: usize = 500;

/// Counts by stored values, in the order in which these were found; `None` is null.
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

/// The number of matching records for each value of a column, the greatest first.
pub(crate) async fn count_by<M: RedisModel, T: Grouping>(
    db: &Db,
    condition: &Condition,
    column: usize,
) -> Result<Vec<(T::Group, u64)>> {
    let target = Target::new::<M>(db);
    let request = Request { condition: condition.clone(), order: Vec::new(), backwards: false };
    page::check(&target, &request)?;
    let (schema, prefix) = (target.schema, target.keys.prefix.clone());
    let kind = schema.columns()[column].kind;
    let indexed = match kind {
        Kind::List => None,
        // The script keeps intermediate bitmaps.
        _ if db.is_read_only() => None,
        _ => match by_index(db, &target, &request, column).await {
            Err(error) if error.is_read_only() => None,
            tally => tally?,
        },
    };
    let tally = match indexed {
        Some(tally) => tally,
        None => by_records(db, target, request, column).await?,
    };
    let (columns, mut groups) = ([column], Vec::with_capacity(tally.counts.len()));
    for (value, count) in tally.counts {
        let place = value.as_deref().and_then(|value| schema.columns()[column].sort_key(value));
        let stored = value.map_or(Value::Nil, Value::BulkString);
        let mut record = RecordReader::values(schema, &columns, prefix.as_bytes(), vec![stored].into_iter());
        groups.push((record.column::<T::Group>()?, count, place));
    }
    groups.sort_by(|(_, one, place), (_, two, other)| {
        two.cmp(one).then_with(|| match (place, other) {
            (Some(place), Some(other)) => place.compare(other),
            // Null comes last.
            _ => place.is_none().cmp(&other.is_none()),
        })
    });
    Ok(groups.into_iter().map(|(group, count, _)| (group, count)).collect())
}

/// Counts with the containers of the column; `None` if its values are too many for that, or the ranges of the condition too wide. A round trip
/// for each millisecond of the server's time.
async fn by_index(db: &Db, target: &Target, request: &Request, column: usize) -> Result<Option<Tally>> {
    let schema = &target.schema.columns()[column];
    let mut tally = Tally::default();
    // Rows that were found along a range take the place of those that the script finds.
    let mut found: Option<Rows> = None;
    let (mut segment, mut left, mut tried) = (0, Vec::new(), 0);
    loop {
        let mut command = page::begin(db, target, &GROUPS);
        command.arg(schema.name()).arg(schema.kind.code().to_string()).arg(segment).arg(&left).arg(tried);
        command.arg(tally.counts.len());
        for (value, _) in &tally.counts {
            command.arg(value.as_ref().map_or_else(|| b"0".to_vec(), |value| [b"=", &value[..]].concat()));
        }
        let condition = if found.is_some() { &Condition::Nothing } else { &request.condition };
        let mut words = Words(page::run(db, target, &GROUPS, command, condition).await?.into_iter());
        let first = words.word();
        if words.0.len() == 0 {
            let range = target.schema.columns().iter().position(|column| column.name().as_bytes() == first);
            let Some(range) = range else { return Ok(None) };
            let reader = Reader::new(db, target.clone(), request.clone(), Position::default(), 0)?;
            let rows = found.insert(reader.along(range).await?);
            match rows.take_first() {
                Some(rows) => (segment, left) = rows,
                None => return Ok(Some(tally)),
            }
            continue;
        }
        let next = parse::<u32>(&first);
        (left, tried) = (words.word(), words.number().unwrap_or(0));
        while words.0.len() > 0 {
            let (value, count) = (words.word(), words.number().unwrap_or(0));
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
    let decode = move |found: page::Place| {
        let Some(Value::Array(mut fields)) = found.fields else { return Ok(None) };
        // The first is the row.
        Ok(place.filter(|place| place + 1 < fields.len()).map(|place| fields.swap_remove(place + 1)))
    };
    let delivery = Delivery { columns: Some(columns), decode: Arc::new(decode) };
    let mut reader = Reader::new(db, target, request, Position::default(), 0)?;
    let (mut tally, kind) = (Tally::default(), schema.columns()[column].kind);
    while reader.position().is_some() {
        for value in reader.items(STEP, u64::MAX, &delivery).await? {
            match value? {
                Value::BulkString(stored) if kind == Kind::List => {
                    // What is no list has no elements, in the index neither.
                    let elements: BTreeSet<_> = list::elements(&stored).unwrap_or_default().into_iter().collect();
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
