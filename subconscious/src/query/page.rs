//! One call of a query's script: made, and its reply understood.

use redis::Value;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::expiry;
use crate::id;
use crate::query::filter::Condition;
use crate::query::plan;
use crate::scripts::{self, Answer, COUNT, QUERY, REAP, Script};
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

/// How a call went about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// In row order.
    Scan,
    /// Along a sorted set.
    Walk,
    /// Along the values of a column of few values.
    Values,
    /// The few matching rows were sorted.
    Gather,
    /// Nothing was done: so many rows are to be sorted by [`Reader`](super::reader::Reader).
    Many,
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
    pub(crate) way: Way,
    /// Of the server.
    pub(crate) microseconds: u64,
    /// Rows that were looked at one by one.
    pub(crate) looked: u64,
    /// Matching rows, as the call estimated.
    pub(crate) expected: Option<u64>,
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
    let mut command = QUERY.call(keys.meta().as_bytes());
    command.arg(&keys.prefix).arg(&schema.fingerprint).arg(db.budget()).arg(schema.id_width);
    command.arg(if ask.columns.is_some() { "page" } else { "ids" });
    command.arg(ask.rows).arg(ask.skip).arg(ask.skip.saturating_add(ask.left).min(1 << 40));
    match request.order.first() {
        Some(key) => {
            let column = &schema.columns()[key.column];
            command.arg(column.name()).arg(if key.descending { "desc" } else { "asc" });
            let nulls = if key.nulls_first { "first" } else { "last" };
            command.arg(if column.is_nullable() { nulls } else { "never" }).arg(index_spec(column, 0));
        }
        None => {
            command.arg("").arg(if request.backwards { "desc" } else { "asc" }).arg("never").arg("");
        }
    }
    command.arg(if ask.choose { "choose" } else { "walk" });
    command.arg(&ask.from.code).arg(&ask.from.first).arg(&ask.from.second);
    let columns = ask.columns.unwrap_or_default();
    command.arg(columns.len());
    for &at in columns {
        command.arg(schema.columns()[at].name());
    }
    let mut values = run(db, target, &QUERY, command, &request.condition).await?.into_iter();
    let mut word = || values.next().map(scripts::bytes).unwrap_or_default();
    let number = |word: Vec<u8>| String::from_utf8_lossy(&word).parse::<u64>().ok();
    let more = word() == b"1";
    let next = Position { code: word(), first: word(), second: word() };
    let skip = number(word()).unwrap_or(0);
    let first = Position { code: word(), first: word(), second: word() };
    let (microseconds, looked) = (number(word()).unwrap_or(0), number(word()).unwrap_or(0));
    let way = match &word()[..] {
        b"walk" => Way::Walk,
        b"values" => Way::Values,
        b"gather" => Way::Gather,
        b"many" => Way::Many,
        _ => Way::Scan,
    };
    let expected = number(word());
    let mut places = Vec::with_capacity(ask.rows.min(values.len()));
    while let (Some(Value::Int(row)), Some(directory)) = (values.next(), values.next()) {
        let fields = if ask.columns.is_some() { values.next() } else { None };
        // A row without an entry in the directory has no record: something else removed its key.
        let Value::BulkString(stored) = directory else { continue };
        let Some(id) = id::from_directory(schema, stored) else { continue };
        let key = keys.record(&id);
        places.push(Place { row: row as u32, id, key, fields });
    }
    let next = more.then_some(next);
    Ok(Part { places, next, skip, first, way, microseconds, looked, expected })
}

/// Makes a call of a script that answers a query, with the condition as its last arguments.
async fn run(
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
    let mut reap_on_the_way = target.schema.ttl.is_some() || target.schema.expires_at.is_some();
    loop {
        let reply = if reap_on_the_way {
            scripts::run_both(db, (&REAP, &expiry::reap_command(target)), (script, &command)).await
        } else {
            script.run(db, &command).await
        };
        match Answer::of(reply.map_err(|error| target.wrong_type(error))?) {
            Answer::Done(values) => return Ok(values),
            Answer::Refused(word, _) if word == "due" => {
                expiry::reap(db, target).await?;
                reap_on_the_way = false;
            }
            Answer::Refused(word, details) => return Err(target.refusal(None, &word, &details)),
        }
    }
}

/// The number of records that match. A round trip for each millisecond of the server's time.
pub(crate) async fn count(db: &Db, target: &Target, request: &Request) -> Result<u64> {
    check(target, request)?;
    let Target { schema, keys } = target;
    let (mut total, mut from) = (0, Position::default());
    loop {
        let mut command = COUNT.call(keys.meta().as_bytes());
        command.arg(&keys.prefix).arg(&schema.fingerprint).arg(db.budget()).arg(schema.id_width);
        command.arg(&from.code).arg(&from.first).arg(&from.second);
        let values = run(db, target, &COUNT, command, &request.condition).await?;
        let [Value::Int(count), Value::Int(more), rest @ ..] = &values[..] else {
            return Err(Error::Corrupt {
                model: schema.name(),
                column: None,
                key: keys.prefix.clone(),
                reason: format!("the server answered {values:?}"),
            });
        };
        total += *count as u64;
        if *more == 0 {
            return Ok(total);
        }
        let mut words = rest.iter().cloned().map(scripts::bytes);
        let mut word = || words.next().unwrap_or_default();
        from = Position { code: word(), first: word(), second: word() };
    }
}
