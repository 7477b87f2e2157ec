//! One call of a query's script: made, and its reply understood.

use std::collections::BTreeSet;

use redis::Value;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::expiry;
use crate::id;
use crate::query::explain::PlanWay;
use crate::query::filter::Condition;
use crate::query::plan;
use crate::query::rows::{self, CHUNK, DIRECTORY, SEGMENT};
use crate::schema::ModelSchema;
use crate::scripts::{self, Answer, BITMAPS, COUNT, PURGE_EXPIRED, QUERY, Script};
use crate::value::parse;
use crate::write::{Target, index_spec};

/// One key of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderKey {
    /// The position of the column in the schema.
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// What is asked for, without its model.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) condition: Condition,
    /// Row order without.
    pub(crate) order: Vec<OrderKey>,
    /// From the last row to the first, where there is no order.
    pub(crate) backwards: bool,
}

impl Request {
    /// The columns that it is about, and these, as far as they are fields of the record's hash.
    pub(crate) fn fields(&self, schema: &ModelSchema, others: &[usize]) -> Vec<usize> {
        let mut columns: BTreeSet<usize> = others.iter().copied().collect();
        self.condition.columns(&mut columns);
        columns.extend(self.order.iter().map(|key| key.column));
        // A key that is not a field can't be a part of a filter or an order.
        columns.into_iter().filter(|at| schema.stored.contains(at)).collect()
    }

    /// The same from the end to the beginning.
    pub(crate) fn reversed(&self) -> Self {
        let turned = |key: &OrderKey| OrderKey { descending: !key.descending, nulls_first: !key.nulls_first, ..*key };
        Self {
            condition: self.condition.clone(),
            order: self.order.iter().map(turned).collect(),
            backwards: !self.backwards,
        }
    }
}

/// Where a call ended, as the script said it and understands it (see `scripts/walk.lua`), or `reader.rs` of several keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Position {
    pub(crate) code: Vec<u8>,
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
}

/// A row that matches, and its record: where it is, and, if they were asked for, its row and fields as `HMGET` reads them.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) row: u32,
    pub(crate) id: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) fields: Option<Value>,
}

/// What a call is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) from: &'a Position,
    /// Rows to find at most, and matching rows to leave out first.
    pub(crate) rows: usize,
    pub(crate) skip: u64,
    /// Rows that will be wanted in all.
    pub(crate) left: u64,
    /// Positions of the columns to read.
    pub(crate) columns: Option<&'a [usize]>,
    /// Whether the call may choose to gather the rows instead of walking the order.
    pub(crate) choose: bool,
}

/// What a call did.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) places: Vec<Place>,
    /// `None` if nothing follows.
    pub(crate) next: Option<Position>,
    /// Matching rows still to be left out.
    pub(crate) skip: u64,
    /// Where the first of the places is.
    pub(crate) first: Position,
    /// How the call went about it; [`PlanWay::Estimate`] if [`Reader`](super::reader::Reader) goes on with less effort.
    pub(crate) way: PlanWay,
    /// Of the server.
    pub(crate) microseconds: u64,
    /// Rows that were looked at one by one.
    pub(crate) looked: u64,
    /// Matching rows, as the call estimated.
    pub(crate) expected: Option<u64>,
    /// Microseconds that it takes the server to evaluate the condition in all segments, about.
    pub(crate) evaluating: u64,
    /// Microseconds of a call that ended before it was done, about.
    pub(crate) spent: u64,
    /// Of an estimate: bitmaps of the condition without a range of the order's column.
    pub(crate) bitmaps: Option<Bitmaps>,
}

/// Refuses a condition with a value that can't be stored.
pub(crate) fn check(target: &Target, request: &Request) -> Result<()> {
    match request.condition.invalid() {
        None => Ok(()),
        Some((column, reason)) => Err(Error::InvalidQuery {
            model: target.schema.name(),
            reason: format!("{}: {reason}", target.schema.columns()[column].name()),
        }),
    }
}

