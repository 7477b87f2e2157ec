//! One record: saved, loaded, deleted.

use redis::{Cmd, Value};

use crate::error::{Error, Result};
use crate::model::codec::{RecordReader, RecordWriter};
use crate::model::id;
use crate::model::schema::{Automatic, ModelSchema};
use crate::model::target::{Address, Target, wrong_type_at};
use crate::scripts::{DELETE, SAVE};
use crate::server::Db;
use crate::text::printable;
use crate::write::call::{Call, Write};

/// What a save does if a record with the id exists, and if none exists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Save,
    Insert,
    Update,
    /// A save that keeps what Redis would assign, as far as the record has it.
    Import,
}

impl Verb {
    /// The name of the verb, which is also its word in save.lua.
    fn name(self) -> &'static str {
        match self {
            Verb::Save => "save",
            Verb::Insert => "insert",
            Verb::Update => "update",
            Verb::Import => "import",
        }
    }
}

/// A record that is to be saved by save.lua or save_many.lua.
pub(crate) struct Saving {
    writer: RecordWriter,
    id: Vec<u8>,
    /// The version that the record will have.
    version: Option<Vec<u8>>,
    pub(crate) write: Write,
}

impl Saving {
    pub(crate) fn new(mut writer: RecordWriter, target: &Target, verb: Verb) -> Result<Self> {
        let schema = target.program;
        let id = writer.id()?;
        let unassigned = schema.has_automatic_key() && id == b"0";
        let key = target.keys.record(if unassigned { b"" } else { &id });
        for &at in &schema.automatic {
            // Redis assigns these columns, so they are never null.
            writer.fill(at, b"0");
        }
        let expected = schema.version.and_then(|at| writer.value(at)).map(<[u8]>::to_vec);
        let version = match verb {
            Verb::Insert => Some(b"1".to_vec()),
            Verb::Import => None,
            Verb::Save | Verb::Update => schema.version.and_then(|at| schema.columns()[at].next(writer.value(at))),
        };
        // If Redis assigns the id, each call creates a record, so the call is not repeatable.
        let write = Write { key, operation: verb.name(), repeatable: !unassigned, expected };
        Ok(Self { writer, id, version, write })
    }

    /// Refuses values that the indexes of other programs can't hold: null, or a value that is too
    /// long. The program's own have been looked at.
    pub(crate) fn check(&self, target: &Target) -> Result<()> {
        let schema = target.schema;
        let own = schema.indexed.iter().filter(|&&at| at < schema.all.len());
        for &at in own {
            let column = &schema.columns()[at];
            let checked = match self.value(at) {
                None => column.try_null(),
                Some(_) if target.program.columns()[at].is_maintained() => Ok(()),
                Some(value) => column.try_index(value),
            };
            checked.map_err(|reason| Error::bad_data(schema.name(), column.name(), reason))?;
        }
        Ok(())
    }

    fn value(&self, at: usize) -> Option<&[u8]> {
        self.writer.value(at)
    }

    /// The ordinal of the value that the column will have.
    fn ordinal(&self, schema: &ModelSchema, at: usize) -> u16 {
        match &self.version {
            Some(version) if schema.version == Some(at) => schema.columns()[at].ordinal_of(version).unwrap_or(0),
            _ => self.writer.ordinal(at),
        }
    }

    fn nulls(&self, schema: &ModelSchema) -> impl Iterator<Item = usize> {
        schema.stored.iter().copied().filter(|&at| self.value(at).is_none())
    }

    /// The approximate number of bytes of the arguments that [`Saving::push`] adds.
    pub(crate) fn bytes(&self, schema: &ModelSchema) -> usize {
        self.writer.length() + schema.names_length + 8 * schema.indexed.len() + 64
    }

