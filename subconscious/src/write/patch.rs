//! Partial updates: a few columns of one record, changed in one step.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use redis::Value;

use crate::error::{Error, Result};
use crate::model::codec::RecordWriter;
use crate::model::schema::{Automatic, ColumnSchema, ModelSchema};
use crate::model::target::{Address, Target};
use crate::scripts::{COUNTER, PATCH};
use crate::server::Db;
use crate::server::reply;
use crate::text::printable;
use crate::value::ValueError;
use crate::write::call::{Call, Write};
use crate::write::record::{Seen, push_seen, seen_form};

/// A change of one column for [`RedisModel::patch`](crate::RedisModel::patch), made by
/// [`Column::set`](crate::Column::set), [`clear`](crate::Column::clear),
/// [`set_or_clear`](crate::Column::set_or_clear), [`incr`](crate::Column::incr),
/// [`decr`](crate::Column::decr) or [`expected`](crate::Column::expected).
#[must_use = "a change does nothing until a patch is made with it"]
pub struct ColumnChange<M> {
    at: usize,
    request: Result<ChangeRequest, ValueError>,
    model: PhantomData<fn() -> M>,
}

/// What a change asks for.
#[derive(Debug, Clone)]
pub(crate) enum ChangeRequest {
    Set {
        stored: Vec<u8>,
        ordinal: u16,
    },
    Clear,
    Add {
        by: Vec<u8>,
        bounds: (&'static str, &'static str),
    },
    /// The value that the record has to have; `None` for null.
    Expect(Option<Vec<u8>>),
}

impl<M> ColumnChange<M> {
    pub(crate) fn new(at: usize, request: Result<ChangeRequest, ValueError>) -> Self {
        Self { at, request, model: PhantomData }
    }
}

impl<M> ColumnChange<M> {
    /// The position of the column, and the requested change.
    pub(crate) fn into_parts(self) -> (usize, Result<ChangeRequest, ValueError>) {
        (self.at, self.request)
    }
}

impl<M> Clone for ColumnChange<M> {
    fn clone(&self) -> Self {
        Self::new(self.at, self.request.clone())
    }
}

impl<M> fmt::Debug for ColumnChange<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnChange").field("column", &self.at).field("request", &self.request).finish()
    }
}

/// A single change is a patch, too: `|u| u.visits.incr(1)`.
impl<M> IntoIterator for ColumnChange<M> {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// The result of [`RedisModel::patch`](crate::RedisModel::patch): the new values of the columns
/// that the patch changed by `incr` or `decr`, and of the version.
pub struct Patched<M> {
    values: Vec<(usize, Vec<u8>)>,
    model: PhantomData<fn() -> M>,
}

impl<M> Patched<M> {
    pub(crate) fn new(values: Vec<(usize, Vec<u8>)>) -> Self {
        Self { values, model: PhantomData }
    }

    /// The stored form of the new value of the column at the position.
    pub(crate) fn stored(&self, at: usize) -> Option<&[u8]> {
        self.values.iter().find(|(column, _)| *column == at).map(|(_, stored)| &stored[..])
    }
}

impl<M> fmt::Debug for Patched<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(at, stored)| (at, stored.escape_ascii().to_string()))).finish()
    }
}

/// How patch.lua changes a column: see the head of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Set,
    Clear,
    Add,
    Version,
    Time,
    Deadline,
    /// Writes nothing.
    Expect,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Clear => "clear",
            Self::Add => "add",
            Self::Version => "version",
            Self::Time => "time",
            Self::Deadline => "deadline",
            Self::Expect => "expect",
        }
    }
}

/// A column that patch.lua changes.
pub(crate) struct PatchedColumn {
    pub(crate) at: usize,
    pub(crate) change: Change,
    pub(crate) value: Vec<u8>,
    pub(crate) ordinal: u16,
    pub(crate) bounds: (&'static str, &'static str),
}

impl PatchedColumn {
    fn is_written(&self) -> bool {
        self.change != Change::Expect
    }

    /// Whether the patch writes the column at this position.
    fn writes(&self, at: usize) -> bool {
        self.at == at && self.is_written()
    }

