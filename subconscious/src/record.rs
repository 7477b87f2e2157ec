//! One record: saved, loaded, deleted.

use redis::{Cmd, Value};

use crate::codec::{RecordReader, RecordWriter, printable};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::id;
use crate::model::RedisModel;
use crate::schema::{Automatic, ModelSchema};
use crate::scripts::{DELETE, SAVE};
use crate::write::{Call, Target, index_spec, push_indexes, wrong_type_at};

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

    fn name(self) -> &'static str {
        match self {
            Verb::Save => "save",
            Verb::Insert => "insert",
            Verb::Update => "update",
        }
    }
}

/// A call of save.lua.
pub(crate) fn save_call<M: RedisModel>(record: &M, target: &Target, verb: Verb) -> Result<Call> {
    let schema = target.schema;
    let mut writer = RecordWriter::new(schema);
    record.write(&mut writer)?;
    let id = writer.id()?;
    let unassigned = schema.has_automatic_key() && id == b"0";
    let key = target.keys.record(if unassigned { b"" } else { &id });

    let columns = schema.columns();
    for &at in &schema.automatic {
        // Redis assigns it, so that it is no null.
        writer.values[at].0.get_or_insert_with(|| b"0".to_vec());
    }
    let value = |at: usize| writer.values[at].0.as_deref();
    let nulls = || schema.stored.iter().filter(|&&at| value(at).is_none());
    // ARGV counts from 1; the fixed arguments, then what save.lua lists before the pairs.
    let first_pair = 11 + 3 * schema.indexed.len() + 5 * schema.automatic.len() + nulls().count();
    let mut position = vec![0; columns.len()];
    let mut next = first_pair;
    for &at in schema.stored.iter().filter(|&&at| value(at).is_some()) {
        position[at] = next + 1;
        next += 2;
    }

    let mut command = SAVE.call(&key);
    command
        .arg(&target.keys.prefix)
        .arg(verb.code())
        .arg(&schema.fingerprint)
        .arg(id::to_directory(schema, &id))
        .arg(schema.id_width)
        .arg(schema.indexed.len())
        .arg(schema.automatic.len())
        .arg(nulls().count());
    match (schema.expires_at, schema.ttl) {
        (Some(at), _) => command.arg(columns[at].unit.code()).arg(position[at]),
        (None, Some((milliseconds, renew))) => command.arg(if renew { "renew" } else { "new" }).arg(milliseconds),
        (None, None) => command.arg("").arg(""),
    };
    for &at in schema.indexed.iter().chain(&schema.automatic) {
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
        command.arg(position[at]).arg(value(at).unwrap_or(b"0"));
        match column.automatic {
            _ if column.is_key() => command.arg(column.greatest).arg("k"),
            Some(Automatic::Version) => command.arg(column.next(value(at)).unwrap_or_default()).arg("v"),
            Some(Automatic::CreatedAt) => command.arg(column.unit.code()).arg("c"),
            Some(Automatic::UpdatedAt) => command.arg(column.unit.code()).arg("u"),
            Some(Automatic::Increment) | None => command.arg(column.greatest).arg("i"),
        };
    }
    for &at in nulls() {
        command.arg(columns[at].name());
    }
    for &at in &schema.stored {
        if let Some(value) = value(at) {
            command.arg(columns[at].name()).arg(value);
        }
    }
    let expected = schema.version.and_then(|at| writer.values[at].0.clone());
    // Where Redis assigns the id, each call makes a record.
    Ok(Call { command, key, operation: verb.name(), repeatable: !unassigned, expected })
}

/// Takes what Redis assigned into the record that was saved.
pub(crate) fn saved<M: RedisModel>(record: &mut M, key: &[u8], mut values: Vec<Value>) -> Result<()> {
    let schema = M::schema();
    if schema.automatic.is_empty() {
        return Ok(());
    }
    // The first value says whether the record is new.
    let assigned = values.split_off(1);
    record.set_automatic(&mut RecordReader::automatic(schema, key, assigned.into_iter()))
}