    /// The number of arguments that [`Saving::push`] adds.
    pub(crate) fn arguments(&self, schema: &ModelSchema) -> usize {
        let (nulls, defaults) = (self.nulls(schema).count(), foreign_defaults(schema));
        let values = schema.stored.len() - nulls + defaults;
        head(schema) + 2 * schema.indexed.len() + 4 * schema.automatic.len() + nulls + 2 * values
    }

    /// Adds the record's arguments in the order of put.lua. `before` is the number of arguments
    /// that precede them.
    pub(crate) fn push(&self, schema: &ModelSchema, command: &mut Cmd, before: usize) {
        let columns = schema.columns();
        let nulls = self.nulls(schema).count();
        // ARGV counts from 1.
        let mut next = before + head(schema) + 2 * schema.indexed.len() + 4 * schema.automatic.len() + nulls + 1;
        let mut position = vec![0; columns.len()];
        for &at in schema.stored.iter().filter(|&&at| self.value(at).is_some()) {
            position[at] = next + 1;
            next += 2;
        }
        let own = columns.len() - schema.foreign;
        for (at, _) in columns.iter().enumerate().skip(own).filter(|(_, column)| column.foreign_default.is_some()) {
            position[at] = next + 1;
            next += 2;
        }
        command.arg(id::to_directory(schema, &self.id)).arg(self.arguments(schema)).arg(nulls);
        match (schema.expires_at, schema.ttl) {
            (Some(at), _) => {
                command.arg(position[at]);
            }
            (None, Some((milliseconds, _))) => {
                command.arg(milliseconds);
            }
            (None, None) => {}
        }
        for &at in &schema.indexed {
            let ordinal = match &columns[at].foreign_default {
                Some((_, ordinal)) => *ordinal,
                None if at < own => self.ordinal(schema, at),
                None => 0,
            };
            command.arg(columns[at].index_spec(ordinal));
        }
        for &at in &schema.indexed {
            command.arg(position[at]);
        }
        for &at in &schema.automatic {
            let column = &columns[at];
            let value = self.value(at);
            command.arg(position[at]).arg(value.unwrap_or(b"0"));
            match column.automatic {
                _ if column.is_key() => command.arg(column.greatest).arg("key"),
                Some(Automatic::Version) => command.arg(self.version.as_deref().unwrap_or_default()).arg("version"),
                Some(Automatic::CreatedAt) => command.arg(column.unit.code()).arg("created_at"),
                Some(Automatic::UpdatedAt) => command.arg(column.unit.code()).arg("updated_at"),
                Some(Automatic::Increment) | None => command.arg(column.greatest).arg("increment"),
            };
        }
        for at in self.nulls(schema) {
            command.arg(columns[at].name());
        }
        for &at in &schema.stored {
            if let Some(value) = self.value(at) {
                command.arg(columns[at].name()).arg(value);
            }
        }
        for column in &columns[own..] {
            if let Some((default, _)) = &column.foreign_default {
                command.arg(column.name()).arg(default);
            }
        }
    }
}

/// The number of foreign columns with a default.
fn foreign_defaults(schema: &ModelSchema) -> usize {
    schema.foreign().iter().filter(|column| column.foreign_default.is_some()).count()
}

/// The number of arguments of a record before its index specs.
fn head(schema: &ModelSchema) -> usize {
    if schema.expires_at.is_some() || schema.ttl.is_some() { 4 } else { 3 }
}

/// Adds the arguments that all records of a model share: from ARGV[1] to the names of save.lua.
/// Returns the number of these arguments.
pub(crate) fn push_model(target: &Target, verb: Verb, command: &mut Cmd) -> usize {
    let schema = target.schema;
    command
        .arg(&target.keys.prefix)
        .arg(verb.name())
        .arg(&schema.registration)
        .arg(schema.id_width)
        .arg(schema.indexed.len())
        .arg(schema.automatic.len());
    match (schema.expires_at, schema.ttl) {
        (Some(at), _) => command.arg(schema.columns()[at].unit.code()),
        (None, Some((_, renew))) => command.arg(if renew { "renew" } else { "new" }),
        (None, None) => command.arg(""),
    };
    command.arg(schema.foreign_indexed()).arg(foreign_defaults(schema));
    for &at in schema.indexed.iter().chain(&schema.automatic) {
        command.arg(schema.columns()[at].name());
    }
    model_arguments(schema)
}

