//! Registration: whether a program may read and write a model. The stored schema must have what the
//! program needs, and the program must know it. See "Schema changes" in ARCHITECTURE.md.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

use redis::{Arg, Cmd, Value};

use crate::error::{Error, Result};
use crate::model::description;
use crate::model::schema::ModelSchema;
use crate::model::stored::{FIELDS, PartList, StoredSchema};
use crate::model::target::Target;
use crate::scripts::{DESCRIBE, MIGRATE, REGISTER};
use crate::server::Db;
use crate::server::reply::is_schema;

/// What a [`Db`] knows of a model whose stored schema is not that of this program, or where this
/// program can't be registered.
#[derive(Clone, Copy)]
pub(crate) struct Registration {
    /// This program's schema beside the stored one: see [`ModelSchema::beside`].
    pub(crate) schema: &'static ModelSchema,
    /// Whether the schemas were compared, but the program can't be registered, as it can't write.
    pub(crate) unregistered: bool,
}

/// What a [`Db`] knows of its models, by the prefix of their keys and the place of the program's
/// schema in memory. Nothing is noted of a program that is registered with its own schema.
#[derive(Default)]
pub(crate) struct Registrations(RwLock<HashMap<(String, usize), Registration>>);

impl Registrations {
    /// What is known of a model.
    pub(crate) fn get(&self, target: &Target) -> Option<Registration> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() { None } else { known.get(&target.place()).copied() }
    }

    fn set(&self, target: &Target, registration: Registration) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if std::ptr::eq(registration.schema, target.program) && !registration.unregistered {
            known.remove(&target.place());
        } else {
            known.insert(target.place(), registration);
        }
    }
}