    fn writes_index(&self, schema: &ModelSchema) -> bool {
        self.is_written() && schema.columns()[self.at].is_maintained()
    }
}

/// How long the record lives, in the terms of patch.lua.
pub(crate) enum Lifetime {
    AsBefore,
    /// Until the new value of the column with `expires_at`.
    Column,
    After(u64),
    At(u64),
    Never,
}

/// A duration in milliseconds, the unit in which Redis counts. It is rounded up: no record expires
/// too early, and a record with less than a millisecond to live does not expire at once.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The changes in the order of patch.lua: those of columns with an index come first.
fn in_order<'a>(schema: &ModelSchema, patched: &'a [PatchedColumn]) -> Vec<&'a PatchedColumn> {
    let mut ordered: Vec<&PatchedColumn> = patched.iter().collect();
    ordered.sort_by_key(|patched| !patched.writes_index(schema));
    ordered
}

/// Builds a call of patch.lua. The record is left alone if one of the seen fields has changed. The
/// script answers in the order of [`in_order`].
fn patch_call(target: &Target, key: &[u8], patched: &[PatchedColumn], lifetime: &Lifetime, seen: &[Seen]) -> Call {
    let schema = target.schema;
    let columns = schema.columns();
    let patched = in_order(schema, patched);
    let indexed = patched.iter().take_while(|patched| patched.writes_index(schema)).count();
    let others: Vec<usize> = match lifetime {
        Lifetime::AsBefore => Vec::new(),
        _ => schema.indexed.iter().copied().filter(|&at| !patched.iter().any(|patched| patched.writes(at))).collect(),
    };
    let (word, number) = match lifetime {
        Lifetime::AsBefore => ("", String::new()),
        Lifetime::After(milliseconds) => ("after", milliseconds.to_string()),
        Lifetime::At(milliseconds) => ("at", milliseconds.to_string()),
        Lifetime::Never => ("never", String::new()),
        Lifetime::Column => {
            let deadline = |patched: &&PatchedColumn| schema.expires_at.is_some_and(|at| patched.writes(at));
            let at = patched.iter().position(deadline).unwrap_or_default();
            (columns[patched[at].at].unit.code(), (at + 1).to_string())
        }
    };
    let mut command = PATCH.call(key);
    command.arg(&target.keys.prefix).arg(&schema.registration).arg(patched.len()).arg(indexed).arg(others.len());
    command.arg(word).arg(number).arg(seen.len());
    for at in patched.iter().map(|patched| patched.at).chain(others.iter().copied()) {
        command.arg(columns[at].name());
    }
    for patched in &patched[..indexed] {
        command.arg(columns[patched.at].index_spec(patched.ordinal));
    }
    let groups = 8 + patched.len() + others.len() + 2 * indexed;
    for at in 0..indexed {
        command.arg(groups + 5 * at + 2);
    }
    for patched in &patched {
        let column = &columns[patched.at];
        let default = column.default.and_then(|default| default());
        let lacking = match default {
            default if patched.change == Change::Expect => default.map(seen_form).unwrap_or_default(),
            Some(default) => default,
            None if column.is_nullable() => b"0".to_vec(),
            None => Vec::new(),
        };
        command.arg(patched.change.word()).arg(&patched.value).arg(patched.bounds.0).arg(patched.bounds.1).arg(lacking);
    }
    push_seen(&mut command, seen);
    let version = patched.iter().find(|patched| patched.change == Change::Version && !patched.value.is_empty());
    let expected = version.map(|patched| patched.value.clone());
    let counts = |patched: &&PatchedColumn| matches!(patched.change, Change::Add | Change::Version);
    let repeatable = expected.is_some() || !patched.iter().any(counts);
    Call { command, write: Write { key: key.to_vec(), operation: "patch", repeatable, expected } }
}

/// The most columns that counter.lua adds to. It writes them by one command.
const COUNTERS: usize = 100;

