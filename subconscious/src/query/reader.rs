//! Reads what a query asks for, call by call, in its order.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use redis::Value;

use crate::db::Db;
use crate::error::Result;
use crate::query::explain::{PlanStep, PlanWay};
use crate::query::page::{self, Ask, OrderKey, Part, Place, Position, Request, Way};
use crate::query::plan;
use crate::record::{self, Seen};
use crate::schema::ModelSchema;
use crate::scripts::DELETE;
use crate::value::{Kind, SortKey};
use crate::write::Target;

/// Rows up to this number come with their fields in the same round trip; more are read by a pipeline, which costs the
/// server a third.
const IN_SCRIPT: usize = 100;

/// Rows that one call is asked for at most where all are gathered.
const STEP: usize = 500;

/// What is delivered of each row.
pub(crate) struct Delivery<T> {
    /// Positions of the columns to read, with all of the condition among them; `None` if the ids are enough.
    pub(crate) columns: Option<Arc<[usize]>>,
    pub(crate) decode: Decode<T>,
}

/// Makes an item of a row; `None` if its record is gone.
type Decode<T> = Arc<dyn Fn(Place) -> Result<Option<T>> + Send + Sync>;

impl<T> Clone for Delivery<T> {
    fn clone(&self) -> Self {
        Self { columns: self.columns.clone(), decode: Arc::clone(&self.decode) }
    }
}

/// A query on its way.
pub(crate) struct Reader {
    db: Db,
    target: Target,
    request: Request,
    /// `None` if all was read.
    from: Option<Position>,
    /// Matching rows still to be left out.
    skip: u64,
    /// Where the first row that was found is.
    first: Option<Position>,
    /// Rows that were sorted here, and whether more than these match.
    sorted: Option<(VecDeque<Entry>, bool)>,
    /// What was spent on walking the order, in microseconds, and the rows that were estimated to match.
    walked: u64,
    expected: Option<u64>,
    /// Rows found so far, where one that moves in the order could be met again.
    found: Rows,
    /// What it took, where somebody wants to know.
    spent: Option<Box<Spent>>,
}

/// What a query took: see [`Plan`](crate::Plan).
#[derive(Debug, Default)]
pub(crate) struct Spent {
    pub(crate) steps: Vec<PlanStep>,
    pub(crate) expected: Option<u64>,
    pub(crate) looked: u64,
    pub(crate) round_trips: u64,
    pub(crate) commands: u64,
    pub(crate) microseconds: u64,
    pub(crate) bytes: u64,
}

impl Spent {
    fn part(&mut self, part: &Part, way: PlanWay) {
        match self.steps.last_mut() {
            Some(step) if step.way == way => step.calls += 1,
            _ => self.steps.push(PlanStep { way, calls: 1 }),
        }
        self.expected = self.expected.or(part.expected);
        self.looked += part.looked;
        self.round_trips += 1;
        self.commands += 1;
        self.microseconds += part.microseconds;
        self.bytes +=
            part.places.iter().map(|place| place.id.len() + place.fields.as_ref().map_or(0, size)).sum::<usize>()
                as u64;
    }
}

