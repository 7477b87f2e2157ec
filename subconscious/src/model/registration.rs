//! Whether a program may read and write a model: its columns have the types that are stored, and its
//! indexes are those that are stored. See "Schema changes" in ARCHITECTURE.md.

use redis::{Arg, Cmd, Value};

use crate::error::{Error, Result};
use crate::model::description;
use crate::model::target::Target;
use crate::scripts::{DESCRIBE, REGISTER};
use crate::server::Db;
use crate::server::reply::{self, Answer, Refusal, is_wrong_type};

/// What a call was refused for the want of, before it did anything.
pub(crate) enum Wanted {
    /// The model has no records yet, and so no schema.
    Description,
    /// The program is not registered: the stored types of columns.
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
    /// Does what a call was refused for the want of. If another program was faster, the next call
    /// says so. One round trip.
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

    /// Registers this program, whose types were compared with those that are stored.
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
            // What is wrong with the key, a check says itself.
            _ => return Ok(()),
        };
        let texts: Vec<Vec<u8>> = values.into_iter().map(reply::bytes).collect();
        match &texts[..] {
            // The types of a model without records are those of any program.
            [types, count] if !matches!(&count[..], b"" | b"0") => self.compare(&String::from_utf8_lossy(types)),
            _ => Ok(()),
        }
    }

    /// What the scripts of queries know this program's schema by: where it can't be registered, the
    /// fingerprint alone, once its types were compared.
    pub(crate) fn reader(&self, db: &Db) -> &'static str {
        let schema = self.schema;
        if db.was_compared(|| self.compared()) { &schema.fingerprint } else { &schema.registration }
    }

    fn compared(&self) -> String {
        format!("{}{}", self.keys.prefix, self.schema.registration)
    }

    /// Registers this program, if that is what a call of a query was refused for; where it can't
    /// be, the types are compared all the same. Says whether the call is to be made again. Mostly
    /// no round trip.
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
        // The registration is the second argument, after the name of the command, the script, the
        // number of keys and the key.
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
