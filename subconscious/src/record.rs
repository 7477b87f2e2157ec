//! One record: saved, loaded, deleted.

use redis::{Cmd, Value};

use crate::codec::{RecordReader, RecordWriter, printable};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::id::{self, ModelId};
use crate::keys::Keys;
use crate::model::RedisModel;
use crate::schema::{ColumnSchema, ModelSchema};
use crate::scripts::{self, Answer, DELETE, SAVE};

/// Records that travel in one pipeline.
const PIPELINE: usize = 500;

/// What a save does if there is, or isn't, a record with the id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Save,
    Insert,
    Update,
}

impl Verb {
    fn code(self) -> &'static str {
        match self {
            Verb::Save => "s",
            Verb::Insert => "i",
            Verb::Update => "u",
        }
    }
}

/// What became of the records given to [`RedisModel::save_many`].
#[derive(Debug)]
#[must_use = "records that were not saved are named here, and nowhere else"]
#[non_exhaustive]
pub struct SaveReport {
    /// How many records were saved.
    pub saved: u64,
    /// The records that were not: their positions in the slice, and why.
    pub failed: Vec<(usize, Error)>,
}

impl SaveReport {
    /// The number of records saved if all were, or the first error.
    ///
    /// # Errors
    ///
    /// The first of `failed`.
    pub fn into_result(self) -> Result<u64> {
        match self.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.saved),
        }
    }
}

/// How the scripts index a column: see `scripts/index.lua`.
pub(crate) fn index_spec(column: &ColumnSchema, ordinal: u16) -> String {
    let how = match (column.has_index(), column.has_sorted_set()) {
        (_, false) if column.has_sort() => 'k',
        (true, true) => 'b',
        (true, false) => 'c',
        (false, _) => 's',
    };
    format!("{how}{}{ordinal}", column.kind.code())
}

/// A call of save.lua, and the key of the record, as far as it is known.
struct SaveCall {
    command: Cmd,
    key: Vec<u8>,
}

fn save_call<M: RedisModel>(record: &M, keys: &Keys, verb: Verb) -> Result<SaveCall> {
    let schema = M::schema();
    let mut writer = RecordWriter::new(schema);
    record.write(&mut writer)?;
    let id = writer.id()?;
    let unassigned = schema.has_automatic_key() && id == b"0";
    let key = keys.record(if unassigned { b"" } else { &id });

    let columns = schema.columns();
    let value = |at: usize| writer.values[at].0.as_deref();
    let nulls = || schema.stored.iter().filter(|&&at| value(at).is_none());
    // ARGV counts from 1; the fixed arguments, then what save.lua lists before the pairs.
    let first_pair = 9 + 3 * schema.indexed.len() + 5 * schema.automatic.len() + nulls().count();
    let mut position = vec![0; columns.len()];
    let mut next = first_pair;
    for &at in schema.stored.iter().filter(|&&at| value(at).is_some()) {
        position[at] = next + 1;
        next += 2;
    }

    let mut command = SAVE.call(&key);
    command
        .arg(&keys.prefix)
        .arg(verb.code())
        .arg(&schema.fingerprint)
        .arg(id::to_directory(schema, &id))
        .arg(schema.id_width)
        .arg(schema.indexed.len())
        .arg(schema.automatic.len())
        .arg(nulls().count());
    for &at in &schema.indexed {
        command.arg(columns[at].name());
    }
    for &at in &schema.indexed {
        command.arg(index_spec(&columns[at], writer.values[at].1));
    }
    for &at in &schema.indexed {
        command.arg(position[at]);
    }
    for &at in &schema.automatic {
        let column = &columns[at];
        command.arg(column.name()).arg(position[at]).arg(value(at).unwrap_or(b"0")).arg(column.greatest);
        command.arg(if column.is_key() { "k" } else { "" });
    }
    for &at in nulls() {
        command.arg(columns[at].name());
    }
    for &at in &schema.stored {
        if let Some(value) = value(at) {
            command.arg(columns[at].name()).arg(value);
        }
    }
    Ok(SaveCall { command, key })
}