pub(crate) async fn save<M: RedisModel>(record: &mut M, db: &Db, verb: Verb) -> Result<()> {
    let target = Target::new::<M>(db);
    let call = save_call(record, &target, verb)?;
    let values = target.run(db, &SAVE, &call).await?;
    saved(record, &call.key, values)
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

pub(crate) async fn load<M: RedisModel>(db: &Db, id: &M::Id) -> Result<Option<M>> {
    let address = Target::new::<M>(db).address(id)?;
    let reply = db.send(&read_command(M::schema(), &address.key)).await;
    let fields = reply.map_err(|error| wrong_type_at(M::schema(), &address.key, error))?;
    decode(&address.key, address.id(), fields)
}

pub(crate) async fn load_many<M: RedisModel>(db: &Db, ids: &[M::Id]) -> Result<Vec<Option<M>>> {
    let target = Target::new::<M>(db);
    let addresses = ids.iter().map(|id| target.address(id)).collect::<Result<Vec<_>>>()?;
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = redis::Pipeline::with_capacity(addresses.len());
    for address in &addresses {
        pipeline.add_command(read_command(M::schema(), &address.key));
    }
    let mut records = Vec::with_capacity(addresses.len());
    for (address, reply) in addresses.iter().zip(db.send_all(&pipeline).await?) {
        let fields = reply.map_err(|error| wrong_type_at(M::schema(), &address.key, error))?;
        records.push(decode(&address.key, address.id(), fields)?);
    }
    Ok(records)
}

pub(crate) async fn reload<M: RedisModel>(record: &mut M, db: &Db) -> Result<()> {
    let id = record.id();
    let found = load::<M>(db, &id).await?;
    let key = |id| Target::new::<M>(db).address(id).map(|address| printable(&address.key));
    *record = match found {
        Some(found) => found,
        None => return Err(Error::NotFound { model: M::schema().name(), key: key(&id)? }),
    };
    Ok(())
}

pub(crate) async fn exists<M: RedisModel>(db: &Db, id: &M::Id) -> Result<bool> {
    let address = Target::new::<M>(db).address(id)?;
    Ok(db.send(redis::cmd("EXISTS").arg(&address.key)).await? == Value::Int(1))
}

/// A call of delete.lua that reads the fields and refuses another version.
pub(crate) fn delete_call(target: &Target, key: Vec<u8>, fields: &[usize], expected: Option<Vec<u8>>) -> Call {
    let schema = target.schema;
    let mut command = DELETE.call(&key);
    command.arg(&target.keys.prefix).arg(&schema.fingerprint).arg(schema.id_width).arg(schema.indexed.len());
    command.arg(fields.len());
    match (schema.version, &expected) {
        (Some(at), Some(expected)) => command.arg(schema.columns()[at].name()).arg(expected),
        _ => command.arg("").arg(""),
    };
    push_indexes(schema, &mut command);
    for &at in fields {
        command.arg(schema.columns()[at].name());
    }
    Call { command, key, operation: "delete", repeatable: true, expected }
}

/// Whether delete.lua found the record.
pub(crate) fn deleted(values: &[Value]) -> bool {
    values.first() == Some(&Value::Int(1))
}

pub(crate) async fn delete<M: RedisModel>(db: &Db, id: &M::Id, expected: Option<Vec<u8>>) -> Result<bool> {
    let target = Target::new::<M>(db);
    let call = delete_call(&target, target.address(id)?.key, &[], expected);
    Ok(deleted(&target.run(db, &DELETE, &call).await?))
}

/// The version that a record has, where its model has one.
pub(crate) fn version<M: RedisModel>(record: &M) -> Result<Option<Vec<u8>>> {
    let Some(at) = M::schema().version else { return Ok(None) };
    let mut writer = RecordWriter::new(M::schema());
    record.write(&mut writer)?;
    Ok(writer.values[at].0.take())
}

pub(crate) async fn take<M: RedisModel>(db: &Db, id: &M::Id) -> Result<Option<M>> {
    let target = Target::new::<M>(db);
    let address = target.address(id)?;
    let fields = &target.schema.stored;
    let mut call = delete_call(&target, address.key.clone(), fields, None);
    (call.operation, call.repeatable) = ("take", false);
    let mut values = target.run(db, &DELETE, &call).await?;
    match values.pop() {
        Some(fields @ Value::Array(_)) => decode(&address.key, address.id(), fields),
        // A record of nothing but its key has no fields to read.
        Some(Value::Int(1)) => decode(&address.key, address.id(), Value::Array(vec![Value::Int(0)])),
        _ => Ok(None),
    }
}