/// The number of arguments that [`push_model`] adds.
pub(crate) fn model_arguments(schema: &ModelSchema) -> usize {
    9 + schema.indexed.len() + schema.automatic.len()
}

/// The approximate number of bytes of these arguments.
pub(crate) fn model_bytes(target: &Target) -> usize {
    target.keys.prefix.len() + target.schema.names_length + 32
}

/// The answer to a save.
pub(crate) struct Saved {
    key: Vec<u8>,
    /// What Redis assigned, in the order of `schema.automatic`.
    assigned: Vec<Value>,
}

impl Saved {
    pub(crate) fn new(target: &Target, key: Vec<u8>, mut values: Vec<Value>) -> Result<Self> {
        // The first value says whether the record is new.
        if values.len() != 1 + target.schema.automatic.len() {
            return Err(target.unexpected(&values));
        }
        values.remove(0);
        Ok(Self { key, assigned: values })
    }

    /// The values that Redis assigned; `None` if it assigned none.
    pub(crate) fn assigned(&mut self, schema: &'static ModelSchema) -> Option<RecordReader<'_>> {
        let assigned = std::mem::take(&mut self.assigned);
        (!assigned.is_empty()).then(|| RecordReader::automatic(schema, &self.key, assigned.into_iter()))
    }
}

pub(crate) async fn save(db: &Db, target: &Target, record: RecordWriter, verb: Verb) -> Result<Saved> {
    let saving = Saving::new(record, target, verb)?;
    let build = |target: &Target| {
        saving.check(target)?;
        let schema = target.schema;
        let arguments = saving.arguments(schema) + model_arguments(schema);
        let bytes = saving.bytes(schema) + model_bytes(target);
        let mut command = SAVE.call_on([&saving.write.key[..]].into_iter(), arguments, bytes);
        let before = push_model(target, verb, &mut command);
        saving.push(schema, &mut command, before);
        Ok(Call { command, write: saving.write.clone() })
    };
    let values = target.run(db, &SAVE, build).await?;
    Saved::new(target, saving.write.key, values)
}

/// The command that reads a record: its row, then these columns.
pub(crate) fn read_command(schema: &ModelSchema, key: &[u8], columns: &[usize]) -> Cmd {
    let mut command = Cmd::with_capacity(columns.len() + 3, key.len() + schema.names_length + 6);
    command.arg("HMGET").arg(key).arg("#");
    for &at in columns {
        command.arg(schema.columns()[at].name());
    }
    command
}

/// The record in the reply to [`read_command`]; `None` if there is none.
pub(crate) fn found<'a>(
    schema: &'static ModelSchema,
    key: &'a [u8],
    id: &'a [u8],
    reply: Value,
) -> Result<Option<RecordReader<'a>>> {
    let Value::Array(fields) = reply else { return Ok(None) };
    let mut fields = fields.into_iter();
    if let Some(Value::Nil) | None = fields.next() {
        if fields.all(|field| field == Value::Nil) {
            return Ok(None);
        }
        return Err(Error::MissingColumn { model: schema.name(), column: "#", key: printable(key) });
    }
    Ok(Some(RecordReader::record(schema, key, id, fields)))
}

pub(crate) async fn load<'a>(db: &Db, target: &Target, address: &'a Address) -> Result<Option<RecordReader<'a>>> {
    let schema = target.schema;
    let reply = db.send(&read_command(schema, &address.key, &schema.stored)).await;
    let fields = reply.map_err(|error| wrong_type_at(schema, &address.key, error))?;
    found(schema, &address.key, address.id(), fields)
}

