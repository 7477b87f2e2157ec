//! One page of a query: run, read, decoded.

use std::collections::BTreeSet;

use redis::Value;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::expiry;
use crate::id::{self, ModelId};
use crate::model::RedisModel;
use crate::query::filter::Condition;
use crate::query::plan;
use crate::record::{self, Seen};
use crate::scripts::{self, Answer, DELETE, QUERY, REAP};
use crate::write::{Target, index_spec};

/// What is asked for, without its model.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) condition: Condition,
    /// The column to order by and whether from the greatest; row order without.
    pub(crate) order: Option<(usize, bool)>,
}

/// Where a page ended, as the script said it and understands it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Position {
    pub(crate) code: Vec<u8>,
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    /// Matching rows still to be left out, where a call looked through too much to find them all.
    skip: u64,
}

impl Position {
    /// A position from what the script said of it; `None` for the one at the end.
    pub(crate) fn of(code: Vec<u8>, first: Vec<u8>, second: Vec<u8>) -> Option<Self> {
        if code.is_empty() {
            return None;
        }
        let skip = if code == b"r" { String::from_utf8_lossy(&second).parse().unwrap_or(0) } else { 0 };
        Some(Self { code, first, second, skip })
    }
}

/// Rows up to this number come with their fields in the same round trip; more are read by a pipeline, which costs the
/// server a third.
const IN_SCRIPT: usize = 100;

/// A batch of what a query delivers, each `Err` if it can't be read, and where the next one starts.
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<Result<T>>,
    pub(crate) next: Option<Position>,
}

fn check<M: RedisModel>(request: &Request) -> Result<()> {
    let schema = M::schema();
    match request.condition.invalid() {
        None => Ok(()),
        Some((column, reason)) => Err(Error::InvalidQuery {
            model: schema.name(),
            reason: format!("{}: {reason}", schema.columns()[column].name()),
        }),
    }
}

/// What a call of the script answers.
#[derive(Debug, Clone, Copy)]
enum What<'a> {
    Count,
    /// At most so many rows and ids, after leaving out some.
    Ids(usize, u64),
    /// The same with the columns of the records that are at these positions.
    Records(usize, u64, &'a [usize]),
}

async fn run<M: RedisModel>(
    db: &Db,
    target: &Target,
    request: &Request,
    what: What<'_>,
    from: &Position,
) -> Result<Vec<Value>> {
    let Target { schema, keys } = target;
    let (word, rows, skip) = match what {
        What::Count => ("count", 0, 0),
        What::Ids(rows, skip) => ("ids", rows, skip),
        What::Records(rows, skip, _) => ("page", rows, skip),
    };
    let mut command = QUERY.call(keys.meta().as_bytes());
    command.arg(&keys.prefix).arg(&schema.fingerprint).arg(word).arg(rows).arg(skip).arg(schema.id_width);
    match request.order {
        Some((column, descending)) => {
            let column = &schema.columns()[column];
            let nullable = if column.is_nullable() { "?" } else { "" };
            command.arg(column.name()).arg(if descending { "desc" } else { "asc" });
            command.arg(index_spec(column, 0) + nullable);
        }
        None => {
            command.arg("").arg("asc").arg("");
        }
    }
    command.arg(&from.code).arg(&from.first).arg(&from.second);
    let fields = if let What::Records(_, _, fields) = what { fields } else { &[] };
    command.arg(fields.len());
    for &at in fields {
        command.arg(schema.columns()[at].name());
    }
    for word in plan::program(schema, &request.condition) {
        command.arg(word);
    }
    // Where records expire as a rule, what has expired is removed on the same way.
    let mut reap_on_the_way = schema.ttl.is_some() || schema.expires_at.is_some();
    loop {
        let reply = if reap_on_the_way {
            scripts::run_both(db, (&REAP, &expiry::reap_command(target)), (&QUERY, &command)).await
        } else {
            QUERY.run(db, &command).await
        };
        match Answer::of(reply.map_err(|error| target.wrong_type(error))?) {
            Answer::Done(values) => return Ok(values),
            Answer::Refused(word, _) if word == "due" => {
                expiry::reap::<M>(db).await?;
                reap_on_the_way = false;
            }
            Answer::Refused(word, details) => return Err(target.refusal(None, &word, &details)),
        }
    }
}

