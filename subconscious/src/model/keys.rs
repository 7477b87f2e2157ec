//! Every key of a model.
//!
//! All keys of a model begin with the same text, such as `{User}:`. The part in braces is the hash
//! tag, which keeps the keys on one node of a cluster. A namespace precedes it: `staging:{User}:`.
//! A value that a user stored is always the last part of a key, so none of its bytes can be taken
//! for structure. Names of columns contain no `:`.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `r:<id>` | hash | a record: a field for each column that is not null, and its row number in `#` |
//! | `l:<column>:<value>` | set | posting list: the rows that have the value, while they are few; for a column of lists, the rows whose list contains it |
//! | `i:<column>:<segment>:<value>` | set | container of a divided value: its rows in the segment, while they are few |
//! | `b:<column>:<segment>:<value>` | bitmap | the same container when the rows are many |
//! | `l:<column>`, `i:<column>:<segment>`, `b:<column>:<segment>` | | the same of null |
//! | `n:<column>` | hash | the divided values: `:<value>`, or the empty text for null → number of containers |
//! | `s:<column>` | sorted set | rows in the order of a `sort` column |
//! | `c:<column>:<row / 8,184>` | string | the scores of a `sort` column of numbers or times, by row. First the zone of the part (the least and the greatest score, between which all are) and, if the part is the first of its segment, that of the segment; then one score for each row. Each is a double of 8 bytes, the lowest first; the score 0 is stored as -0, and null as eight zero bytes |
//! | `v:<column>` | sorted set | the values of a `sort` column of few values: score = ordinal |
//! | `u:<column>` | hash | the values of a `unique` column: value → row |
//! | `live:<segment>` | bitmap | rows in use |
//! | `e:<row / 65,472>` | string | row directory of ids of one width (UUIDs, integers of 16 to 64 bits): one entry after the other |
//! | `d:<row / 128>` | hash | row directory of other ids: row % 128 → id |
//! | `free` | sorted set | segments with freed rows: score = number of these rows |
//! | `ttl` | sorted set | rows of the records that expire: score = deadline in milliseconds |
//! | `x:<row / 128>` | hash | what is needed to remove such a record after its hash is gone: row % 128 → MessagePack of the values of the indexed columns by name, and the id by the empty name |
//! | `meta` | hash | see below |
//! | `t:<n>` | bitmap | intermediate results, only while a script runs |
//!
//! The fields of `meta`:
//!
//! | field | holds |
//! | --- | --- |
//! | `schema` | fingerprint of the stored schema: of `columns`, and of `dropping` and `building` if there are any |
//! | `columns` | what indexes depend on: [`ModelSchema::description`] |
//! | `types` | all columns that any program has stored, and their types: [`ModelSchema::types`]; absent if the records are older than this field, until a program registers |
//! | `defaults` | for indexed columns: what a new record gets that is saved by a program without the column, as lines of its name, the ordinal of the value, and the value in hexadecimal digits, separated by `:`; absent if no column has any |
//! | `programs` | registrations of the programs that may read and write, separated by spaces: [`ModelSchema::registration`] |
//! | a registration | `1`: the program knows the stored schema, and works with it |
//! | `rows`, `count` | number of rows handed out, number of records |
//! | `due` | the deadline of the record that expires next, or an earlier time; absent if no record expires |
//! | `seq:<column>` | the last number assigned |
//! | `dropping`, `building` | parts of indexes whose keys are being deleted, and those that lack rows, as `:column/part:column/part:` (the parts: see [`Part`](crate::model::index::Part)). `#` in `building` stands for the row directory |
//! | `built` | number of rows of which `building` is done |
//!
//! The keys of an index depend on the row, which only the server knows during a write. So the
//! scripts build keys as well, from the same [`PARTS`], which are substituted into them.

use crate::model::schema::ModelSchema;
use crate::value::parse;

