//! The schema of a model: its name, its columns and what each of them can do. See
//! [`RedisModel::schema`](crate::RedisModel::schema).
//!
//! The derive generates the calls that build a [`ModelSchema`], once per process and model.
//! Everything behind the typed surface works from the schema, so that the core is compiled once and
//! not once per model.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::model::description::{self, Line};
use crate::model::id;
use crate::model::index::{self, Part, Parts};
use crate::model::stored::{StoredDefault, StoredSchema, default_of, defaults};
use crate::text::Excerpt;
use crate::value::{
    AutoIncrementValue, ColumnType, ColumnValue, IndexValue, Indexable, IntegerValue, KeyValue, Kind, SortKey,
    SortValue, TimeUnit, TimeValue, ValueError, VersionValue, list, parse,
};

/// The schema of a model, built once by generated code.
#[derive(Debug)]
pub struct ModelSchema {
    name: &'static str,
    columns: Vec<ColumnSchema>,
    /// Positions of all columns, except the foreign ones.
    pub(crate) all: Vec<usize>,
    /// Positions of the columns whose indexes writes maintain, in declared order.
    pub(crate) indexed: Vec<usize>,
    /// Number of the foreign columns: other programs have them, and their indexes are maintained.
    /// They come last among the columns.
    pub(crate) foreign: usize,
    /// Positions of the columns that are fields of the record's hash, in declared order.
    pub(crate) stored: Vec<usize>,
    /// Positions of the columns that Redis fills.
    pub(crate) automatic: Vec<usize>,
    /// Positions of the columns that make up the id.
    pub(crate) key: Vec<usize>,
    /// The part of the schema that the stored indexes depend on: the layout, then a line for each
    /// column that is part of the key or has an index. See [`ColumnSchema::description`].
    pub(crate) description: String,
    /// Stands for the stored schema that this one works with: see [`StoredSchema::state`]. A call
    /// with another one is refused instead of answered wrongly.
    pub(crate) fingerprint: String,
    /// All columns and their types, a line each, sorted: see [`description`].
    pub(crate) types: String,
    /// The text by which the scripts know this program and what it maintains: the fingerprint, `:`,
    /// and the fingerprint of `types`. If `meta` has a field of this name, this program may read and
    /// write. So a script has nothing to compare for a registered program.
    pub(crate) registration: String,
    /// Whether the row directory is being built. Then no query can be answered.
    pub(crate) directory_lacks_rows: bool,
    /// Length of the names of all stored columns, in bytes.
    pub(crate) names_length: usize,
    /// Time to live of a new record in milliseconds, and whether each write restarts it.
    pub(crate) ttl: Option<(u64, bool)>,
    /// Position of the column that says when the record expires.
    pub(crate) expires_at: Option<usize>,
    /// Position of the column with the record's version.
    pub(crate) version: Option<usize>,
    /// Width of an entry of the row directory in bytes; 0 if the directory consists of hashes.
    pub(crate) id_width: usize,
}

/// The version of the layout of keys and values. Increase it when either changes.
pub(crate) const LAYOUT: &str = "layout 3";

impl ModelSchema {
    /// Builds the schema of the model `name` with its columns in declared order.
    #[doc(hidden)]
    pub fn new(name: &'static str, mut columns: Vec<ColumnSchema>) -> Self {
        for column in &mut columns {
            column.maintain(column.line().parts(), column.kind.code());
        }
        let mut description = String::from(LAYOUT);
        for column in columns.iter().filter(|column| column.key || column.is_indexed()) {
            description.push_str(&format!("\n{}", column.described()));
        }
        let fingerprint = fingerprint(&description);
        Self::of(name, columns, 0, description, fingerprint)
    }