/// Bytes of the texts in a reply.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.iter().map(size).sum(),
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Reader {
    pub(crate) fn new(db: &Db, target: Target, request: Request, from: Position, skip: u64) -> Result<Self> {
        page::check(&target, &request)?;
        Ok(Self {
            db: db.clone(),
            target,
            request,
            from: Some(from),
            skip,
            first: None,
            sorted: None,
            walked: 0,
            expected: None,
            found: Rows::default(),
            spent: None,
        })
    }

    /// Counts what it takes from now on.
    pub(crate) fn explain(&mut self) {
        self.spent = Some(Box::default());
    }

    pub(crate) fn spent(self) -> Spent {
        *self.spent.unwrap_or_default()
    }

    /// Where to go on; `None` if nothing follows.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.from.as_ref()
    }

    /// Where the first row is that was found.
    pub(crate) fn first(&self) -> Option<&Position> {
        self.first.as_ref()
    }

    /// Finds up to `rows` of the rows that follow, fewer or none where a call ended before; `left` is how many will be wanted in all. One
    /// round trip, and one more to read the columns of more than [`IN_SCRIPT`] rows; more where an order has to be made here.
    pub(crate) async fn next(&mut self, rows: usize, left: u64, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let Some(from) = self.from.clone() else { return Ok(Vec::new()) };
        let sorts = self.request.order.len() > 1
            || self.expected.is_some_and(|expected| plan::sorting_is_cheaper(self.walked, expected));
        if sorts && self.sorted.is_none() {
            self.sort(&from, left).await?;
        }
        if self.sorted.is_some() {
            let places = self.take_sorted(rows);
            return match columns {
                Some(columns) => self.read(places, columns).await,
                None => Ok(places),
            };
        }
        let in_script = columns.filter(|_| rows <= IN_SCRIPT);
        let choose = self.walked == 0;
        let ask = Ask { from: &from, rows, skip: self.skip, left, columns: in_script, choose };
        let part = page::part(&self.db, &self.target, &self.request, ask).await?;
        if let Some(spent) = &mut self.spent {
            spent.part(
                &part,
                match part.way {
                    Way::Scan => PlanWay::Scan,
                    Way::Walk => PlanWay::Walk,
                    Way::Values => PlanWay::Values,
                    Way::Gather => PlanWay::Gather,
                    Way::Many => PlanWay::Sort,
                },
            );
        }
        let Part { mut places, next, skip, first, way, microseconds, expected, .. } = part;
        (self.from, self.skip) = (next, skip);
        if self.first.is_none() && !places.is_empty() {
            self.first = Some(first);
        }
        if matches!(way, Way::Walk | Way::Values) {
            self.walked += microseconds.max(1);
        }
        self.expected = self.expected.or(expected);
        if way == Way::Many {
            // From the next call on.
            self.walked = u64::MAX;
        }
        if !self.request.order.is_empty() {
            places.retain(|place| self.found.insert(place.row));
        }
        match columns {
            Some(columns) if in_script.is_none() => self.read(places, columns).await,
            _ => Ok(places),
        }
    }

    /// The items that follow: see [`next`](Self::next).
    pub(crate) async fn items<T>(&mut self, rows: usize, left: u64, delivery: &Delivery<T>) -> Result<Vec<Result<T>>> {
        let places = self.next(rows, left, delivery.columns.as_deref()).await?;
        Ok(places.into_iter().filter_map(|place| (delivery.decode)(place).transpose()).collect())
    }

    /// Leaves the order away where it does not matter, as only whether there is a row is asked; after a cursor it does.
    pub(crate) fn forget_order(&mut self, after_cursor: bool) {
        if !after_cursor {
            self.request.order.clear();
        }
    }

    /// Deletes up to `rows` of the rows that follow, at most [`IN_SCRIPT`], and says how many. Two round trips, and two more if somebody changes one
    /// of them meanwhile: it is deleted only if it still matches.
    pub(crate) async fn delete(&mut self, rows: usize, left: u64) -> Result<u64> {
        let schema = self.target.schema;
        let mut columns = BTreeSet::new();
        self.request.condition.columns(&mut columns);
        // A key that is not a field never changes.
        let columns: Vec<usize> = columns.into_iter().filter(|at| schema.stored.contains(at)).collect();
        let mut todo = self.next(rows.min(IN_SCRIPT), left, Some(&columns)).await?;
        let mut deleted = 0;
        while !todo.is_empty() {
            // One without fields is gone.
            let seen = |place: &Place| seen(schema, &columns, place.fields.as_ref()?);
            let calls = todo.iter().filter_map(|place| {
                Some(record::delete_call(&self.target, place.key.clone(), &[], None, &seen(place)?))
            });
            let calls: Vec<_> = calls.collect();
            todo.retain(|place| seen(place).is_some());
            let replies = self.target.run_many(&self.db, &DELETE, calls).await?;
            let mut changed = Vec::new();
            for (place, reply) in todo.into_iter().zip(replies) {
                match reply?.first() {
                    Some(Value::Int(1)) => deleted += 1,
                    Some(Value::Int(2)) => changed.push(place),
                    _ => {}
                }
            }
            todo = self.read(changed, &columns).await?;
        }
        Ok(deleted)
    }

    /// Reads the columns of rows that were found before, and drops those that match no more.
    async fn read(&mut self, mut places: Vec<Place>, columns: &[usize]) -> Result<Vec<Place>> {
        if places.is_empty() {
            return Ok(places);
        }
        let schema = self.target.schema;
        let mut pipeline = redis::Pipeline::with_capacity(places.len());
        for place in &places {
            pipeline.add_command(record::read_command(schema, &place.key, columns));
        }
        let replies = self.db.send_all(&pipeline).await?;
        if let Some(spent) = &mut self.spent {
            spent.round_trips += 1;
            spent.commands += replies.len() as u64;
            spent.bytes += replies.iter().flatten().map(size).sum::<usize>() as u64;
        }
        for (place, reply) in places.iter_mut().zip(replies) {
            // The record may have changed, or given its row to another one, since it was found.
            let fields = reply.map_err(|error| self.target.wrong_type(error))?;
            place.fields = Some(fields).filter(|fields| self.matches(columns, place.row, fields));
        }
        places.retain(|place| place.fields.is_some());
        Ok(places)
    }

    /// Whether a record still has the row and matches, by what was read of it.
    pub(crate) fn matches(&self, columns: &[usize], row: u32, fields: &Value) -> bool {
        let Value::Array(fields) = fields else { return false };
        let [Value::BulkString(found), fields @ ..] = fields.as_slice() else { return false };
        *found == row.to_string().into_bytes() && self.request.condition.matches(self.target.schema, columns, fields)
    }

    /// Finds all rows that match, with what they are ordered by, and holds those of them that are wanted, sorted.
    async fn sort(&mut self, from: &Position, left: u64) -> Result<()> {
        let schema = self.target.schema;
        let order = &self.request.order;
        let mut columns = BTreeSet::new();
        self.request.condition.columns(&mut columns);
        columns.extend(order.iter().map(|key| key.column));
        // A key that is not a field can't be a part of a filter or an order.
        let columns: Vec<usize> = columns.into_iter().filter(|at| schema.stored.contains(at)).collect();
        let edge = Entry::at(order, from);
        let wanted = usize::try_from(self.skip.saturating_add(left)).unwrap_or(usize::MAX);
        let request = Request { condition: self.request.condition.clone(), order: Vec::new(), backwards: false };
        let (mut entries, mut more, mut next) = (Vec::new(), false, Some(Position::default()));
        while let Some(from) = next {
            let ask = Ask { from: &from, rows: STEP, skip: 0, left: u64::MAX, columns: Some(&columns), choose: false };
            let part = page::part(&self.db, &self.target, &request, ask).await?;
            if let Some(spent) = &mut self.spent {
                spent.part(&part, PlanWay::Sort);
            }
            next = part.next;
            for place in part.places {
                let Some(entry) = Entry::of(schema, order, &columns, place) else { continue };
                if edge.as_ref().is_none_or(|edge| entry.compare(edge, order).is_gt())
                    && !self.found.has(entry.row as u32)
                {
                    entries.push(entry);
                }
            }
            // Now and then, those that are not wanted go.
            if entries.len() / 2 > wanted {
                entries.select_nth_unstable_by(wanted, |one, two| one.compare(two, order));
                entries.truncate(wanted);
                more = true;
            }
        }
        entries.sort_unstable_by(|one, two| one.compare(two, order));
        more |= entries.len() > wanted;
        entries.truncate(wanted);
        let left_out = usize::try_from(self.skip).unwrap_or(usize::MAX).min(entries.len());
        self.skip -= left_out as u64;
        self.sorted = Some((entries.into_iter().skip(left_out).collect(), more));
        Ok(())
    }

    fn take_sorted(&mut self, rows: usize) -> Vec<Place> {
        let Some((entries, more)) = &mut self.sorted else { return Vec::new() };
        let taken: Vec<Entry> = entries.drain(..rows.min(entries.len())).collect();
        let order = &self.request.order;
        if self.first.is_none() {
            self.first = taken.first().map(|entry| entry.position(order));
        }
        self.from = match taken.last() {
            Some(last) if *more || !entries.is_empty() => Some(last.position(order)),
            _ => None,
        };
        if entries.is_empty() {
            self.sorted = None;
        }
        let place = |entry: Entry| {
            let key = self.target.keys.record(&entry.id);
            Place { row: entry.row as u32, id: entry.id, key, fields: None }
        };
        taken.into_iter().map(place).collect()
    }
}