/// Finds rows, fewer than asked for where the call ended before. One round trip.
pub(crate) async fn part(db: &Db, target: &Target, request: &Request, ask: Ask<'_>) -> Result<Part> {
    let Target { schema, keys } = target;
    let mut command = begin(db, target, &QUERY);
    command.arg(if ask.columns.is_some() { "page" } else { "ids" });
    command.arg(ask.rows).arg(ask.skip).arg(ask.skip.saturating_add(ask.left).min(1 << 40));
    match request.order.first() {
        Some(key) => {
            let column = &schema.columns()[key.column];
            command.arg(column.name()).arg(direction(key.descending));
            let nulls = if key.nulls_first { "first" } else { "last" };
            command.arg(if column.is_nullable() { nulls } else { "never" }).arg(index_spec(column, 0));
        }
        None => {
            command.arg("").arg(direction(request.backwards)).arg("never").arg("");
        }
    }
    command.arg(if ask.choose { "choose" } else { "walk" });
    command.arg(&ask.from.code).arg(&ask.from.first).arg(&ask.from.second);
    let columns = ask.columns.unwrap_or_default();
    command.arg(columns.len());
    for &at in columns {
        command.arg(schema.columns()[at].name());
    }
    let reply = run(db, target, &QUERY, command, &request.condition).await?;
    let [head, bitmaps, rows] = <[Value; 3]>::try_from(reply).map_err(|reply| unexpected(target, &reply))?;
    let unpacked = |list| scripts::unpacked(list).map_err(|list| unexpected(target, &list));
    let (head, rows) = (unpacked(head)?, unpacked(rows)?);
    let mut words = Words(head.into_iter());
    let more = words.word() == b"1";
    let next = words.position();
    let skip = words.number().unwrap_or(0);
    let first = words.position();
    let (microseconds, looked) = (words.number().unwrap_or(0), words.number().unwrap_or(0));
    let way = match &words.word()[..] {
        b"walk" => PlanWay::Walk,
        b"values" => PlanWay::Values,
        b"gather" => PlanWay::Gather,
        b"many" => PlanWay::Estimate,
        _ => PlanWay::Scan,
    };
    let expected = words.number();
    let evaluating = words.number().unwrap_or(0);
    let spent = words.number().unwrap_or(0);
    let bitmaps = match bitmaps {
        Value::Array(values) if !values.is_empty() => Some(Bitmaps::of(values)),
        _ => None,
    };
    let mut places = Vec::with_capacity(rows.len() / 2);
    let mut values = rows.into_iter();
    while let (Some(Value::Int(row)), Some(directory)) = (values.next(), values.next()) {
        let fields = if ask.columns.is_some() { values.next() } else { None };
        // A row without an entry in the directory has no record: something else removed its key.
        let Value::BulkString(stored) = directory else { continue };
        let Some(id) = id::from_directory(schema, stored) else { continue };
        let key = keys.record(&id);
        places.push(Place { row: row as u32, id, key, fields });
    }
    let next = more.then_some(next);
    Ok(Part { places, next, skip, first, way, microseconds, looked, expected, evaluating, spent, bitmaps })
}

/// The next values of a reply, as what they stand for.
pub(super) struct Words<I>(pub(super) I);

impl<I: Iterator<Item = Value>> Words<I> {
    pub(super) fn word(&mut self) -> Vec<u8> {
        self.0.next().map(scripts::bytes).unwrap_or_default()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        parse(&self.word())
    }

    fn position(&mut self) -> Position {
        Position { code: self.word(), first: self.word(), second: self.word() }
    }
}

/// The beginning of a call of a script that answers a query.
pub(super) fn begin(db: &Db, target: &Target, script: &Script) -> redis::Cmd {
    let Target { schema, keys } = target;
    // Room for what most have.
    let mut command = script.call_on([keys.temporary().as_bytes()].into_iter(), 40, 500);
    command.arg(&keys.prefix).arg(target.reader(db)).arg(db.budget()).arg(schema.id_width);
    command
}

/// asc or desc, as the scripts know it.
pub(super) fn direction(descending: bool) -> &'static str {
    if descending { "desc" } else { "asc" }
}

