//! What a model looks like: its name, its columns and what each of them can do.
//!
//! The derive writes the calls that build a [`ModelSchema`], once per process and model; everything behind the typed
//! surface works from it, so that the core is compiled once and not once per model.

use crate::value::{AutoIncrementValue, ColumnType, ColumnValue, IndexValue, KeyValue, Kind, SortValue};

/// The schema of a model, built once by the derive.
#[derive(Debug)]
pub struct ModelSchema {
    name: &'static str,
    columns: Vec<ColumnSchema>,
    /// Positions of all columns.
    pub(crate) all: Vec<usize>,
    /// Positions of the columns that have containers or a sorted set, in declared order.
    pub(crate) indexed: Vec<usize>,
    /// Positions of the columns that are fields of the record's hash, in declared order.
    pub(crate) stored: Vec<usize>,
    /// Positions of the columns that Redis fills.
    pub(crate) automatic: Vec<usize>,
    /// Positions of the columns that make up the id.
    pub(crate) key: Vec<usize>,
    /// The part of the schema that the stored indexes depend on, as text. It is compared on every call, so
    /// that a program with other indexes is refused instead of answered wrongly.
    pub(crate) fingerprint: String,
    /// Bytes of the names of the stored columns.
    pub(crate) names_length: usize,
    /// Width in bytes of a fixed-width entry of the row directory; 0 where the directory is made of hashes.
    pub(crate) id_width: usize,
}

/// The version of the layout of keys and values. A change of either changes it.
const LAYOUT: &str = "1";

impl ModelSchema {
    /// Builds the schema of the model `name` with its columns in declared order.
    #[doc(hidden)]
    pub fn new(name: &'static str, columns: Vec<ColumnSchema>) -> Self {
        let positions = |wanted: fn(&ColumnSchema) -> bool| {
            columns.iter().enumerate().filter(|(_, column)| wanted(column)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let all = positions(|_| true);
        let indexed = positions(ColumnSchema::is_indexed);
        let stored = positions(ColumnSchema::is_stored);
        let automatic = positions(|column| column.auto_increment);
        let key = positions(|column| column.key);
        let mut fingerprint = String::from(LAYOUT);
        for column in columns.iter().filter(|column| column.key || column.is_indexed()) {
            fingerprint.push(' ');
            fingerprint.push_str(column.name);
            fingerprint.push(':');
            fingerprint.push_str(column.type_name);
            for (set, word) in
                [(column.nullable, "?"), (column.key, " key"), (column.index, " index"), (column.sort, " sort")]
            {
                if set {
                    fingerprint.push_str(word.trim_start_matches(' '));
                    fingerprint.push(',');
                }
            }
        }
        let id_width = match key[..] {
            [only] => columns[only].kind.id_width(),
            _ => 0,
        };
        let names_length = stored.iter().map(|&at| columns[at].name.len()).sum();
        Self { name, names_length, columns, all, indexed, stored, automatic, key, fingerprint, id_width }
    }

    /// The model's name, the first part of all its keys.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The columns in declared order, without those marked `skip`.
    pub fn columns(&self) -> &[ColumnSchema] {
        &self.columns
    }

    pub(crate) fn has_automatic_key(&self) -> bool {
        self.key.iter().any(|&at| self.columns[at].auto_increment)
    }
}

/// The schema of one column.
#[derive(Debug, Clone)]
pub struct ColumnSchema {
    name: &'static str,
    type_name: &'static str,
    pub(crate) kind: Kind,
    nullable: bool,
    key: bool,
    index: bool,
    sort: bool,
    auto_increment: bool,
    /// The greatest number that can be assigned, or "" where Redis itself ends before it.
    pub(crate) greatest: &'static str,
    ordinal: fn(&[u8]) -> Option<u16>,
}

impl ColumnSchema {
    /// A plain column of type `T` with its stored name.
    #[doc(hidden)]
    pub fn new<T: ColumnType>(name: &'static str) -> Self {
        Self {
            name,
            type_name: <T::Value as ColumnValue>::TYPE,
            kind: <T::Value as ColumnValue>::KIND,
            nullable: T::NULLABLE,
            key: false,
            index: false,
            sort: false,
            auto_increment: false,
            greatest: "",
            ordinal: |stored| T::Value::decode(stored).ok().map(|value| value.ordinal()),
        }
    }

    /// Makes the column the primary key or a part of the composite key.
    #[doc(hidden)]
    #[must_use]
    pub fn key<T: KeyValue>(self) -> Self {
        Self { key: true, ..self }
    }

    /// Gives the column an index.
    #[doc(hidden)]
    #[must_use]
    pub fn index<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: IndexValue,
    {
        Self { index: true, ..self }
    }

    /// Gives the column an order.
    #[doc(hidden)]
    #[must_use]
    pub fn sort<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: SortValue,
    {
        Self { sort: true, ..self }
    }

    /// Lets Redis assign the column's value.
    #[doc(hidden)]
    #[must_use]
    pub fn auto_increment<T: AutoIncrementValue>(self) -> Self {
        Self { auto_increment: true, greatest: T::GREATEST, ..self }
    }

    /// The name of the column's field in the record's hash.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name of the column's type, as the stored schema has it.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Whether the column can be null: its type is an `Option`.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// Whether the column is the primary key or a part of the composite key.
    pub fn is_key(&self) -> bool {
        self.key
    }

    /// Whether the column has `index`.
    pub fn has_index(&self) -> bool {
        self.index
    }

    /// Whether the column has `sort`.
    pub fn has_sort(&self) -> bool {
        self.sort
    }

    /// Whether the column is a field of the record's hash. A key that nothing indexes is only in the name of the hash.
    pub(crate) fn is_stored(&self) -> bool {
        !self.key || self.is_indexed()
    }

    /// The ordinal of a stored value, if it can be read.
    pub(crate) fn ordinal_of(&self, stored: &[u8]) -> Option<u16> {
        (self.ordinal)(stored)
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index || self.sort
    }

    /// A column of few values is ordered by its containers and needs no sorted set.
    pub(crate) fn has_sorted_set(&self) -> bool {
        self.sort && self.kind != Kind::Few
    }
}