    /// Builds a schema whose last columns are foreign.
    fn of(
        name: &'static str,
        columns: Vec<ColumnSchema>,
        foreign: usize,
        description: String,
        fingerprint: String,
    ) -> Self {
        let own = &columns[..columns.len() - foreign];
        let positions = |wanted: fn(&ColumnSchema) -> bool| {
            own.iter().enumerate().filter(|(_, column)| wanted(column)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let stored = positions(ColumnSchema::is_stored);
        let key = positions(|column| column.key);
        let lines: Vec<String> = own.iter().map(ColumnSchema::described).collect();
        let types = description::merged("", &description::types(&lines.join("\n")));
        Self {
            name,
            all: positions(|_| true),
            indexed: (0..columns.len()).filter(|&at| columns[at].is_maintained()).collect(),
            foreign,
            automatic: positions(|column| column.automatic.is_some()),
            registration: format!("{fingerprint}:{}", self::fingerprint(&types)),
            description,
            fingerprint,
            types,
            directory_lacks_rows: false,
            names_length: stored.iter().map(|&at| columns[at].name.len()).sum(),
            ttl: None,
            expires_at: own.iter().position(|column| column.expires_at),
            version: own.iter().position(|column| column.automatic == Some(Automatic::Version)),
            id_width: match key[..] {
                [only] => id::width(columns[only].kind, columns[only].type_name),
                _ => 0,
            },
            stored,
            key,
            columns,
        }
    }

    /// This program's schema beside a stored one that it works with: writes maintain all stored
    /// indexes, and queries use those of this program that are complete. With `all`, the columns
    /// have all stored indexes, as a check needs. It has all columns at the same positions as this
    /// one, and then the foreign ones.
    pub(crate) fn beside(&self, stored: &StoredSchema, all: bool) -> Self {
        let mut columns = self.columns.clone();
        for column in &mut columns {
            let line = description::line(&stored.columns, column.name).unwrap_or(column.line().without_index());
            let complete = stored.complete(&line);
            let (index, sort, unique) = (column.index, column.sort, column.unique);
            column.index = (index || all && line.index) && complete.has(Part::Lists);
            let order = [Part::Sorted, Part::Ordinals].into_iter().any(|part| complete.has(part));
            column.sort = (sort || all && line.sort) && order;
            column.unique = (unique || all && line.unique) && complete.has(Part::Owners);
            if all && column.kind.code() != line.kind {
                // The index of another type, which takes the values of this one.
                column.kind = Kind::of(line.kind);
            }
            column.refuses_null = column.nullable && default_of(&stored.defaults, column.name).is_some();
            column.maintain(stored.maintained(&line), line.kind);
        }
        let foreign = |line: &Line<'_>| columns.iter().all(|column| column.name != line.name);
        let foreign: Vec<ColumnSchema> =
            stored.lines().filter(foreign).map(|line| ColumnSchema::foreign(&line, stored, all)).collect();
        let count = foreign.len();
        columns.extend(foreign);
        Self {
            ttl: self.ttl,
            directory_lacks_rows: stored.building.directory,
            ..Self::of(self.name, columns, count, stored.columns.clone(), stored.fingerprint.clone())
        }
    }

    /// This program's schema beside a stored one, reduced to the columns of few values that have an
    /// order. It is kept for good, as a migration needs it once.
    pub(crate) fn ordered(&self, stored: &StoredSchema) -> &'static Self {
        let mut schema = self.beside(stored, true);
        let columns = &schema.columns;
        schema.indexed.retain(|&at| columns[at].has_values());
        Box::leak(Box::new(schema))
    }

    /// The number of foreign columns whose indexes are maintained now. They come last among
    /// `indexed`.
    pub(crate) fn foreign_indexed(&self) -> usize {
        self.foreign().iter().filter(|column| column.is_maintained()).count()
    }

    /// The foreign columns.
    pub(crate) fn foreign(&self) -> &[ColumnSchema] {
        &self.columns[self.columns.len() - self.foreign..]
    }

    /// Gives each new record this time to live; with `renew`, each save and patch restarts it.
    #[doc(hidden)]
    #[must_use]
    pub fn ttl(self, milliseconds: u64, renew: bool) -> Self {
        Self { ttl: Some((milliseconds, renew)), ..self }
    }

    /// Says what to do about a difference. Two structs that share a name are another reason of it.
    pub(crate) fn advice(&self) -> String {
        format!(
            "If this program is the newer one, call `{0}::migrate`, otherwise update this program. If two structs share the \
             name `{0}`, give one of them another name by `#[model(name = \"..\")]`, or a namespace of its own",
            self.name
        )
    }

    /// The defaults of indexed columns, as `meta` holds them: see [`StoredDefault`].
    pub(crate) fn stored_defaults(&self) -> String {
        let default = |&at: &usize| {
            let column = &self.columns[at];
            let stored = column.default?()?;
            Some(StoredDefault::line(column.name, column.ordinal_of(&stored).unwrap_or_default(), &stored))
        };
        self.indexed.iter().filter_map(default).collect()
    }

    /// Stored defaults, in which that of this column has the ordinal that it has in this program.
    pub(crate) fn with_ordinal(&self, stored: &str, name: &str) -> String {
        let line = |default: StoredDefault<'_>| {
            let stored = default.stored();
            let column = self.columns.iter().find(|column| column.name == name && default.name == name);
            let ordinal = column.map_or(default.ordinal, |column| column.ordinal_of(&stored).unwrap_or(u16::MAX));
            StoredDefault::line(default.name, ordinal, &stored)
        };
        defaults(stored).map(line).collect()
    }