/// Makes a call of a script that answers a query, with the condition as its last arguments.
pub(super) async fn run(
    db: &Db,
    target: &Target,
    script: &Script,
    mut command: redis::Cmd,
    condition: &Condition,
) -> Result<Vec<Value>> {
    for word in plan::program(target.schema, condition) {
        command.arg(word);
    }
    // Where records expire as a rule, what has expired is removed on the same way.
    let mut purge_on_the_way = target.schema.ttl.is_some() || target.schema.expires_at.is_some();
    loop {
        let reply = if purge_on_the_way {
            scripts::run_both(db, (&PURGE_EXPIRED, &expiry::purge_command(target)), (script, &command)).await
        } else {
            script.run(db, &command).await
        };
        let reply = reply.map_err(|error| target.wrong_type(error))?;
        if target.admit(db, &reply, &mut command).await? {
            continue;
        }
        match Answer::of(reply) {
            Answer::Refused(word, _) if word == "due" => {
                expiry::purge_expired(db, target).await.map_err(Error::without_rights_read_only)?;
                purge_on_the_way = false;
            }
            answer => return done(target, answer),
        }
    }
}

/// What a script that answers a query answered.
pub(super) fn done(target: &Target, answer: Answer) -> Result<Vec<Value>> {
    match answer {
        Answer::Done(values) => Ok(values),
        Answer::Refused(word, details) => Err(target.refusal(None, &word, &details)),
    }
}

/// Refuses a reply that no script of ours makes.
pub(crate) fn unexpected(target: &Target, reply: &impl std::fmt::Debug) -> Error {
    let Target { schema, keys } = target;
    let reason = format!("the server answered {reply:?}");
    Error::Corrupt { model: schema.name(), column: None, key: keys.prefix.clone(), reason }
}

/// What came of counting.
pub(crate) enum Counted {
    /// So many records match.
    All(u64),
    /// The rows of the condition's range of this column are to be counted, as far as they match the rest.
    Along(usize),
}

/// The number of records that match. A round trip for each millisecond of the server's time.
pub(crate) async fn count(db: &Db, target: &Target, request: &Request) -> Result<Counted> {
    let (mut total, mut from) = (0, Position::default());
    loop {
        let mut command = begin(db, target, &COUNT);
        command.arg(&from.code).arg(&from.first).arg(&from.second);
        let values = run(db, target, &COUNT, command, &request.condition).await?;
        let [Value::Int(count), Value::Int(more), rest @ ..] = &values[..] else {
            return Err(unexpected(target, &values));
        };
        total += *count as u64;
        match more {
            0 => return Ok(Counted::All(total)),
            1 => from = Words(rest.iter().cloned()).position(),
            _ => {
                let name = rest.last().cloned().map(scripts::bytes).unwrap_or_default();
                let column = target.schema.columns().iter().position(|column| column.name().as_bytes() == name);
                return Ok(column.map_or(Counted::All(0), Counted::Along));
            }
        }
    }
}

/// The scores of rows in a column's sorted set; `None` where a member is more than the row alone, or the column is null. One round trip.
pub(crate) async fn scores(db: &Db, target: &Target, column: usize, rows: &[u32]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut command = redis::cmd("ZMSCORE");
    command.arg(target.keys.sorted(target.schema.columns()[column].name()));
    for row in rows {
        command.arg(&row.to_be_bytes());
    }
    let reply = db.send(&command).await.map_err(|error| target.wrong_type(error))?;
    let Value::Array(scores) = reply else { return Ok(vec![None; rows.len()]) };
    let score = |score: Value| if score == Value::Nil { None } else { Some(scripts::bytes(score)) };
    Ok(scores.into_iter().map(score).collect())
}

/// Rows that match, of some segments.
#[derive(Debug)]
pub(crate) struct Bitmaps {
    /// By segment.
    pub(crate) bitmaps: Vec<(u32, Vec<u8>)>,
    /// The segment to go on with.
    pub(crate) next: Option<u32>,
    /// Records of the model.
    pub(crate) total: u64,
    /// Whether all of these rows match, or their records have to be looked at.
    pub(crate) exact: bool,
    /// Of the server.
    pub(crate) microseconds: u64,
}