/// Builds a call of counter.lua.
fn counter_call(target: &Target, address: &Address, patched: &[PatchedColumn]) -> Call {
    let mut command = COUNTER.call(&address.key);
    command.arg(target.keys.meta()).arg(&target.schema.registration);
    for patched in patched {
        let (least, greatest) = patched.bounds;
        command.arg(target.schema.columns()[patched.at].name()).arg(&patched.value).arg(least).arg(greatest);
    }
    Call { command, write: Write { key: address.key.clone(), operation: "patch", repeatable: false, expected: None } }
}

/// Translates a change for patch.lua.
fn patched_column(schema: &ModelSchema, at: usize, request: ChangeRequest) -> Result<PatchedColumn> {
    let column = &schema.columns()[at];
    let none = ("", "");
    let (change, value, ordinal, bounds) = match request {
        ChangeRequest::Set { stored, ordinal } => (Change::Set, stored, ordinal, none),
        ChangeRequest::Clear => (Change::Clear, Vec::new(), 0, none),
        ChangeRequest::Add { by, bounds } => (Change::Add, by, 0, bounds),
        ChangeRequest::Expect(Some(version)) if column.automatic == Some(Automatic::Version) => {
            (Change::Version, version, 0, column.bounds)
        }
        ChangeRequest::Expect(value) => (Change::Expect, value.map(seen_form).unwrap_or_default(), 0, none),
    };
    Ok(PatchedColumn { at, change, value, ordinal, bounds })
}

/// What a patch changes in each record.
pub(crate) struct Patch {
    patched: Vec<PatchedColumn>,
    lifetime: Lifetime,
}

impl Patch {
    /// A call for a record, which is left alone if one of the seen fields has changed. Refuses what
    /// the indexes that are maintained can't hold: null, or a value that is too long.
    pub(crate) fn call(&self, target: &Target, key: &[u8], seen: &[Seen]) -> Result<Call> {
        let schema = target.schema;
        for PatchedColumn { at, change, value, .. } in &self.patched {
            let column = &schema.columns()[*at];
            let checked = match (change, &self.lifetime) {
                (Change::Set, _) => column.try_index(value),
                (Change::Clear, _) | (Change::Deadline, Lifetime::Never) => column.try_null(),
                _ => Ok(()),
            };
            checked.map_err(|reason| Error::bad_data(schema.name(), column.name(), reason))?;
        }
        Ok(patch_call(target, key, &self.patched, &self.lifetime, seen))
    }
}

/// Changes of columns, each given by its position, together with those that each write makes.
pub(crate) fn patch_of(
    schema: &ModelSchema,
    changes: Vec<(usize, Result<ChangeRequest, ValueError>)>,
) -> Result<Patch> {
    let mut patched: Vec<PatchedColumn> = Vec::with_capacity(changes.len() + 2);
    for (at, request) in changes {
        let refuse = |reason| Error::bad_data(schema.name(), schema.columns()[at].name(), reason);
        let change = patched_column(schema, at, request.map_err(refuse)?)?;
        if patched.iter().any(|patched| patched.at == at && patched.is_written() == change.is_written()) {
            return Err(refuse(ValueError::new("the patch changes the column twice. Make one change of them")));
        }
        patched.push(change);
    }
    // The columns that Redis assigns at each write.
    for &at in &schema.automatic {
        let column: &ColumnSchema = &schema.columns()[at];
        let (change, value) = match column.automatic {
            Some(Automatic::Version) => (Change::Version, ""),
            Some(Automatic::UpdatedAt) => (Change::Time, column.unit.code()),
            _ => continue,
        };
        if patched.iter().all(|patched| patched.at != at || !patched.is_written()) {
            patched.push(PatchedColumn { at, change, value: value.into(), ordinal: 0, bounds: column.bounds });
        }
    }
    let lifetime = match (schema.expires_at, schema.ttl) {
        (Some(at), _) if patched.iter().any(|patched| patched.writes(at)) => Lifetime::Column,
        (None, Some((milliseconds, true))) => Lifetime::After(milliseconds),
        _ => Lifetime::AsBefore,
    };
    Ok(Patch { patched, lifetime })
}