    /// The line of this program's column: that of the description, or else that of the types.
    pub(crate) fn line_of(&self, name: &str) -> Option<Line<'_>> {
        description::line(&self.description, name).or_else(|| description::line(&self.types, name))
    }

    /// The names in the order in which the columns are declared. Those of other columns come last.
    pub(crate) fn in_order(&self, mut names: Vec<&str>) -> Vec<String> {
        names.sort_by_key(|name| self.columns.iter().position(|column| column.name == *name).unwrap_or(usize::MAX));
        names.into_iter().map(str::to_owned).collect()
    }

    /// The model's name, the first part of all its keys.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The columns in declared order, without those marked `skip`.
    pub fn columns(&self) -> &[ColumnSchema] {
        &self.columns
    }

    /// The position of the column of this name, and the column. It is to be one of those that are
    /// wanted, which is what they are to have by their attributes.
    pub(crate) fn named(
        &self,
        name: &str,
        (verb, attributes): (&str, &str),
        is_wanted: impl Fn(&ColumnSchema) -> bool,
    ) -> Result<(usize, &ColumnSchema)> {
        let named = self.columns.iter().enumerate().find(|(_, column)| column.name == name);
        if let Some((at, column)) = named
            && is_wanted(column)
        {
            return Ok((at, column));
        }
        let wrong = match named {
            Some(_) => format!("{name} has no {attributes}"),
            None => format!("there is no column {}", Excerpt(name.as_bytes())),
        };
        let names: Vec<&str> = self.columns.iter().filter(|column| is_wanted(column)).map(ColumnSchema::name).collect();
        let names = match names.as_slice() {
            [] => format!("No column has {attributes}"),
            names => format!("{verb} one of {}", names.join(", ")),
        };
        Err(Error::InvalidQuery { model: self.name, reason: format!("{wrong}. {names}") })
    }

    pub(crate) fn has_automatic_key(&self) -> bool {
        self.key.iter().any(|&at| self.columns[at].automatic.is_some())
    }
}

/// A short hash of a text.
pub(crate) fn fingerprint(description: &str) -> String {
    format!("{:016x}", fnv(description.as_bytes()))
}

/// FNV-1a in 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What Redis assigns to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Automatic {
    /// The next number, at the first save.
    Increment,
    /// A number that each write increases by 1.
    Version,
    /// The time of the first save.
    CreatedAt,
    /// The time of the last write.
    UpdatedAt,
}

/// Makes the stored form of a default.
type Default = fn() -> Option<Vec<u8>>;