/// Reads the rows that match as bitmaps, from a segment on. One round trip.
pub(crate) async fn bitmaps(
    db: &Db,
    target: &Target,
    condition: &Condition,
    from: Option<u32>,
    backwards: bool,
) -> Result<Bitmaps> {
    let mut command = begin(db, target, &BITMAPS);
    command.arg(from.map(|segment| segment.to_string()).unwrap_or_default()).arg(direction(backwards));
    Ok(Bitmaps::of(run(db, target, &BITMAPS, command, condition).await?))
}

impl Bitmaps {
    /// Bytes of all.
    pub(crate) fn size(&self) -> usize {
        self.bitmaps.iter().map(|(_, bitmap)| bitmap.len()).sum()
    }

    /// As `scripts/read_bitmaps.lua` says them.
    fn of(values: Vec<Value>) -> Self {
        let mut words = Words(values.into_iter());
        // -1 for none.
        let next = words.number().and_then(|segment| u32::try_from(segment).ok());
        let (total, exact) = (words.number().unwrap_or(0), words.word() == b"1");
        let microseconds = words.number().unwrap_or(0);
        let mut values = words.0;
        let mut bitmaps = Vec::with_capacity(values.len() / 2);
        while let (Some(Value::Int(segment)), Some(set)) = (values.next(), values.next()) {
            let bitmap = match set {
                Value::BulkString(bitmap) => bitmap,
                Value::Array(offsets) => rows::bitmap(offsets.iter().filter_map(|offset| match offset {
                    Value::Int(offset) => u32::try_from(*offset).ok().filter(|offset| *offset < SEGMENT),
                    _ => None,
                })),
                _ => continue,
            };
            bitmaps.push((segment as u32, bitmap));
        }
        Self { bitmaps, next, total, exact, microseconds }
    }
}

/// Rows whose entries in the directory are read by one command, if no more than so many lie between one and the next.
const NEAR: u32 = 16;

/// Finds out which records have the rows, in this order. One round trip; what is found may have changed since the rows were.
pub(crate) async fn locate(db: &Db, target: &Target, rows: &[u32]) -> Result<Vec<Place>> {
    let Target { schema, keys } = target;
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    let mut pipeline = redis::Pipeline::with_capacity(rows.len());
    let spans: Vec<&[u32]> = if schema.id_width > 0 {
        sorted.chunk_by(|one, next| next - one <= NEAR && one / DIRECTORY == next / DIRECTORY).collect()
    } else {
        sorted.chunk_by(|one, next| one / CHUNK == next / CHUNK).collect()
    };
    for span in &spans {
        let (first, last) = (span[0], span[span.len() - 1]);
        if schema.id_width > 0 {
            let at = |row: u32| (row % DIRECTORY) as usize * schema.id_width;
            let key = keys.directory(first / DIRECTORY);
            pipeline.cmd("GETRANGE").arg(key).arg(at(first)).arg(at(last) + schema.id_width - 1);
        } else {
            pipeline.cmd("HMGET").arg(keys.directory(first / CHUNK));
            for row in *span {
                pipeline.arg(row % CHUNK);
            }
        }
    }
    // In the order of `sorted`.
    let mut entries: Vec<Option<Vec<u8>>> = Vec::with_capacity(sorted.len());
    for (span, reply) in spans.into_iter().zip(db.send_all(&pipeline).await?) {
        let end = entries.len() + span.len();
        match reply.map_err(|error| target.wrong_type(error))? {
            // The directory may end before.
            Value::BulkString(bytes) => entries.extend(span.iter().map(|row| {
                let at = (row - span[0]) as usize * schema.id_width;
                bytes.get(at..at + schema.id_width).map(<[u8]>::to_vec)
            })),
            Value::Array(ids) => {
                entries.extend(ids.into_iter().map(|id| if let Value::BulkString(id) = id { Some(id) } else { None }));
            }
            _ => {}
        }
        entries.resize(end, None);
    }
    let place = |row: &u32| {
        let stored = entries[sorted.binary_search(row).ok()?].take()?;
        let id = id::from_directory(schema, stored)?;
        let key = keys.record(&id);
        Some(Place { row: *row, id, key, fields: None })
    };
    Ok(rows.iter().filter_map(place).collect())
}
