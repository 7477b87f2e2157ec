//! A model in a namespace, and where its records are.

use redis::{Cmd, RedisError};

use crate::error::{Error, Result};
use crate::model::id;
use crate::model::keys::Keys;
use crate::model::schema::ModelSchema;
use crate::server::Db;
use crate::server::reply::is_wrong_type;
use crate::text::printable;

/// A model in a namespace.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) schema: &'static ModelSchema,
    pub(crate) keys: Keys,
}

/// Where a record is: the key of its hash, which ends with the text of its id.
pub(crate) struct Address {
    pub(crate) key: Vec<u8>,
    id_at: usize,
}

impl Address {
    pub(crate) fn id(&self) -> &[u8] {
        &self.key[self.id_at..]
    }
}

impl Target {
    pub(crate) fn new(db: &Db, schema: &'static ModelSchema) -> Self {
        Self { schema, keys: Keys::new(db.namespace(), schema) }
    }

    /// Where the record is whose id's text `append` appends.
    pub(crate) fn address(&self, append: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Address> {
        let mut key = self.keys.records(40);
        let id_at = key.len();
        append(&mut key)?;
        id::check_length(self.schema, &key[id_at..])?;
        Ok(Address { key, id_at })
    }

    /// Adds the names of the indexed columns and how each is indexed.
    pub(crate) fn push_indexes(&self, command: &mut Cmd) {
        let columns = self.schema.columns();
        for &at in &self.schema.indexed {
            command.arg(columns[at].name());
        }
        for &at in &self.schema.indexed {
            command.arg(columns[at].index_spec(0));
        }
    }

    /// Names the model of a key that holds a value of another type.
    pub(crate) fn wrong_type(&self, error: RedisError) -> Error {
        wrong_type_at(self.schema, self.keys.prefix.as_bytes(), error)
    }

    /// Refuses a reply that no server makes to what was asked.
    pub(crate) fn unexpected(&self, reply: &impl std::fmt::Debug) -> Error {
        let Self { schema, keys } = self;
        let reason = format!("the server answered {reply:?}");
        Error::Corrupt { model: schema.name(), column: None, key: keys.prefix.clone(), reason }
    }
}

/// Names the key, or the model of a key, that holds a value of another type.
pub(crate) fn wrong_type_at(schema: &'static ModelSchema, key: &[u8], error: RedisError) -> Error {
    if !is_wrong_type(&error) {
        return error.into();
    }
    Error::Corrupt {
        model: schema.name(),
        column: None,
        key: printable(key),
        reason: "a key that belongs to the model holds a value of another type".into(),
    }
}