fn saved<M: RedisModel>(record: &mut M, keys: &Keys, key: &[u8], reply: Value) -> Result<()> {
    let schema = M::schema();
    let model = schema.name();
    let (word, details) = match Answer::of(reply) {
        Answer::Done(mut values) => {
            if schema.automatic.is_empty() {
                return Ok(());
            }
            // The first value says whether the record is new.
            let assigned = values.split_off(1);
            return record.set_automatic(&mut RecordReader::automatic(schema, key, assigned.into_iter()));
        }
        Answer::Refused(word, details) => (word, details),
    };
    let named = |at: usize| {
        let name = details.get(at).map(Vec::as_slice).unwrap_or_default();
        schema.columns().iter().find(|column| column.name().as_bytes() == name).map_or("", ColumnSchema::name)
    };
    let bad_data = |reason: &str| Error::BadData { model, column: named(0), reason: reason.to_owned() };
    Err(match word.as_str() {
        "exists" => Error::AlreadyExists { model, key: printable(key) },
        "missing" => Error::NotFound { model, key: printable(key) },
        "assigned" => {
            bad_data("Redis assigns this value; leave it 0 in a new record, and unchanged in one that was loaded")
        }
        "exhausted" => bad_data("the greatest number that the column's type can hold has been assigned"),
        word => scripts::refusal(model, &keys.prefix, &schema.fingerprint, word, &details),
    })
}

pub(crate) async fn save<M: RedisModel>(record: &mut M, db: &Db, verb: Verb) -> Result<()> {
    let keys = Keys::new(db.namespace(), M::schema());
    let call = save_call(record, &keys, verb)?;
    let reply = SAVE.run(db, &call.command).await.map_err(|error| wrong_type::<M>(&keys, error))?;
    saved(record, &keys, &call.key, reply)
}

pub(crate) async fn save_many<M: RedisModel>(db: &Db, records: &mut [M]) -> Result<SaveReport> {
    let keys = Keys::new(db.namespace(), M::schema());
    let mut report = SaveReport { saved: 0, failed: Vec::new() };
    let mut first = 0;
    for chunk in records.chunks_mut(PIPELINE) {
        let mut sent = Vec::with_capacity(chunk.len());
        let mut calls = redis::Pipeline::with_capacity(chunk.len());
        for (at, record) in chunk.iter().enumerate() {
            match save_call(record, &keys, Verb::Save) {
                Ok(call) => {
                    sent.push((at, call.key));
                    calls.add_command(call.command);
                }
                Err(error) => report.failed.push((first + at, error)),
            }
        }
        let replies = SAVE.run_many(db, &calls).await?;
        for ((at, key), reply) in sent.into_iter().zip(replies) {
            let outcome = reply
                .map_err(|error| wrong_type::<M>(&keys, error))
                .and_then(|reply| saved(&mut chunk[at], &keys, &key, reply));
            match outcome {
                Ok(()) => report.saved += 1,
                Err(error) => report.failed.push((first + at, error)),
            }
        }
        first += chunk.len();
    }
    report.failed.sort_by_key(|(at, _)| *at);
    Ok(report)
}

/// The command that reads a record: its row and then its stored columns.
pub(crate) fn read_command(schema: &ModelSchema, key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(schema.stored.len() + 3, key.len() + schema.names_length + 6);
    command.arg("HMGET").arg(key).arg("#");
    for &at in &schema.stored {
        command.arg(schema.columns()[at].name());
    }
    command
}

/// Decodes the fields that [`read_command`] read; `None` if there is no record.
pub(crate) fn decode<M: RedisModel>(key: &[u8], id: &[u8], reply: Value) -> Result<Option<M>> {
    let Value::Array(fields) = reply else { return Ok(None) };
    let mut fields = fields.into_iter();
    if let Some(Value::Nil) | None = fields.next() {
        if fields.all(|field| field == Value::Nil) {
            return Ok(None);
        }
        return Err(Error::MissingColumn { model: M::schema().name(), column: "#", key: printable(key) });
    }
    M::read(&mut RecordReader::record(M::schema(), key, id, fields)).map(Some)
}

