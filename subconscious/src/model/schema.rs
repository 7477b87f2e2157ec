//! The schema of a model: its name, its columns and what each of them can do. See
//! [`RedisModel::schema`](crate::RedisModel::schema).
//!
//! The derive generates the calls that build a [`ModelSchema`], once per process and model.
//! Everything behind the typed surface works from the schema, so that the core is compiled once and
//! not once per model.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::model::description;
use crate::model::id;
use crate::model::index::{self, Index};
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
    /// Positions of all columns.
    pub(crate) all: Vec<usize>,
    /// Positions of the columns that have containers, a sorted set or unique values, in declared
    /// order.
    pub(crate) indexed: Vec<usize>,
    /// Positions of the columns that are fields of the record's hash, in declared order.
    pub(crate) stored: Vec<usize>,
    /// Positions of the columns that Redis fills.
    pub(crate) automatic: Vec<usize>,
    /// Positions of the columns that make up the id.
    pub(crate) key: Vec<usize>,
    /// The part of the schema that the stored indexes depend on: the layout, then a line for each
    /// column that is part of the key or has an index. See [`ColumnSchema::description`].
    pub(crate) description: String,
    /// Stands for the description. A program with another one is refused instead of answered
    /// wrongly.
    pub(crate) fingerprint: String,
    /// All columns and their types, a line each, sorted: see [`description`].
    pub(crate) types: String,
    /// The text by which the scripts know this program's schema: the fingerprint, `:`, and the
    /// fingerprint of `types`. If `meta` has a field of this name, this program may read and write:
    /// its indexes and column types are the stored ones. So a script has nothing to compare for a
    /// registered program.
    pub(crate) registration: String,
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
const LAYOUT: &str = "3";