/// The fields of the records, each as the reply to [`read_command`].
pub(crate) async fn load_many(db: &Db, target: &Target, addresses: &[Address]) -> Result<Vec<Result<Value>>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let schema = target.schema;
    let mut pipeline = redis::Pipeline::with_capacity(addresses.len());
    for address in addresses {
        pipeline.add_command(read_command(schema, &address.key, &schema.stored));
    }
    let replies = addresses.iter().zip(db.send_all(&pipeline).await?);
    Ok(replies.map(|(address, reply)| reply.map_err(|error| wrong_type_at(schema, &address.key, error))).collect())
}

pub(crate) async fn exists(db: &Db, address: &Address) -> Result<bool> {
    Ok(db.send(redis::cmd("EXISTS").arg(&address.key)).await? == Value::Int(1))
}

/// A field of a record as the caller saw it: its name, and its value, `None` for null.
pub(crate) type Seen = (&'static str, Option<Vec<u8>>);

/// Adds fields that must be as the caller has seen them.
pub(crate) fn push_seen(command: &mut Cmd, seen: &[Seen]) {
    for (name, value) in seen {
        command.arg(name).arg(value.as_deref().map(seen_form).unwrap_or_default());
    }
}

/// A value in the form in which scripts compare it; null is empty.
pub(crate) fn seen_form(value: impl AsRef<[u8]>) -> Vec<u8> {
    [b"=", value.as_ref()].concat()
}

/// A call of delete.lua. It reads the fields, refuses a record of another version, and leaves the
/// record alone if one of the seen fields has changed.
pub(crate) fn delete_call(
    target: &Target,
    key: &[u8],
    fields: &[usize],
    expected: Option<Vec<u8>>,
    seen: &[Seen],
) -> Call {
    let schema = target.schema;
    let mut command = DELETE.call(key);
    command.arg(&target.keys.prefix).arg(&schema.registration).arg(schema.id_width).arg(schema.indexed.len());
    command.arg(fields.len());
    match (schema.version, &expected) {
        (Some(at), Some(expected)) => command.arg(schema.columns()[at].name()).arg(expected),
        _ => command.arg("").arg(""),
    };
    command.arg(seen.len());
    target.push_indexes(&mut command);
    for &at in fields {
        command.arg(schema.columns()[at].name());
    }
    push_seen(&mut command, seen);
    Call { command, write: Write { key: key.to_vec(), operation: "delete", repeatable: true, expected } }
}

/// Whether delete.lua found the record.
pub(crate) fn deleted(values: &[Value]) -> bool {
    values.first() == Some(&Value::Int(1))
}

pub(crate) async fn delete(db: &Db, target: &Target, address: Address, expected: Option<Vec<u8>>) -> Result<bool> {
    let build = |target: &Target| Ok(delete_call(target, &address.key, &[], expected.clone(), &[]));
    Ok(deleted(&target.run(db, &DELETE, build).await?))
}

/// The version of a record, if its model has one.
pub(crate) fn version(record: &RecordWriter) -> Option<Vec<u8>> {
    record.value(record.schema.version?).map(<[u8]>::to_vec)
}

pub(crate) async fn take<'a>(db: &Db, target: &Target, address: &'a Address) -> Result<Option<RecordReader<'a>>> {
    let schema = target.program;
    let build = |target: &Target| {
        let mut call = delete_call(target, &address.key, &schema.stored, None, &[]);
        (call.write.operation, call.write.repeatable) = ("take", false);
        Ok(call)
    };
    let mut values = target.run(db, &DELETE, build).await?;
    match values.pop() {
        Some(fields @ Value::Array(_)) => found(schema, &address.key, address.id(), fields),
        // A record that consists of its key only has no fields to read.
        Some(Value::Int(1)) => found(schema, &address.key, address.id(), Value::Array(vec![Value::Int(0)])),
        _ => Ok(None),
    }
}