/// Where a record is: the key of its hash, which ends with the text of its id.
struct Address {
    key: Vec<u8>,
    id_at: usize,
}

impl Address {
    fn id(&self) -> &[u8] {
        &self.key[self.id_at..]
    }
}

fn address<M: RedisModel>(keys: &Keys, id: &M::Id) -> Result<Address> {
    let mut key = keys.records(40);
    let id_at = key.len();
    id.encode(M::schema(), &mut key)?;
    id::check_length(M::schema(), &key[id_at..])?;
    Ok(Address { key, id_at })
}

pub(crate) async fn load<M: RedisModel>(db: &Db, id: &M::Id) -> Result<Option<M>> {
    let address = address::<M>(&Keys::new(db.namespace(), M::schema()), id)?;
    let reply = db.send(&read_command(M::schema(), &address.key)).await;
    let fields = reply.map_err(|error| wrong_type_at::<M>(&address.key, error))?;
    decode(&address.key, address.id(), fields)
}

pub(crate) async fn load_many<M: RedisModel>(db: &Db, ids: &[M::Id]) -> Result<Vec<Option<M>>> {
    let keys = Keys::new(db.namespace(), M::schema());
    let addresses = ids.iter().map(|id| address::<M>(&keys, id)).collect::<Result<Vec<_>>>()?;
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = redis::Pipeline::with_capacity(addresses.len());
    for address in &addresses {
        pipeline.add_command(read_command(M::schema(), &address.key));
    }
    let mut records = Vec::with_capacity(addresses.len());
    for (address, reply) in addresses.iter().zip(db.send_all(&pipeline).await?) {
        let fields = reply.map_err(|error| wrong_type_at::<M>(&address.key, error))?;
        records.push(decode(&address.key, address.id(), fields)?);
    }
    Ok(records)
}

pub(crate) async fn exists<M: RedisModel>(db: &Db, id: &M::Id) -> Result<bool> {
    let Address { key, .. } = address::<M>(&Keys::new(db.namespace(), M::schema()), id)?;
    Ok(db.send(redis::cmd("EXISTS").arg(&key)).await? == Value::Int(1))
}

pub(crate) async fn delete<M: RedisModel>(db: &Db, id: &M::Id) -> Result<bool> {
    let schema = M::schema();
    let keys = Keys::new(db.namespace(), schema);
    let Address { key, .. } = address::<M>(&keys, id)?;
    let mut command = DELETE.call(&key);
    command.arg(&keys.prefix).arg(&schema.fingerprint).arg(schema.id_width).arg(schema.indexed.len());
    for &at in &schema.indexed {
        command.arg(schema.columns()[at].name());
    }
    for &at in &schema.indexed {
        command.arg(index_spec(&schema.columns()[at], 0));
    }
    let reply = DELETE.run(db, &command).await.map_err(|error| wrong_type::<M>(&keys, error))?;
    match Answer::of(reply) {
        Answer::Done(values) => Ok(values.first() == Some(&Value::Int(1))),
        Answer::Refused(word, details) => {
            Err(scripts::refusal(schema.name(), &keys.prefix, &schema.fingerprint, &word, &details))
        }
    }
}

/// Names the model of a key that holds a value of another type.
pub(crate) fn wrong_type<M: RedisModel>(keys: &Keys, error: redis::RedisError) -> Error {
    wrong_type_at::<M>(keys.prefix.as_bytes(), error)
}

fn wrong_type_at<M: RedisModel>(key: &[u8], error: redis::RedisError) -> Error {
    let wrong_type =
        error.code() == Some("WRONGTYPE") || error.detail().is_some_and(|detail| detail.contains("WRONGTYPE"));
    if !wrong_type {
        return error.into();
    }
    Error::Corrupt {
        model: M::schema().name(),
        column: None,
        key: printable(key),
        reason: "a key that belongs to the model holds a value of another type; something else wrote it: rename or delete it, or give \
                 this program a namespace of its own"
            .into(),
    }
}