/// What turns one record into another one with the same id; `None` if they are the same.
pub(crate) fn between(before: &RecordWriter, after: &RecordWriter) -> Result<Option<Patch>> {
    let schema = before.schema;
    let mut changes = Vec::new();
    for at in 0..schema.columns().len() {
        let (column, value) = (&schema.columns()[at], after.value(at));
        if value == before.value(at) {
            continue;
        }
        if column.is_key() || column.automatic.is_some() {
            let reason = if column.is_key() {
                "a key can't be rewritten. Save the record under its new key, and delete the old one"
            } else {
                "Redis fills the column. Leave it as it is"
            };
            return Err(Error::bad_data(schema.name(), column.name(), ValueError::new(reason)));
        }
        let request = match value {
            Some(value) => ChangeRequest::Set { stored: value.to_vec(), ordinal: after.ordinal(at) },
            None => ChangeRequest::Clear,
        };
        changes.push((at, Ok(request)));
    }
    if changes.is_empty() { Ok(None) } else { patch_of(schema, changes).map(Some) }
}

/// Changes columns, each given by its position. Returns the new values of the columns that were
/// changed by `incr` or `decr`, and of the version.
pub(crate) async fn patch(
    db: &Db,
    target: &Target,
    address: Address,
    changes: Vec<(usize, Result<ChangeRequest, ValueError>)>,
) -> Result<Vec<(usize, Vec<u8>)>> {
    let patch = patch_of(target.program, changes)?;
    let Patch { patched, lifetime } = &patch;
    let schema = target.schema;
    if matches!(lifetime, Lifetime::AsBefore)
        && (1..=COUNTERS).contains(&patched.len())
        && patched.iter().all(|patched| patched.change == Change::Add && !schema.columns()[patched.at].is_maintained())
    {
        let mut values =
            target.run(db, &COUNTER, |target| Ok(counter_call(target, &address, patched))).await?.into_iter();
        if values.next() == Some(Value::Int(1)) && values.len() == patched.len() {
            return Ok(patched.iter().map(|patched| patched.at).zip(values.map(reply::bytes)).collect());
        }
    }
    let (schema, values) = target.run_known(db, &PATCH, |target| patch.call(target, &address.key, &[])).await?;
    let counts = |patched: &&PatchedColumn| matches!(patched.change, Change::Add | Change::Version);
    let counted = in_order(schema, patched).into_iter().filter(counts).map(|patched| patched.at);
    let counted: Vec<usize> = counted.collect();
    if values.len() != 1 + counted.len() {
        return Err(target.unexpected(&values));
    }
    Ok(counted.into_iter().zip(values.into_iter().skip(1).map(reply::bytes)).collect())
}

/// Sets how long a record lives, and its column with `expires_at`, if its model has one.
pub(crate) async fn expire(
    db: &Db,
    target: &Target,
    address: Address,
    lifetime: Lifetime,
    operation: &'static str,
) -> Result<()> {
    let schema = target.schema;
    let mut patched = Vec::new();
    if let Some(at) = schema.expires_at {
        let column = &schema.columns()[at];
        if matches!(lifetime, Lifetime::Never) && !column.is_nullable() {
            let reason = ValueError::new(
                "the record cannot live for ever, as the column is no `Option`. Make it one, or set a late time",
            );
            return Err(Error::bad_data(schema.name(), column.name(), reason));
        }
        patched.push(PatchedColumn {
            at,
            change: Change::Deadline,
            value: column.unit.code().into(),
            ordinal: 0,
            bounds: ("", ""),
        });
    }
    let patch = Patch { patched, lifetime };
    let build = |target: &Target| {
        let mut call = patch.call(target, &address.key, &[])?;
        call.write.operation = operation;
        Ok(call)
    };
    target.run(db, &PATCH, build).await.map(drop)
}

/// The remaining time to live of a record; `None` if it lives for ever.
pub(crate) async fn ttl(db: &Db, target: &Target, address: &Address) -> Result<Option<Duration>> {
    match db.send(redis::cmd("PTTL").arg(&address.key)).await? {
        Value::Int(-1) => Ok(None),
        Value::Int(milliseconds) if milliseconds >= 0 => Ok(Some(Duration::from_millis(milliseconds as u64))),
        _ => Err(Error::NotFound { model: target.schema.name(), key: printable(&address.key) }),
    }
}