/// A program's schema beside a stored one. Each pair of them is built once, and kept for good: a
/// program meets few stored schemas.
fn beside(program: &'static ModelSchema, stored: &StoredSchema, all: bool) -> &'static ModelSchema {
    type Built = HashMap<(usize, bool, String, String), &'static ModelSchema>;
    static BUILT: LazyLock<Mutex<Built>> = LazyLock::new(Mutex::default);
    if stored.fingerprint == program.fingerprint && stored.columns == program.description && stored.is_finished() {
        return program;
    }
    let place = std::ptr::from_ref(program) as usize;
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built
        .entry((place, all, stored.fingerprint.clone(), stored.defaults.clone()))
        .or_insert_with(|| Box::leak(Box::new(program.beside(stored, all))))
}

/// The stored schema that a call was refused with, as the program is not registered. The call has
/// done nothing.
pub(crate) fn refused(reply: &Value) -> Option<StoredSchema> {
    match reply {
        Value::Array(answer) if is_schema(answer) => Some(StoredSchema::of(answer.iter().skip(2).cloned())),
        _ => None,
    }
}

impl Target {
    /// What stands for the model and the program among the [`Registrations`].
    fn place(&self) -> (String, usize) {
        (self.keys.prefix.clone(), std::ptr::from_ref(self.program) as usize)
    }

    fn schema_error(&self, difference: String) -> Error {
        Error::Schema { model: self.program.name(), difference }
    }

    /// The model with the stored schema that a call was refused with. Registers the program, or
    /// stores its schema if the model has no records. One round trip.
    pub(crate) async fn learn(&self, db: &Db, stored: StoredSchema) -> Result<Self> {
        match stored.lacks(self.program) {
            None => {
                self.register(db, &stored).await?;
                Ok(self.with(db, &stored, false))
            }
            Some(difference) if stored.count > 0 => Err(self.schema_error(difference)),
            Some(_) => self.describe(db, stored).await,
        }
    }

    /// The model with a stored schema, which is noted in the database.
    fn with(&self, db: &Db, stored: &StoredSchema, unregistered: bool) -> Self {
        let schema = beside(self.program, stored, false);
        db.registrations().set(self, Registration { schema, unregistered });
        self.with_schema(schema)
    }

    /// Stores the schema of a model that has no records. If another program was faster, the next
    /// call says so.
    async fn describe(&self, db: &Db, stored: StoredSchema) -> Result<Self> {
        let mut next = stored.of_no_records(self.program, false);
        next.fingerprint = next.state();
        self.switch(db, &stored, &next).await?;
        Ok(self.with(db, &next, false))
    }

    /// Replaces the stored schema, if it is still this one, and registers this program. Returns
    /// whether it was. All other programs are refused until they know the new one.
    pub(crate) async fn switch(&self, db: &Db, stored: &StoredSchema, next: &StoredSchema) -> Result<bool> {
        let schema = beside(self.program, next, false);
        let script = if stored.count == 0 { &DESCRIBE } else { &MIGRATE };
        let mut command = script.call(self.keys.meta().as_bytes());
        command.arg(&stored.fingerprint).arg(&stored.types).arg(&schema.registration);
        command.arg(&next.fingerprint).arg(&next.columns).arg(&next.types).arg(&next.defaults);
        command.arg(next.dropping.to_string()).arg(next.building.to_string());
        if stored.count > 0 {
            command.arg(u8::from(stored.has_older_layout() && schema.id_width > 0 && !next.building.directory));
        }
        let switched = script.run(db, &command).await.map_err(|error| self.wrong_type(error))?;
        Ok(switched == Value::Int(1))
    }

    /// Registers this program, if the stored schema is still this one. Otherwise the next call says
    /// so.
    async fn register(&self, db: &Db, stored: &StoredSchema) -> Result<()> {
        let schema = beside(self.program, stored, false);
        let mut command = REGISTER.call(self.keys.meta().as_bytes());
        command.arg(&schema.registration).arg(&stored.fingerprint).arg(&stored.types);
        command.arg(description::merged(&stored.known_types(), &self.program.types));
        REGISTER.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    /// Reads the stored schema. One round trip.
    pub(crate) async fn stored(&self, db: &Db) -> Result<StoredSchema> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.meta()).arg(&FIELDS);
        match db.send(&command).await.map_err(|error| self.wrong_type(error))? {
            Value::Array(values) => Ok(StoredSchema::of(values)),
            reply => Err(self.unexpected(&reply)),
        }
    }

    /// The model with all stored indexes, as a check needs it. Refuses a schema that lacks what
    /// this program needs, or whose indexes are not complete. Stores that of this program, if there
    /// is none and it `may_store` one. One round trip.
    pub(crate) async fn with_all_indexes(&self, db: &Db, may_store: bool) -> Result<Self> {
        let stored = match self.stored(db).await {
            // The check itself reports what is wrong with the key.
            Err(Error::Corrupt { .. }) => StoredSchema::default(),
            stored => stored?,
        };
        // A model without records has no schema that a program could contradict.
        if stored.count > 0 && stored.is_stored() {
            if let Some(difference) = stored.lacks(self.program) {
                return Err(self.schema_error(difference));
            }
            let model = self.program.name();
            if stored.building.is_empty() && !stored.dropping.is_empty() {
                let what = "unused indexes are still being dropped";
                return Err(
                    self.schema_error(format!("{what}. `{model}::drop_unused_indexes` goes on where it was stopped"))
                );
            }
            if !stored.is_finished() && !stored.builds_for(self.program) {
                let names = stored.building.names().collect::<Vec<_>>().join(", ");
                return Err(self.schema_error(format!(
                    "the index of {names} is still being built, which this program does not need. Call `{model}::migrate` in \
                     a program that does. If none is left, call `drop_unused_indexes` in this one"
                )));
            }
            if !stored.is_finished() {
                return Err(self.unfinished(&stored.building));
            }
            return Ok(self.with_schema(beside(self.program, &stored, true)));
        }
        if may_store && !stored.is_stored() {
            return self.describe(db, stored).await;
        }
        Ok(self.with_schema(self.program))
    }

    /// The error of a call that needs indexes that are not complete.
    fn unfinished(&self, building: &PartList) -> Error {
        let model = self.program.name();
        let names = building.names().collect::<Vec<_>>().join(", ");
        self.schema_error(if building.directory || names.is_empty() {
            format!(
                "its layout is still being changed. `{model}::migrate` changes it, and goes on where it was stopped"
            )
        } else {
            let what = "is still being built";
            format!("the index of {names} {what}. `{model}::migrate` builds it, and goes on where it was stopped")
        })
    }

    /// The text by which the scripts of queries know this program's schema. It is the registration,
    /// or the fingerprint alone if the schemas were compared but the program can't be registered.
    ///
    /// A query goes on with the schema with which it began, as long as the stored one has the
    /// indexes that the query needs.
    pub(crate) fn reader(&self, db: &Db) -> &'static str {
        match db.registrations().get(self) {
            Some(known) if self.lacking(known.schema).is_none() => {
                if known.unregistered {
                    &known.schema.fingerprint
                } else {
                    &known.schema.registration
                }
            }
            // The server says whether it is so.
            _ => &self.program.registration,
        }
    }

    /// Learns the stored schema if a call of a query was refused because the program is not
    /// registered. If it can't be registered, the schemas are compared all the same. Returns
    /// whether the call must be made again. Usually no round trip.
    pub(crate) async fn admit(&self, db: &Db, reply: &Value, call: &mut Cmd) -> Result<bool> {
        let Some(stored) = refused(reply) else { return Ok(false) };
        let mut registered = false;
        if !db.is_read_only() && db.may_write(&self.keys).await.is_ok() {
            match self.learn(db, stored.clone()).await.map_err(Error::without_rights_read_only) {
                Err(error) if error.refuses_writes() => {}
                outcome => {
                    outcome?;
                    registered = true;
                }
            }
        }
        if !registered {
            if let Some(difference) = stored.lacks(self.program) {
                return Err(self.schema_error(difference));
            }
            self.with(db, &stored, true);
        }
        if let Some(lacking) = self.lacking(beside(self.program, &stored, false)) {
            return Err(self.unfinished(&lacking));
        }
        // The registration is the second argument of the script. It follows the name of the
        // command, the script, the number of keys, the key and the first argument.
        let mut other = Cmd::new();
        for (at, argument) in call.args_iter().enumerate() {
            match argument {
                _ if at == 5 => other.arg(self.reader(db)),
                Arg::Simple(bytes) => other.arg(bytes),
                _ => &mut other,
            };
        }
        *call = other;
        Ok(true)
    }
}