const RECORD: &str = "r:";
const LIST: &str = "l:";
const SET: &str = "i:";
const BITMAP: &str = "b:";
const DIVIDED: &str = "n:";
const SORTED: &str = "s:";
const SCORES: &str = "c:";
const VALUES: &str = "v:";
const UNIQUE: &str = "u:";
const LIVE: &str = "live:";
const ENTRIES: &str = "e:";
const DIRECTORY: &str = "d:";
const FREE: &str = "free";
const TTL: &str = "ttl";
const EXPIRING: &str = "x:";
const META: &str = "meta";
const TEMPORARY: &str = "t:";

/// The parts of keys that follow the prefix of a model, by their names in the scripts.
pub(crate) const PARTS: [(&str, &str); 17] = [
    ("KEY_RECORD", RECORD),
    ("KEY_LIST", LIST),
    ("KEY_SET", SET),
    ("KEY_BITMAP", BITMAP),
    ("KEY_DIVIDED", DIVIDED),
    ("KEY_SORTED", SORTED),
    ("KEY_SCORES", SCORES),
    ("KEY_VALUES", VALUES),
    ("KEY_UNIQUE", UNIQUE),
    ("KEY_LIVE", LIVE),
    ("KEY_ENTRIES", ENTRIES),
    ("KEY_DIRECTORY", DIRECTORY),
    ("KEY_FREE", FREE),
    ("KEY_TTL", TTL),
    ("KEY_EXPIRING", EXPIRING),
    ("KEY_META", META),
    ("KEY_TEMPORARY", TEMPORARY),
];