/// The row and the columns of a record as they were read; `None` if it is gone.
fn seen(schema: &ModelSchema, columns: &[usize], fields: &Value) -> Option<Vec<Seen>> {
    let Value::Array(fields) = fields else { return None };
    let (Value::BulkString(row), fields) = fields.split_first()? else { return None };
    let mut seen = vec![("#", Some(row.clone()))];
    seen.extend(columns.iter().zip(fields).map(|(&at, value)| {
        let value = if let Value::BulkString(value) = value { Some(value.clone()) } else { None };
        (schema.columns()[at].name(), value)
    }));
    Some(seen)
}

/// A row with what it is ordered by; `None` for null.
#[derive(Debug)]
struct Entry {
    keys: Vec<Option<SortKey>>,
    /// Of a place between rows, one that no row has.
    row: i64,
    id: Vec<u8>,
}

impl Entry {
    /// Of a row whose columns were read; `None` if its record is gone.
    fn of(schema: &ModelSchema, order: &[OrderKey], columns: &[usize], place: Place) -> Option<Self> {
        let Value::Array(fields) = place.fields? else { return None };
        let (_, fields) = fields.split_first()?;
        let key = |key: &OrderKey| {
            let column = &schema.columns()[key.column];
            let at = columns.iter().position(|&at| at == key.column)?;
            let Value::BulkString(stored) = fields.get(at)? else { return None };
            if column.kind == Kind::Few {
                let score = column.ordinal_of(stored)?.to_string().into_bytes();
                return Some(SortKey { score, tail: Vec::new() });
            }
            Some(SortKey::of(column.kind, stored))
        };
        Some(Self { keys: order.iter().map(key).collect(), row: i64::from(place.row), id: place.id })
    }