/// The number of records that match. A round trip for some 16 million rows.
pub(crate) async fn count<M: RedisModel>(db: &Db, request: &Request) -> Result<u64> {
    check::<M>(request)?;
    let target = Target::new::<M>(db);
    let (mut total, mut from) = (0, Position::default());
    loop {
        let values = run::<M>(db, &target, request, What::Count, &from).await?;
        let (Some(Value::Int(count)), Some(Value::Int(next))) = (values.first(), values.get(1)) else {
            return Err(unexpected(&target, &values));
        };
        total += *count as u64;
        if *next < 0 {
            return Ok(total);
        }
        from = Position { code: b"r".to_vec(), first: next.to_string().into_bytes(), ..Position::default() };
    }
}

/// Reads up to `rows` records, after leaving out `skip` of them. One round trip, or two for more than [`IN_SCRIPT`].
pub(crate) async fn records<M: RedisModel>(
    db: &Db,
    request: &Request,
    rows: usize,
    skip: u64,
    from: &Position,
) -> Result<Batch<M>> {
    read::<M, M>(db, request, &M::schema().stored, record::decode::<M>, rows, skip, from).await
}

/// Reads the fields `columns` of up to `rows` records, after leaving out `skip` of them, and makes of each what `decode` makes of its key, its
/// id, and its row and fields. All columns of the condition have to be among them. Round trips as of [`records`].
pub(crate) async fn read<M: RedisModel, T>(
    db: &Db,
    request: &Request,
    columns: &[usize],
    decode: impl Fn(&[u8], &[u8], Value) -> Result<Option<T>>,
    rows: usize,
    skip: u64,
    from: &Position,
) -> Result<Batch<T>> {
    check::<M>(request)?;
    let target = Target::new::<M>(db);
    let schema = target.schema;
    let in_script = rows <= IN_SCRIPT;
    let skip = skip + from.skip;
    let what = if in_script { What::Records(rows, skip, columns) } else { What::Ids(rows, skip) };
    let mut values = run::<M>(db, &target, request, what, from).await?.into_iter();
    let next = position(&mut values);

    let mut found = Vec::with_capacity(rows.min(values.len()));
    while let (Some(row), Some(directory)) = (values.next(), values.next()) {
        let fields = if in_script { values.next() } else { None };
        // A row without an entry in the directory has no record: something else removed its key.
        let Value::BulkString(stored) = directory else { continue };
        let Some(text) = id::from_directory(schema, stored) else { continue };
        let key = target.keys.record(&text);
        found.push((row, key, text, fields));
    }
    if !in_script && !found.is_empty() {
        let mut pipeline = redis::Pipeline::with_capacity(found.len());
        for (_, key, ..) in &found {
            pipeline.add_command(record::read_command(schema, key, columns));
        }
        for (place, reply) in found.iter_mut().zip(db.send_all(&pipeline).await?) {
            // The record may have changed, or given its row to another one, since the page was made.
            let fields = reply.map_err(|error| target.wrong_type(error))?;
            place.3 =
                Some(fields).filter(|fields| still_matches(schema, &request.condition, columns, &place.0, fields));
        }
    }
    let decode =
        |(_, key, text, fields): (Value, Vec<u8>, Vec<u8>, Option<Value>)| decode(&key, &text, fields?).transpose();
    Ok(Batch { items: found.into_iter().filter_map(decode).collect(), next })
}

/// Reads up to `rows` ids, after leaving out `skip` of them. One round trip.
pub(crate) async fn ids<M: RedisModel>(
    db: &Db,
    request: &Request,
    rows: usize,
    skip: u64,
    from: &Position,
) -> Result<Batch<M::Id>> {
    check::<M>(request)?;
    let target = Target::new::<M>(db);
    let mut values = run::<M>(db, &target, request, What::Ids(rows, skip + from.skip), from).await?.into_iter();
    let next = position(&mut values);
    let mut items = Vec::with_capacity(rows.min(values.len()));
    while let (Some(_), Some(directory)) = (values.next(), values.next()) {
        let Value::BulkString(stored) = directory else { continue };
        let Some(text) = id::from_directory(target.schema, stored) else { continue };
        items.push(M::Id::decode(target.schema, &text));
    }
    Ok(Batch { items, next })
}