/// A parsed key of a model. Names of columns and numbers are as they stand in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// The hash of a record, with the text of the id.
    Record(&'a [u8]),
    /// A posting list. Its value is `None` for null.
    List {
        column: &'a [u8],
        value: Option<&'a [u8]>,
    },
    /// A container. Its value is `None` for null.
    Container {
        bitmap: bool,
        column: &'a [u8],
        segment: u64,
        value: Option<&'a [u8]>,
    },
    Divided(&'a [u8]),
    Sorted(&'a [u8]),
    /// The scores of a part.
    Scores {
        column: &'a [u8],
        part: u64,
    },
    Values(&'a [u8]),
    Unique(&'a [u8]),
    Live(u64),
    Entries(u64),
    Directory(u64),
    Free,
    Ttl,
    Expiring(u64),
    Meta,
    Temporary,
}

/// The key of the same model that never exists: see [`Keys::temporary`]. `None` if the key is that
/// one, or no key of a model.
pub(crate) fn guard(key: &[u8]) -> Option<Vec<u8>> {
    let prefix = key.windows(2).position(|bytes| bytes == b"}:")? + 2;
    let guard = [&key[..prefix], TEMPORARY.as_bytes(), b"0"].concat();
    (guard != key).then_some(guard)
}

/// The keys of one model in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// What all keys begin with.
    pub(crate) prefix: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str, schema: &ModelSchema) -> Self {
        // Every call builds a prefix, so this avoids the cost of `format!`.
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

    /// The key of the hash of the record with the id, given as text.
    pub(crate) fn record(&self, id: &[u8]) -> Vec<u8> {
        let mut key = self.records(id.len());
        key.extend_from_slice(id);
        key
    }

    /// The part of a record's key before the id, with room for an id of `room` bytes.
    pub(crate) fn records(&self, room: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + RECORD.len() + room);
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(RECORD.as_bytes());
        key
    }

    /// A string of the row directory: of 65,472 rows.
    pub(crate) fn entries(&self, part: u32) -> String {
        format!("{}{ENTRIES}{part}", self.prefix)
    }

    /// A hash of the row directory: of 128 rows.
    pub(crate) fn directory(&self, part: u32) -> String {
        format!("{}{DIRECTORY}{part}", self.prefix)
    }

    /// The sorted set of a column.
    pub(crate) fn sorted(&self, column: &str) -> String {
        format!("{}{SORTED}{column}", self.prefix)
    }

    /// The scores of a part of a column.
    pub(crate) fn scores(&self, column: &str, part: u32) -> String {
        format!("{}{SCORES}{column}:{part}", self.prefix)
    }

    /// The posting list of a value, or of null.
    pub(crate) fn list(&self, column: &str, value: Option<&[u8]>) -> Vec<u8> {
        let mut key = format!("{}{LIST}{column}", self.prefix).into_bytes();
        if let Some(value) = value {
            key.push(b':');
            key.extend_from_slice(value);
        }
        key
    }

    /// The divided values of a column.
    pub(crate) fn divided(&self, column: &str) -> String {
        format!("{}{DIVIDED}{column}", self.prefix)
    }

    /// The values of a `sort` column of few values.
    pub(crate) fn values(&self, column: &str) -> String {
        format!("{}{VALUES}{column}", self.prefix)
    }

    /// The rows of the records that expire.
    pub(crate) fn ttl(&self) -> String {
        format!("{}{TTL}", self.prefix)
    }

    /// The key that scripts of queries are called on, and that all other scripts declare besides
    /// their own. It never exists. Users who may write no other key may write this one.
    pub(crate) fn temporary(&self) -> String {
        format!("{}{TEMPORARY}0", self.prefix)
    }

    /// The model's own hash.
    pub(crate) fn meta(&self) -> String {
        format!("{}{META}", self.prefix)
    }

    /// The key of the bitmap that replaces this set: it has the same column, segment and value.
    pub(crate) fn bitmap_of(&self, set: &[u8]) -> Vec<u8> {
        let rest = set.get(self.prefix.len() + SET.len()..).unwrap_or_default();
        [self.prefix.as_bytes(), BITMAP.as_bytes(), rest].concat()
    }

    /// Parses a key; `None` if it is not a key of the model.
    pub(crate) fn parse<'a>(&self, key: &'a [u8]) -> Option<Key<'a>> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let after = |part: &str| rest.strip_prefix(part.as_bytes());
        // A name of a column has no `:`.
        let column = |part: &str| after(part).filter(|name| !name.contains(&b':'));
        let number = |text: &[u8]| parse(text).filter(|_| text.iter().all(u8::is_ascii_digit));
        if let Some(id) = after(RECORD) {
            return Some(Key::Record(id));
        }
        if let Some(rest) = after(LIST) {
            let mut parts = rest.splitn(2, |byte| *byte == b':');
            return Some(Key::List { column: parts.next()?, value: parts.next() });
        }
        for (part, bitmap) in [(SET, false), (BITMAP, true)] {
            let Some(rest) = after(part) else { continue };
            let mut parts = rest.splitn(3, |byte| *byte == b':');
            let (column, segment) = (parts.next()?, number(parts.next()?)?);
            return Some(Key::Container { bitmap, column, segment, value: parts.next() });
        }
        if let Some(rest) = after(SCORES) {
            let mut parts = rest.splitn(2, |byte| *byte == b':');
            return Some(Key::Scores { column: parts.next()?, part: number(parts.next()?)? });
        }
        let of_column = [
            (DIVIDED, Key::Divided as fn(_) -> _),
            (SORTED, Key::Sorted),
            (VALUES, Key::Values),
            (UNIQUE, Key::Unique),
        ];
        if let Some(key) = of_column.into_iter().find_map(|(part, key)| column(part).map(key)) {
            return Some(key);
        }
        let numbered = [
            (LIVE, Key::Live as fn(_) -> _),
            (ENTRIES, Key::Entries),
            (DIRECTORY, Key::Directory),
            (EXPIRING, Key::Expiring),
        ];
        if let Some(key) = numbered.into_iter().find_map(|(part, key)| after(part).and_then(number).map(key)) {
            return Some(key);
        }
        let single = [(FREE, Key::Free), (TTL, Key::Ttl), (META, Key::Meta)];
        if let Some((_, key)) = single.into_iter().find(|(part, _)| rest == part.as_bytes()) {
            return Some(key);
        }
        column(TEMPORARY).map(|_| Key::Temporary)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys};
    use crate::model::schema::{ColumnSchema, ModelSchema};

    #[test]
    fn keys_are_what_they_always_were() {
        let schema = ModelSchema::new("User", vec![ColumnSchema::new::<String>("id").key::<String>()]);
        let plain = Keys::new("", &schema);
        assert_eq!(plain.record(b"a:{b}\0\xFF"), b"{User}:r:a:{b}\0\xFF");
        assert_eq!(plain.meta(), "{User}:meta");
        assert_eq!(plain.entries(7), "{User}:e:7");
        assert_eq!(plain.directory(7), "{User}:d:7");
        assert_eq!(plain.sorted("age"), "{User}:s:age");
        assert_eq!(plain.scores("age", 7), "{User}:c:age:7");
        assert_eq!(plain.values("age"), "{User}:v:age");
        assert_eq!(plain.divided("age"), "{User}:n:age");
        assert_eq!(plain.ttl(), "{User}:ttl");
        assert_eq!(plain.temporary(), "{User}:t:0");
        let staging = Keys::new("staging", &schema);
        assert_eq!(staging.record(b""), b"staging:{User}:r:");
    }

    #[test]
    fn what_is_built_is_parsed() {
        let schema = ModelSchema::new("User", vec![ColumnSchema::new::<String>("id").key::<String>()]);
        let keys = Keys::new("staging", &schema);
        let parsed = |key: &[u8]| keys.parse(key).map(|key| format!("{key:?}"));
        let is = |key: &[u8], what: Key<'_>| assert_eq!(parsed(key), Some(format!("{what:?}")));
        is(&keys.record(b"a:{b}"), Key::Record(b"a:{b}"));
        is(keys.meta().as_bytes(), Key::Meta);
        is(keys.entries(7).as_bytes(), Key::Entries(7));
        is(keys.directory(7).as_bytes(), Key::Directory(7));
        is(keys.sorted("age").as_bytes(), Key::Sorted(b"age"));
        is(keys.scores("age", 7).as_bytes(), Key::Scores { column: b"age", part: 7 });
        is(keys.values("age").as_bytes(), Key::Values(b"age"));
        is(keys.divided("age").as_bytes(), Key::Divided(b"age"));
        assert_eq!(keys.list("age", Some(b"4:5")), b"staging:{User}:l:age:4:5");
        assert_eq!(keys.list("age", None), b"staging:{User}:l:age");
        is(b"staging:{User}:l:age", Key::List { column: b"age", value: None });
        is(b"staging:{User}:l:age:4:5", Key::List { column: b"age", value: Some(b"4:5") });
        is(b"staging:{User}:u:age", Key::Unique(b"age"));
        is(keys.ttl().as_bytes(), Key::Ttl);
        is(keys.temporary().as_bytes(), Key::Temporary);
        let null = Key::Container { bitmap: false, column: b"age", segment: 3, value: None };
        is(b"staging:{User}:i:age:3", null);
        let value = Key::Container { bitmap: true, column: b"age", segment: 3, value: Some(b"4:5") };
        is(b"staging:{User}:b:age:3:4:5", value);
        assert_eq!(keys.bitmap_of(b"staging:{User}:i:age:3:4:5"), b"staging:{User}:b:age:3:4:5");
        for strange in ["", "i:age", "i:age:x", "i:age:-1", "s:a:b", "c:a", "c:a:b", "live:", "d:x", "metas", "y:1"] {
            assert_eq!(parsed(format!("staging:{{User}}:{strange}").as_bytes()), None, "{strange}");
        }
        assert_eq!(parsed(b"{User}:meta"), None);
    }
}
