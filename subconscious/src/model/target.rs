//! A model in a namespace, and the addresses of its records.

use redis::{Cmd, RedisError};

use crate::error::{Error, Result};
use crate::model::id;
use crate::model::index::Need;
use crate::model::keys::Keys;
use crate::model::schema::ModelSchema;
use crate::model::stored::PartList;
use crate::server::Db;
use crate::server::reply::is_wrong_type;
use crate::text::printable;

/// A model in a namespace.
#[derive(Clone)]
pub(crate) struct Target {
    /// The schema of this program.
    pub(crate) program: &'static ModelSchema,
    /// The same beside the stored schema, as far as that is known: see [`ModelSchema::beside`].
    pub(crate) schema: &'static ModelSchema,
    pub(crate) keys: Keys,
    /// What the query, if this is about one, needs of indexes.
    needs: Vec<Need>,
}

/// The address of a record: the key of its hash, which ends with the text of its id.
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
    pub(crate) fn new(db: &Db, program: &'static ModelSchema) -> Self {
        let keys = Keys::new(db.namespace(), program);
        let target = Self { program, schema: program, keys, needs: Vec::new() };
        match db.registrations().get(&target) {
            Some(known) => Self { schema: known.schema, ..target },
            None => target,
        }
    }

    /// The same model with another schema of this program.
    pub(crate) fn with_schema(&self, schema: &'static ModelSchema) -> Self {
        Self { schema, ..self.clone() }
    }

    /// Notes what a query needs, at least the row directory.
    ///
    /// If an index was not complete when the stored schema was read, the query begins with the
    /// schema of this program. The server refuses it, unless all indexes are complete by now.
    pub(crate) fn need(&mut self, needs: impl IntoIterator<Item = Need>) {
        self.needs.extend(needs);
        if self.lacking(self.schema).is_some() {
            self.schema = self.program;
        }
    }

    /// What is not complete in this schema, among what the query needs.
    pub(crate) fn lacking(&self, schema: &'static ModelSchema) -> Option<PartList> {
        let lacks = |need: &&Need| {
            let column = &schema.columns()[need.column()];
            !match need {
                Need::Values(_) => column.has_index() || column.has_values(),
                Need::Nulls(_) => column.has_lists(),
                Need::Order(_) => column.has_sort(),
                Need::Owners(_) => column.is_unique(),
            }
        };
        let lacking = self.needs.iter().filter(lacks).map(|need| schema.columns()[need.column()].name());
        let lacking = PartList::of_columns(lacking, schema.directory_lacks_rows);
        (!lacking.is_empty()).then_some(lacking)
    }

    /// The address of a record; `append` appends the text of its id.
    pub(crate) fn address(&self, append: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Address> {
        let mut key = self.keys.records(40);
        let id_at = key.len();
        append(&mut key)?;
        id::check_length(self.schema, &key[id_at..])?;
        Ok(Address { key, id_at })
    }

    /// Adds the names and the index specs of the indexed columns.
    pub(crate) fn push_indexes(&self, command: &mut Cmd) {
        let columns = self.schema.columns();
        for &at in &self.schema.indexed {
            command.arg(columns[at].name());
        }
        for &at in &self.schema.indexed {
            command.arg(columns[at].index_spec(0));
        }
    }

    /// Turns an error about a key with a value of another type into one that names the model.
    pub(crate) fn wrong_type(&self, error: RedisError) -> Error {
        wrong_type_at(self.schema, self.keys.prefix.as_bytes(), error)
    }

    /// The error for a reply that does not fit the request.
    pub(crate) fn unexpected(&self, reply: &impl std::fmt::Debug) -> Error {
        let Self { schema, keys, .. } = self;
        let reason = format!("the server answered {reply:?}");
        Error::Corrupt { model: schema.name(), column: None, key: keys.prefix.clone(), reason }
    }
}

/// Turns an error about a value of another type into one that names the key, or the prefix of a
/// model's keys.
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
