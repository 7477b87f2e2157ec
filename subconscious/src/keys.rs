//! Every key of a model.
//!
//! All keys of a model begin with the same text, `{User}:`, whose part in braces is the hash tag
//! that keeps them on one node of a cluster. A namespace, if there is one, stands before it:
//! `staging:{User}:`. What a user stored comes last in a key, so that no byte of it can be taken
//! for structure; names of columns have no `:`.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `r:<id>` | hash | a record: a field for each column that is not null, and its row number in `#` |
//! | `i:<column>:<segment>:<value>` | set | the rows of the segment that have the value, while few; of a list, those that contain it |
//! | `b:<column>:<segment>:<value>` | bitmap | the same once many |
//! | `i:<column>:<segment>`, `b:<column>:<segment>` | | the same for null |
//! | `s:<column>` | sorted set | rows in the order of a `sort` column |
//! | `v:<column>` | sorted set | the values of a `sort` column of few values: score = ordinal × 65,536 + segments with the value |
//! | `u:<column>` | hash | the values of a `unique` column: value → row |
//! | `live:<segment>` | bitmap | rows in use |
//! | `d:<row / 65,472>` | string | row directory with ids of fixed width: entry after entry |
//! | `d:<row / 128>` | hash | row directory with other ids: row % 128 → id |
//! | `free` | sorted set | segments with rows to be used again, and how many |
//! | `ttl` | sorted set | rows of the records that expire: score = deadline in milliseconds |
//! | `x:<row / 128>` | hash | what the removal of such a record needs, as its hash is gone by then: row % 128 → MessagePack of the values of the indexed columns by name, and the id by the empty name |
//! | `meta` | hash | see below |
//! | `t:<n>` | bitmap | intermediate results, only while a script runs |
//!
//! The fields of `meta`:
//!
//! | field | holds |
//! | --- | --- |
//! | `schema` | fingerprint of the schema that the indexes have, with a `+` at its end while a migration to it is under way |
//! | `columns` | what the fingerprint stands for: [`ModelSchema::description`] |
//! | `types` | all columns that any program has stored, and their types: [`ModelSchema::types`]; not there where the records are older than this field, until a program registers |
//! | `programs` | registrations of the programs that may read and write, with spaces between them: [`ModelSchema::registration`] |
//! | a registration | `1`: the program's indexes are those that are stored, and its columns have the types that are stored; `+`: the same, while a migration to its indexes is under way |
//! | `rows`, `count` | rows handed out, records |
//! | `due` | when the next record expires, or earlier; not there if none does |
//! | `seq:<column>` | the last number assigned |
//! | `dropping`, `building` | during a migration: columns whose old indexes are being deleted, whose new ones are being filled, as `:name:name:` |
//! | `built` | during a migration: rows that have been gone through |
//!
//! For writing, only records and `meta` are addressed from Rust: the keys of indexes depend on the
//! row number, which only the server knows at that time. `scripts/index.lua` and
//! `scripts/filter.lua` build them; what is read with plain commands is here, too.

use crate::schema::ModelSchema;

/// The keys of one model in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// What all keys begin with.
    pub(crate) prefix: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str, schema: &ModelSchema) -> Self {
        // Built for every call: no formatting machinery.
        let mut prefix = String::with_capacity(namespace.len() + schema.name().len() + 4);
        if !namespace.is_empty() {
            prefix.push_str(namespace);
            prefix.push(':');
        }
        prefix.push('{');
        prefix.push_str(schema.name());
        prefix.push_str("}:");
        Self { prefix }
    }

    /// The hash of the record with the id, in its text form.
    pub(crate) fn record(&self, id: &[u8]) -> Vec<u8> {
        let mut key = self.records(id.len());
        key.extend_from_slice(id);
        key
    }

    /// What comes before the id in the hash of a record, with room for an id.
    pub(crate) fn records(&self, room: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + 2 + room);
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(b"r:");
        key
    }

    /// A part of the row directory: of 65,472 rows, or of 128.
    pub(crate) fn directory(&self, part: u32) -> String {
        format!("{}d:{part}", self.prefix)
    }

    /// The sorted set of a column.
    pub(crate) fn sorted(&self, column: &str) -> String {
        format!("{}s:{column}", self.prefix)
    }

    /// The values of a `sort` column of few values.
    pub(crate) fn values(&self, column: &str) -> String {
        format!("{}v:{column}", self.prefix)
    }

    /// The rows of the records that expire.
    pub(crate) fn ttl(&self) -> String {
        format!("{}ttl", self.prefix)
    }

    /// The key that scripts of queries are called on. It is never there, and may be written by
    /// users who may write no other.
    pub(crate) fn temporary(&self) -> String {
        format!("{}t:0", self.prefix)
    }

    /// The model's own hash.
    pub(crate) fn meta(&self) -> String {
        format!("{}meta", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::schema::{ColumnSchema, ModelSchema};

    #[test]
    fn keys_are_what_they_always_were() {
        let schema = ModelSchema::new("User", vec![ColumnSchema::new::<String>("id").key::<String>()]);
        let plain = Keys::new("", &schema);
        assert_eq!(plain.record(b"a:{b}\0\xFF"), b"{User}:r:a:{b}\0\xFF");
        assert_eq!(plain.meta(), "{User}:meta");
        assert_eq!(plain.directory(7), "{User}:d:7");
        assert_eq!(plain.sorted("age"), "{User}:s:age");
        assert_eq!(plain.values("age"), "{User}:v:age");
        assert_eq!(plain.ttl(), "{User}:ttl");
        assert_eq!(plain.temporary(), "{User}:t:0");
        let staging = Keys::new("staging", &schema);
        assert_eq!(staging.record(b""), b"staging:{User}:r:");
    }
}