/// Deletes up to `rows` records, after leaving out `skip` of them, and says how many. Two round trips, and two more if somebody changes one
/// of them meanwhile: it is deleted only if it still matches.
pub(crate) async fn delete<M: RedisModel>(
    db: &Db,
    request: &Request,
    rows: usize,
    skip: u64,
    from: &Position,
) -> Result<(u64, Option<Position>)> {
    check::<M>(request)?;
    let target = Target::new::<M>(db);
    let schema = target.schema;
    let mut columns = BTreeSet::new();
    request.condition.columns(&mut columns);
    // A key that is not a field never changes.
    columns.retain(|at| schema.stored.contains(at));
    let columns: Vec<usize> = columns.into_iter().collect();
    let what = What::Records(rows.min(IN_SCRIPT), skip + from.skip, &columns);
    let mut values = run::<M>(db, &target, request, what, from).await?.into_iter();
    let next = position(&mut values);
    let seen = |row: &Value, values: &mut dyn Iterator<Item = Value>| {
        let row = ("#", Some(scripts::bytes(row.clone())));
        let columns = columns.iter().zip(values).map(|(&at, value)| {
            let value = if let Value::BulkString(value) = value { Some(value) } else { None };
            (schema.columns()[at].name(), value)
        });
        std::iter::once(row).chain(columns).collect::<Vec<Seen>>()
    };
    let mut todo = Vec::new();
    while let (Some(row), Some(directory), Some(fields)) = (values.next(), values.next(), values.next()) {
        let (Value::BulkString(stored), Value::Array(fields)) = (directory, fields) else { continue };
        let Some(text) = id::from_directory(schema, stored) else { continue };
        // The first field is the row; there is none if the record is gone.
        let mut fields = fields.into_iter();
        if fields.next().is_some() {
            let seen = seen(&row, &mut fields);
            todo.push((row, target.keys.record(&text), seen));
        }
    }
    let mut deleted = 0;
    while !todo.is_empty() {
        let calls = todo.iter().map(|(_, key, seen)| record::delete_call(&target, key.clone(), &[], None, seen));
        let replies = target.run_many(db, &DELETE, calls.collect()).await?;
        let mut changed = Vec::new();
        for ((row, key, _), reply) in todo.into_iter().zip(replies) {
            match reply?.first() {
                Some(Value::Int(1)) => deleted += 1,
                Some(Value::Int(2)) => changed.push((row, key)),
                _ => {}
            }
        }
        todo = Vec::new();
        if changed.is_empty() {
            break;
        }
        let mut pipeline = redis::Pipeline::with_capacity(changed.len());
        for (_, key) in &changed {
            pipeline.add_command(record::read_command(schema, key, &columns));
        }
        for ((row, key), reply) in changed.into_iter().zip(db.send_all(&pipeline).await?) {
            let fields = reply.map_err(|error| target.wrong_type(error))?;
            if !still_matches(schema, &request.condition, &columns, &row, &fields) {
                continue;
            }
            if let Value::Array(fields) = fields {
                let seen = seen(&row, &mut fields.into_iter().skip(1));
                todo.push((row, key, seen));
            }
        }
    }
    Ok((deleted, next))
}

/// Whether any record matches. One round trip.
pub(crate) async fn exists<M: RedisModel>(db: &Db, request: &Request, skip: u64, from: Position) -> Result<bool> {
    check::<M>(request)?;
    let target = Target::new::<M>(db);
    let mut from = from;
    let mut skip = skip + from.skip;
    loop {
        let mut values = run::<M>(db, &target, request, What::Ids(1, skip), &from).await?.into_iter();
        let next = position(&mut values);
        if values.next().is_some() {
            return Ok(true);
        }
        let Some(next) = next else { return Ok(false) };
        skip = next.skip;
        from = next;
    }
}

fn position(values: &mut impl Iterator<Item = Value>) -> Option<Position> {
    let mut next = || values.next().map(scripts::bytes).unwrap_or_default();
    let (code, first, second) = (next(), next(), next());
    Position::of(code, first, second)
}

fn still_matches(
    schema: &'static crate::schema::ModelSchema,
    condition: &Condition,
    columns: &[usize],
    row: &Value,
    fields: &Value,
) -> bool {
    let (Value::Array(fields), Value::Int(row)) = (fields, row) else { return false };
    let [Value::BulkString(found), fields @ ..] = fields.as_slice() else { return false };
    *found == row.to_string().into_bytes() && condition.matches(schema, columns, fields)
}

fn unexpected(target: &Target, values: &[Value]) -> Error {
    Error::Corrupt {
        model: target.schema.name(),
        column: None,
        key: target.keys.prefix.clone(),
        reason: format!("the server answered {values:?}"),
    }
}