/// The default for records that were stored before Redis filled the column: nothing is counted yet,
/// and no time is known.
const ZERO: Default = || Some(b"0".to_vec());

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
    unique: bool,
    pub(crate) automatic: Option<Automatic>,
    expires_at: bool,
    /// The greatest number that Redis may assign, or "" if Redis can't count beyond the type.
    pub(crate) greatest: &'static str,
    /// Computes the next version from a version; `None` at the end of the type.
    next: fn(&[u8]) -> Option<Vec<u8>>,
    /// The least and the greatest value of a `version`, else empty.
    pub(crate) bounds: (&'static str, &'static str),
    /// The unit of the column's times.
    pub(crate) unit: TimeUnit,
    /// Makes the stored form of the value that a record without the column has, unless that is
    /// null.
    pub(crate) default: Option<Default>,
    ordinal: fn(&[u8]) -> Option<u16>,
    read: fn(&[u8]) -> Result<(), ValueError>,
    /// Makes the form to compare with of a text, if the column has an index.
    compared: fn(&[u8]) -> Result<Vec<u8>, ValueError>,
    /// The parts of its index that writes maintain.
    pub(crate) parts: Parts,
    /// The index spec with the ordinal 0.
    spec: String,
    /// Of a foreign column: what a record has that is saved without it, and its ordinal.
    pub(crate) foreign_default: Option<(Vec<u8>, u16)>,
    /// Whether another program has the column with a default and an index, where null is no value.
    refuses_null: bool,
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
            unique: false,
            automatic: None,
            expires_at: false,
            greatest: "",
            next: |_| None,
            bounds: ("", ""),
            unit: TimeUnit::Nanoseconds,
            default: None,
            ordinal: |stored| T::Value::decode(stored).ok().map(|value| value.ordinal()),
            read: |stored| T::Value::decode(stored).map(drop),
            compared: list::stored_form::<T::Value>,
            parts: Parts::NONE,
            spec: String::new(),
            foreign_default: None,
            refuses_null: false,
        }
    }

    /// A column that only other programs have.
    fn foreign(line: &Line<'_>, stored: &StoredSchema, all: bool) -> Self {
        let complete = stored.complete(line);
        let order = complete.has(Part::Sorted) || complete.has(Part::Ordinals);
        let mut column = Self {
            // A program meets few stored schemas, and each of them is kept for good.
            name: line.name.to_owned().leak(),
            type_name: line.type_name.to_owned().leak(),
            kind: Kind::of(line.kind),
            nullable: line.null,
            index: all && line.index && complete.has(Part::Lists),
            sort: all && line.sort && order,
            unique: all && line.unique && complete.has(Part::Owners),
            foreign_default: default_of(&stored.defaults, line.name).map(|default| (default.stored(), default.ordinal)),
            ordinal: |_| None,
            read: |_| Ok(()),
            ..Self::new::<Vec<u8>>("")
        };
        column.maintain(stored.maintained(line), line.kind);
        if column.parts.has(Part::Ordinals) {
            // A value whose ordinal this program does not know comes after all others.
            column.spec = format!("{}{}", &column.spec[..index::BEFORE_ORDINAL], u16::MAX);
        }
        column
    }

    /// Lets writes maintain these parts of the column's index, which has values of this kind.
    fn maintain(&mut self, parts: Parts, kind: char) {
        self.parts = parts;
        self.spec = parts.spec(kind);
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
        T::Value: Indexable,
    {
        Self { index: true, compared: list::stored_form::<<T::Value as Indexable>::Entry>, ..self }
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
        let greatest = <T as AutoIncrementValue>::GREATEST.unwrap_or_default();
        let automatic = Some(Automatic::Increment);
        // No record lacks its key.
        let default = if self.key { None } else { Some(ZERO) };
        Self { automatic, greatest, default, ..self }
    }

    /// Lets no two records have the same value.
    #[doc(hidden)]
    #[must_use]
    pub fn unique<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: IndexValue,
    {
        Self { unique: true, ..self }
    }

    /// Lets the column count the writes of its record.
    #[doc(hidden)]
    #[must_use]
    pub fn version<T: VersionValue>(self) -> Self {
        let next = |stored: &[u8]| {
            let next = parse::<i128>(stored)?.checked_add(1)?.to_string().into_bytes();
            T::decode(&next).is_ok().then_some(next)
        };
        let bounds = (T::LEAST, <T as IntegerValue>::GREATEST);
        Self { automatic: Some(Automatic::Version), next, bounds, default: Some(ZERO), ..self }
    }

    /// Lets the column hold the time of the first save.
    #[doc(hidden)]
    #[must_use]
    pub fn created_at<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: TimeValue,
    {
        self.time(Automatic::CreatedAt, T::Value::UNIT)
    }

    /// Lets the column hold the time of the last write.
    #[doc(hidden)]
    #[must_use]
    pub fn updated_at<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: TimeValue,
    {
        self.time(Automatic::UpdatedAt, T::Value::UNIT)
    }

    fn time(self, automatic: Automatic, unit: TimeUnit) -> Self {
        let default = if self.nullable { None } else { Some(ZERO) };
        Self { automatic: Some(automatic), unit, default, ..self }
    }

    /// Lets the column hold the time when the record expires.
    #[doc(hidden)]
    #[must_use]
    pub fn expires_at<T>(self) -> Self
    where
        T: ColumnType,
        T::Value: TimeValue,
    {
        Self { expires_at: true, unit: T::Value::UNIT, ..self }
    }

    /// Gives the column a value for stored records that lack it.
    #[doc(hidden)]
    #[must_use]
    pub fn or(self, default: Default) -> Self {
        Self { default: Some(default), ..self }
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

    /// Whether the column holds several values: it is a `Vec` or a `BTreeSet`.
    pub fn is_list(&self) -> bool {
        self.kind == Kind::List
    }

    /// Whether the column has `unique`.
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether the column is a field of the record's hash. A key column without an index is only
    /// part of the key of the hash.
    pub(crate) fn is_stored(&self) -> bool {
        !self.key || self.is_maintained()
    }

    /// The column's line in [`ModelSchema::description`].
    fn described(&self) -> String {
        let (name, type_name) = (self.name.replace('\n', " "), self.type_name.replace([':', '\n'], " "));
        Line { name: &name, type_name: &type_name, ..self.line() }.to_string()
    }

    /// The column as a description has it.
    fn line(&self) -> Line<'static> {
        Line {
            name: self.name,
            type_name: self.type_name,
            kind: self.kind.code(),
            null: self.nullable,
            key: self.key,
            index: self.index,
            sort: self.sort,
            unique: self.unique,
        }
    }

    /// The form to compare with of a text, which is a value or, for a list, an element.
    pub(crate) fn compared(&self, text: &[u8]) -> Result<Vec<u8>, ValueError> {
        let stored = (self.compared)(text)?;
        Kind::Bytes.check_indexed(&stored)?;
        Ok(stored)
    }

    /// The index spec, with the ordinal of the column's new value: see `scripts/write/index.lua`.
    pub(crate) fn index_spec(&self, ordinal: u16) -> Cow<'_, str> {
        // Most values have no ordinal, and a save needs an index spec for each indexed column. So
        // this avoids an allocation.
        if ordinal == 0 {
            Cow::Borrowed(&self.spec)
        } else {
            Cow::Owned(format!("{}{ordinal}", &self.spec[..index::BEFORE_ORDINAL]))
        }
    }

    /// The version after this one, if the column's type has one.
    pub(crate) fn next(&self, version: Option<&[u8]>) -> Option<Vec<u8>> {
        (self.next)(version?)
    }

    /// The ordinal of a stored value, if it can be read.
    pub(crate) fn ordinal_of(&self, stored: &[u8]) -> Option<u16> {
        (self.ordinal)(stored)
    }

    /// Refuses a stored value that the column's type can't read.
    pub(crate) fn try_read(&self, stored: &[u8]) -> Result<(), ValueError> {
        (self.read)(stored)?;
        // A user-defined type may accept numbers that the scripts do not.
        let digits = stored.strip_prefix(b"-").unwrap_or(stored);
        let is_number = match self.kind {
            Kind::Integer | Kind::Nanoseconds => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
            Kind::Float => parse::<f64>(stored).is_some(),
            _ => true,
        };
        if is_number || !self.is_indexed() { Ok(()) } else { Err(ValueError::not("a number", stored)) }
    }

    /// Refuses a stored value that is too long for the column's index, if it has one.
    pub(crate) fn try_index(&self, stored: &[u8]) -> Result<(), ValueError> {
        if self.is_maintained() { self.kind.check_indexed(stored) } else { Ok(()) }
    }

    /// Refuses null where another program has a default instead.
    pub(crate) fn try_null(&self) -> Result<(), ValueError> {
        if !self.refuses_null {
            return Ok(());
        }
        Err(ValueError::new(
            "null is no value any more: another version of this program has an index of the column, and a default for \
             records without it. Save a value. If no such program is left, call `drop_unused_indexes` in this one",
        ))
    }

    /// The type in words.
    pub(crate) fn type_text(&self) -> String {
        self.line().type_text().into_owned()
    }

    /// The sort key of a stored value; `None` if the value is not of the column's type.
    pub(crate) fn sort_key(&self, stored: &[u8]) -> Option<SortKey> {
        if self.kind == Kind::Ordinal {
            let score = self.ordinal_of(stored)?.to_string().into_bytes();
            return Some(SortKey { score, tail: Vec::new() });
        }
        Some(SortKey::of(self.kind, stored))
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index || self.sort || self.unique
    }

    /// Whether writes maintain an index of the column, which may be one of other programs.
    pub(crate) fn is_maintained(&self) -> bool {
        !self.parts.is_empty()
    }

    /// A column of few values is ordered by its containers and needs no sorted set.
    pub(crate) fn has_sorted_set(&self) -> bool {
        self.sort && self.kind != Kind::Ordinal
    }

    /// Whether the column has posting lists and containers. One that only has a sorted set has
    /// those of null.
    pub(crate) fn has_lists(&self) -> bool {
        self.index || self.sort
    }

    /// Whether the column's values are kept in the order of their ordinals.
    pub(crate) fn has_values(&self) -> bool {
        self.sort && self.kind == Kind::Ordinal
    }
}