impl ModelSchema {
    /// Builds the schema of the model `name` with its columns in declared order.
    #[doc(hidden)]
    pub fn new(name: &'static str, mut columns: Vec<ColumnSchema>) -> Self {
        for column in &mut columns {
            column.spec = column.spec();
        }
        let positions = |wanted: fn(&ColumnSchema) -> bool| {
            columns.iter().enumerate().filter(|(_, column)| wanted(column)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let all = positions(|_| true);
        let indexed = positions(ColumnSchema::is_indexed);
        let stored = positions(ColumnSchema::is_stored);
        let automatic = positions(|column| column.automatic.is_some());
        let expires_at = columns.iter().position(|column| column.expires_at);
        let version = columns.iter().position(|column| column.automatic == Some(Automatic::Version));
        let key = positions(|column| column.key);
        let mut description = format!("layout {LAYOUT}");
        for column in columns.iter().filter(|column| column.key || column.is_indexed()) {
            description.push('\n');
            description.push_str(&column.description());
        }
        let fingerprint = fingerprint(&description);
        let types = columns.iter().map(ColumnSchema::typed).collect::<Vec<_>>();
        let types = description::merged("", &types.join("\n"));
        let registration = format!("{fingerprint}:{}", self::fingerprint(&types));
        let id_width = match key[..] {
            [only] => id::width(columns[only].kind, columns[only].type_name),
            _ => 0,
        };
        let names_length = stored.iter().map(|&at| columns[at].name.len()).sum();
        Self {
            name,
            names_length,
            columns,
            all,
            indexed,
            stored,
            automatic,
            key,
            description,
            fingerprint,
            types,
            registration,
            ttl: None,
            expires_at,
            version,
            id_width,
        }
    }

    /// Gives each new record this time to live; with `renew`, each save and patch restarts it.
    #[doc(hidden)]
    #[must_use]
    pub fn ttl(self, milliseconds: u64, renew: bool) -> Self {
        Self { ttl: Some((milliseconds, renew)), ..self }
    }

    /// Says which columns are stored with another type, and what to do about it; `None` if all
    /// columns have the stored types, as far as these are known.
    pub(crate) fn conflict(&self, types: &str) -> Option<String> {
        let differences = self.type_differences(types);
        if differences.is_empty() {
            return None;
        }
        Some(format!("{}. {}", differences.join("; "), self.advice()))
    }

    fn type_differences(&self, types: &str) -> Vec<String> {
        let changed = description::changed(types, &self.types).into_iter();
        let difference = |(stored, ours): (description::Line<'_>, description::Line<'_>)| {
            format!("`{}` is stored as {}, and is {} in this program", ours.name, stored.type_text(), ours.type_text())
        };
        changed.map(difference).collect()
    }

    /// Says what to do about a difference. Two structs that share a name are another reason of it.
    fn advice(&self) -> String {
        format!(
            "If this program is the newer one, call `{0}::migrate`, otherwise update this program. If two structs share the \
             name `{0}`, give one of them another name by `#[model(name = \"..\")]`, or a namespace of its own",
            self.name
        )
    }

    /// How this schema differs from the stored one, and which call resolves that.
    pub(crate) fn difference(&self, stored: &str, types: &str) -> String {
        let lines = |description: &str| description.lines().map(str::to_owned).collect::<Vec<_>>();
        let (stored, ours) = (lines(stored), lines(&self.description));
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let find = |among: &[String], wanted: &str| among.iter().find(|line| name(line) == name(wanted)).cloned();
        if let (Some(stored), Some(ours)) = (stored.first(), ours.first())
            && stored != ours
        {
            return format!("the records have {stored}, this program has {ours}. {}", self.advice());
        }
        let mut differences = self.type_differences(types);
        for line in ours.iter().filter(|line| !stored.contains(line)) {
            match find(&stored, line) {
                Some(other) => differences.push(format!("this program has `{line}`, stored is `{other}`")),
                None => differences.push(format!("this program has `{line}`, which is not indexed")),
            }
        }
        for line in stored.iter().filter(|line| find(&ours, line).is_none()) {
            differences.push(format!("`{line}` is indexed, and this program does not have it"));
        }
        format!(
            "the stored indexes are those of another version of the model: {}. {}",
            differences.join("; "),
            self.advice()
        )
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

/// A short hash of a description.
fn fingerprint(description: &str) -> String {
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
    spec: String,
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
            spec: String::new(),
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
        !self.key || self.is_indexed()
    }

    /// The column's line in [`ModelSchema::types`].
    fn typed(&self) -> String {
        let name = self.name.replace('\n', " ");
        let mut typed = format!("{name}:{}:{}", self.type_name.replace([':', '\n'], " "), self.kind.code());
        for (set, word) in [(self.nullable, " null"), (self.key, " key")] {
            if set {
                typed.push_str(word);
            }
        }
        typed
    }

    /// The column's line in [`ModelSchema::description`]: its name, its type and the code of its
    /// kind, separated by `:`, then its abilities. A name contains no `:`.
    pub(crate) fn description(&self) -> String {
        let mut description =
            format!("{}:{}:{}", self.name, self.type_name.replace([':', '\n'], " "), self.kind.code());
        for (set, word) in [
            (self.nullable, " null"),
            (self.key, " key"),
            (self.index, " index"),
            (self.sort, " sort"),
            (self.unique, " unique"),
        ] {
            if set {
                description.push_str(word);
            }
        }
        description
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

    /// The index spec with the ordinal 0.
    fn spec(&self) -> String {
        let index = match (self.index, self.has_sorted_set()) {
            _ if self.has_values() => Index::Ordinals,
            (true, true) => Index::Both,
            (true, false) => Index::Containers,
            (false, true) => Index::Sorted,
            (false, false) => Index::None,
        };
        let unique = if self.unique { index::UNIQUE } else { index::NOT_UNIQUE };
        format!("{}{}{unique}0", index.code(), self.kind.code())
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
        if self.is_indexed() { self.kind.check_indexed(stored) } else { Ok(()) }
    }

    /// The type in words.
    pub(crate) fn type_text(&self) -> String {
        let typed = self.typed();
        description::lines(&typed).map(|line| line.type_text().into_owned()).collect()
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