    /// Beyond which entry the rows come that follow the position; `None` if all do.
    fn at(order: &[OrderKey], position: &Position) -> Option<Self> {
        let row = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<i64>().ok();
        let only = order.first()?;
        let (keys, row) = match &position.code[..] {
            b"m" => (read_keys(&position.first, order.len())?, row(&position.second)?),
            b"n" if position.first.is_empty() => (vec![None], if only.descending { i64::MAX } else { -1 }),
            b"n" => (vec![None], row(&position.first)?),
            b"k" if position.first.is_empty() && only.nulls_first => {
                (vec![None], if only.descending { -1 } else { i64::MAX })
            }
            b"k" => {
                let (tail, row) = position.second.split_last_chunk::<4>()?;
                let key = SortKey { score: position.first.clone(), tail: tail.to_vec() };
                (vec![Some(key)], i64::from(u32::from_be_bytes(*row)))
            }
            _ => return None,
        };
        Some(Self { keys, row, id: Vec::new() })
    }

    /// What [`at`](Self::at) reads.
    fn position(&self, order: &[OrderKey]) -> Position {
        let row = self.row.to_string().into_bytes();
        if order.len() > 1 {
            return Position { code: b"m".to_vec(), first: write_keys(&self.keys), second: row };
        }
        match self.keys.first() {
            Some(Some(SortKey { score, tail })) => Position {
                code: b"k".to_vec(),
                first: score.clone(),
                second: [tail, &(self.row as u32).to_be_bytes()[..]].concat(),
            },
            _ => Position { code: b"n".to_vec(), first: row, second: Vec::new() },
        }
    }

    /// Ties are in row order, turned round with the last key.
    fn compare(&self, other: &Self, order: &[OrderKey]) -> Ordering {
        let turned = |ordering: Ordering, descending: bool| if descending { ordering.reverse() } else { ordering };
        let mut keys = order.iter().zip(self.keys.iter().zip(&other.keys));
        let differs = keys.find_map(|(key, pair)| {
            let ordering = match pair {
                (Some(one), Some(two)) => turned(one.compare(two), key.descending),
                (one, two) => turned(one.is_none().cmp(&two.is_none()), key.nulls_first),
            };
            Some(ordering).filter(|ordering| ordering.is_ne())
        });
        let descending = order.last().is_some_and(|key| key.descending);
        differs.unwrap_or_else(|| turned(self.row.cmp(&other.row), descending))
    }
}

/// Keys as bytes: 0 for null, or 1 and score and tail, each after its length.
fn write_keys(keys: &[Option<SortKey>]) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        let Some(SortKey { score, tail }) = key else {
            out.push(0);
            continue;
        };
        out.push(1);
        for part in [score, tail] {
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

/// What [`write_keys`] wrote; `None` for anything else.
pub(crate) fn read_keys(mut bytes: &[u8], count: usize) -> Option<Vec<Option<SortKey>>> {
    let mut take = |length: usize| {
        let (taken, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(taken)
    };
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        if take(1)? == [0] {
            keys.push(None);
            continue;
        }
        let mut part = || {
            let length = u16::from_be_bytes(take(2)?.try_into().ok()?);
            take(usize::from(length)).map(<[u8]>::to_vec)
        };
        keys.push(Some(SortKey { score: part()?, tail: part()? }));
    }
    bytes.is_empty().then_some(keys)
}

/// A set of rows: a bitmap for each 65,536 of them of which there is one.
#[derive(Debug, Default)]
struct Rows(HashMap<u32, Box<[u64; 1024]>>);

impl Rows {
    /// Says whether the row was not there.
    fn insert(&mut self, row: u32) -> bool {
        let words = self.0.entry(row >> 16).or_insert_with(|| Box::new([0; 1024]));
        let (word, bit) = (&mut words[(row >> 6) as usize % 1024], 1 << (row % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    fn has(&self, row: u32) -> bool {
        self.0.get(&(row >> 16)).is_some_and(|words| words[(row >> 6) as usize % 1024] & (1 << (row % 64)) != 0)
    }
}
