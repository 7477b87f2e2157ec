//! Registration: whether a program may read and write a model. Its column types and indexes must be
//! the stored ones. See "Schema changes" in ARCHITECTURE.md.

use redis::{Arg, Cmd, Value};

use crate::error::{Error, Result};
use crate::model::description;
use crate::model::target::Target;
use crate::scripts::{DESCRIBE, REGISTER};
use crate::server::Db;
use crate::server::reply::{self, Answer, Refusal, is_wrong_type};

/// What a refused call lacked. The call has done nothing.
pub(crate) enum Wanted {
    /// The stored schema: the model has no records yet.
    Description,
    /// The program's registration. Holds the stored types of columns.
    Registration(String),
}

impl Wanted {
    pub(crate) fn of(reply: &Value) -> Option<Self> {
        let Value::Array(words) = reply else { return None };
        let [Value::Nil, Value::BulkString(word), ..] = &words[..] else { return None };
        if !matches!(&word[..], b"describe" | b"columns") {
            return None;
        }
        match Answer::of(reply.clone()) {
            Answer::Refused(Refusal::Describe) => Some(Self::Description),
            Answer::Refused(Refusal::Columns(types)) => Some(Self::Registration(types)),
            _ => None,
        }
    }
}

impl Target {
    /// Provides what a refused call lacked. If another program was faster, the next call says so.
    /// One round trip.
    pub(crate) async fn provide(&self, db: &Db, wanted: Wanted) -> Result<()> {
        match wanted {
            Wanted::Description => self.describe(db).await,
            Wanted::Registration(types) => {
                self.compare(&types)?;
                self.register(db, &types).await
            }
        }
    }

    /// Stores the schema of a model that has no records yet.
    pub(crate) async fn describe(&self, db: &Db) -> Result<()> {
        let mut command = DESCRIBE.call(self.keys.meta().as_bytes());
        command.arg(&self.schema.registration).arg(&self.schema.description).arg(&self.schema.types);
        DESCRIBE.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    /// Registers this program. Its types must have been compared with the stored ones.
    pub(crate) async fn register(&self, db: &Db, types: &str) -> Result<()> {
        let schema = self.schema;
        let mut command = REGISTER.call(self.keys.meta().as_bytes());
        command.arg(&schema.registration).arg(types).arg(description::merged(types, &schema.types));
        REGISTER.run(db, &command).await.map(drop).map_err(|error| self.wrong_type(error))
    }

    /// Refuses stored types that are not those of this program.
    fn compare(&self, types: &str) -> Result<()> {
        match self.schema.conflict(types) {
            Some(difference) => Err(Error::Schema { model: self.schema.name(), difference }),
            None => Ok(()),
        }
    }

    /// Refuses a model whose stored types are not those of this program. One round trip.
    pub(crate) async fn compare_stored(&self, db: &Db) -> Result<()> {
        let reply = db.send(redis::cmd("HMGET").arg(self.keys.meta()).arg(&["types", "count"])).await;
        let values = match reply {
            Ok(Value::Array(values)) => values,
            Err(error) if !is_wrong_type(&error) => return Err(error.into()),
            // The check itself reports what is wrong with the key.
            _ => return Ok(()),
        };
        let texts: Vec<Vec<u8>> = values.into_iter().map(reply::bytes).collect();
        match &texts[..] {
            // A model without records has no types that a program could contradict.
            [types, count] if !matches!(&count[..], b"" | b"0") => self.compare(&String::from_utf8_lossy(types)),
            _ => Ok(()),
        }
    }

    /// The text by which the scripts of queries know this program's schema. It is the registration,
    /// or the fingerprint alone if the types were compared but the program can't be registered.
    pub(crate) fn reader(&self, db: &Db) -> &'static str {
        let schema = self.schema;
        if db.was_compared(|| self.compared()) { &schema.fingerprint } else { &schema.registration }
    }

    fn compared(&self) -> String {
        format!("{}{}", self.keys.prefix, self.schema.registration)
    }

    /// Registers this program if a call of a query was refused because it is not registered. If it
    /// can't be registered, the types are compared all the same. Returns whether the call must be
    /// made again. Usually no round trip.
    pub(crate) async fn admit(&self, db: &Db, reply: &Value, call: &mut Cmd) -> Result<bool> {
        let Some(Wanted::Registration(types)) = Wanted::of(reply) else { return Ok(false) };
        self.compare(&types)?;
        if !db.is_read_only() && db.may_write(&self.keys).await.is_ok() {
            match self.register(db, &types).await.map_err(Error::without_rights_read_only) {
                Err(error) if error.refuses_writes() => {}
                outcome => return outcome.map(|()| true),
            }
        }
        db.note_compared(self.compared());
        // The registration is the second argument of the script. It follows the name of the
        // command, the script, the number of keys, the key and the first argument.
        let mut other = Cmd::new();
        for (at, argument) in call.args_iter().enumerate() {
            match argument {
                _ if at == 5 => other.arg(&self.schema.fingerprint),
                Arg::Simple(bytes) => other.arg(bytes),
                _ => &mut other,
            };
        }
        *call = other;
        Ok(true)
    }
}
