//! Check and repair: compares the indexes with the records, and repairs the indexes if they differ.
//!
//! This library never makes them differ. Other causes can: a program that writes the model's keys
//! by hand, a server that evicted keys, a backup that was restored in part. Each step is one script
//! call, which compares a few entries with their records as one step. So concurrent writes of other
//! clients are never mistaken for issues.

use std::collections::BTreeSet;
use std::fmt;

use redis::{Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::model::codec::RecordReader;
use crate::model::keys::Key;
use crate::model::schema::{ColumnSchema, ModelSchema};
use crate::model::target::Target;
use crate::scripts::{CHECK_COUNTS, CHECK_ENTRIES, CHECK_RECORDS, CHECK_ROWS, CHECK_VALUES, Script};
use crate::server::Db;
use crate::server::reply::{self, Answer, is_wrong_type};
use crate::text::{Excerpt, printable};
use crate::upkeep::scan::{self, Scan};
use crate::write::record;

/// The most issues of one kind that a report lists. Further ones are only counted.
const LISTED: usize = 100;
/// About how many index entries one call of check_rows.lua compares.
const ENTRIES: usize = 64;
/// Calls in one pipeline.
const CALLS: usize = 32;

/// What [`RedisModel::check`](crate::RedisModel::check) or
/// [`RedisModel::repair`](crate::RedisModel::repair) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The number of records whose index entries were looked up.
    pub records: u64,
    /// The number of index entries whose records were looked up.
    pub entries: u64,
    /// The issues, at most the first 100 of each [`Fault`].
    pub issues: Vec<Issue>,
    /// The number of all issues, including those that are not listed.
    pub found: u64,
    /// The number of issues that were repaired; 0 after a check.
    pub repaired: u64,
    /// Whether everything could be checked. That is impossible if a key of another type is in the
    /// place of `meta`, of the rows in use or of the row directory. A key of another type in the
    /// place of an index prevents a complete check, but not a repair.
    pub complete: bool,
}

impl CheckReport {
    /// Whether everything was checked and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.complete && self.found == 0
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, entries, found, repaired, .. } = self;
        write!(f, "{records} records and {entries} index entries: {found} issues, {repaired} of them repaired")?;
        if !self.complete {
            f.write_str("; not all could be gone through")?;
        }
        for issue in &self.issues {
            write!(f, "\n{issue}")?;
        }
        let more = self.found - self.issues.len() as u64;
        if more > 0 { write!(f, "\nand {more} more") } else { Ok(()) }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issue {
    /// What is wrong.
    pub fault: Fault,
    /// The key where the issue is, with bytes that are not ASCII escaped.
    pub key: String,
    /// The key of the record that the issue is about, if it is about one.
    pub record: Option<String>,
    /// Details of the issue: a value, a row, a type. May be empty.
    pub detail: String,
    /// Whether the issue was repaired.
    pub repaired: bool,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.fault)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if let Some(record) = &self.record {
            write!(f, " (of {record})")?;
        }
        f.write_str(if self.repaired { ", repaired" } else { "" })
    }
}

/// What can be wrong, and what a repair does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An index lacks an entry of a record. A repair adds it.
    MissingEntry,
    /// An index has an entry that does not belong to a record. A repair removes it.
    StaleEntry,
    /// A record has no row, so that no query finds it. A repair gives it one.
    RecordWithoutRow,
    /// A row has no record: its hash was deleted by hand or evicted. A repair frees the row.
    RowWithoutRecord,
    /// Two records have the same value of a unique column. A repair leaves that to you: change one
    /// of them.
    DuplicateValue,
    /// The stored expiry of a record differs from that of its hash. A repair takes over that of the
    /// hash.
    WrongExpiry,
    /// A stored number is wrong: of records, of rows, or the least or greatest value of a part of
    /// the model. A repair corrects it.
    WrongCount,
    /// The rows of one value are in two keys. A repair merges them.
    SplitContainer,
    /// A key belongs to an index that the model does not have. A repair deletes it.
    UnusedKey,
    /// A key holds a value of another type. If the key is in the place of an index, a repair
    /// deletes it and builds the index. A repair leaves records, `meta`, rows in use and the row
    /// directory to you: delete or rename the key.
    WrongKeyType,
    /// A record has a value that its column can't have, or lacks a column. A repair leaves that to
    /// you: save or delete the record.
    UnreadableRecord,
    /// A key is not one of a model. A repair leaves it alone.
    UnknownKey,
}

impl Fault {
    /// The fault that a script reports by this word in `report(..)`.
    pub(crate) fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"missing" => Fault::MissingEntry,
            b"stale" => Fault::StaleEntry,
            b"orphan" => Fault::RecordWithoutRow,
            b"lost" => Fault::RowWithoutRecord,
            b"duplicate" => Fault::DuplicateValue,
            b"expiry" => Fault::WrongExpiry,
            b"count" => Fault::WrongCount,
            b"twice" => Fault::SplitContainer,
            b"unused" => Fault::UnusedKey,
            b"type" => Fault::WrongKeyType,
            _ => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::MissingEntry => "an entry is missing",
            Fault::StaleEntry => "an entry is not that of a record",
            Fault::RecordWithoutRow => "the record has no row",
            Fault::RowWithoutRecord => "a row has no record",
            Fault::DuplicateValue => "two records have a value that is to be unique",
            Fault::WrongExpiry => "the time to live is not that of the record",
            Fault::WrongCount => "a number is wrong",
            Fault::SplitContainer => "the rows of a value are in two keys",
            Fault::UnusedKey => "the key is not used",
            Fault::WrongKeyType => "the key holds a value of another type",
            Fault::UnreadableRecord => "the record cannot be read",
            Fault::UnknownKey => "the key is not one of a model",
        })
    }
}

/// Checks a model, and repairs what it finds if `repair` is true. `read` tries to decode a record.
pub(crate) async fn check(
    db: &Db,
    target: Target,
    read: fn(&mut RecordReader<'_>) -> Result<()>,
    repair: bool,
) -> Result<CheckReport> {
    // Without a schema, there may be records all the same.
    let target = target.with_all_indexes(db, repair).await?;
    let mut walk = Walk { target, db, read, repair, report: CheckReport::default() };
    walk.all().await?;
    Ok(walk.report)
}

/// Adds to the orders of values those that posting lists and containers have. `schema` has these
/// orders, and the stored schema has the fingerprint.
pub(crate) async fn add_ordinals(db: &Db, target: &Target, schema: &'static ModelSchema) -> Result<()> {
    let target = target.with_schema(schema);
    let mut walk = Walk { target, db, read: |_| Ok(()), repair: true, report: CheckReport::default() };
    let mut values = BTreeSet::new();
    let mut scan = Scan::new(&walk.target);
    while let Some(keys) = scan.next(db).await? {
        for key in &keys {
            if let Some(Key::List { column, value } | Key::Container { column, value, .. }) =
                walk.target.keys.parse(key)
                && walk.number(column) > 0
            {
                values.insert((walk.number(column), value.map(<[u8]>::to_vec)));
            }
        }
    }
    walk.values(&mut values).await
}

/// A check of everything that a model has.
struct Walk<'a> {
    target: Target,
    db: &'a Db,
    read: fn(&mut RecordReader<'_>) -> Result<()>,
    repair: bool,
    report: CheckReport,
}

/// A key of an index, and what it holds: the arguments of check_entries.lua.
#[derive(Debug, Clone)]
struct Entries {
    key: Vec<u8>,
    what: &'static str,
    /// Position among the indexed columns, from 1; 0 for none.
    column: usize,
    /// The segment of a container, the part of scores, or the chunk of a hash.
    part: u64,
    value: Option<Vec<u8>>,
    cursor: Vec<u8>,
}

impl Walk<'_> {
    /// The order matters. A repair must not free a row while an index has an entry of the row. It
    /// must not give a unique value to a record while the index still gives it to a record that has
    /// lost it. Which values are divided must be right before entries are added.
    async fn all(&mut self) -> Result<()> {
        if !self.structure().await? {
            return Ok(());
        }
        self.report.complete = true;
        self.records().await?;
        let lost = if self.repair { self.rows(true, &[]).await? } else { Vec::new() };
        let mut values = self.indexes().await?;
        self.values(&mut values).await?;
        self.rows(false, &lost).await?;
        if self.repair {
            // The values that were added have no ordinals yet.
            self.values(&mut values).await?;
        }
        self.counts().await
    }

    fn call(&self, script: &Script) -> Cmd {
        let schema = self.target.schema;
        let mut command = script.call(self.target.keys.meta().as_bytes());
        command.arg(&self.target.keys.prefix).arg(&schema.fingerprint).arg(schema.id_width);
        command.arg(u8::from(self.repair)).arg(schema.indexed.len());
        self.target.push_indexes(&mut command);
        command
    }

    /// Makes calls of one script, and adds the issues that they found to the report. Returns the
    /// rest of each answer.
    async fn ask(&mut self, script: &Script, calls: Vec<Cmd>) -> Result<Vec<Vec<Value>>> {
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(CALLS) {
            let mut pipeline = Pipeline::with_capacity(calls.len());
            for call in calls {
                pipeline.add_command(call.clone());
            }
            for reply in script.run_many(self.db, &pipeline).await? {
                let reply = match reply {
                    // If the key of another type is in the place of an index, it was found before.
                    Err(error) if is_wrong_type(&error) => {
                        self.report.complete = false;
                        answers.push(Vec::new());
                        continue;
                    }
                    reply => reply?,
                };
                match Answer::of(reply) {
                    Answer::Refused(refusal) => return Err(self.target.refusal(None, refusal)),
                    Answer::Done(mut values) => {
                        let Some(Value::Array(found)) = values.pop() else { continue };
                        for one in found {
                            self.note(one)?;
                        }
                        answers.push(values);
                    }
                }
            }
        }
        Ok(answers)
    }

    fn note(&mut self, found: Value) -> Result<()> {
        let Value::Array(parts) = &found else { return Err(self.target.unexpected(&found)) };
        let parts: Vec<Vec<u8>> = parts.iter().cloned().map(reply::bytes).collect();
        let [word, key, record, detail, repaired] = &parts[..] else { return Err(self.target.unexpected(&found)) };
        let Some(fault) = Fault::of(word) else { return Err(self.target.unexpected(&found)) };
        let detail = if fault == Fault::DuplicateValue { Excerpt(detail).to_string() } else { printable(detail) };
        let record = Some(printable(record)).filter(|record| !record.is_empty());
        self.add(Issue { fault, key: printable(key), record, detail, repaired: repaired == b"1" });
        Ok(())
    }

    fn add(&mut self, issue: Issue) {
        self.report.found += 1;
        self.report.repaired += u64::from(issue.repaired);
        let listed = &self.report.issues;
        if listed.len() < LISTED || listed.iter().filter(|other| other.fault == issue.fault).count() < LISTED {
            self.report.issues.push(issue);
        }
    }

    /// Checks the types of the keys on which everything else depends. Returns `false` if a key has
    /// another type.
    async fn structure(&mut self) -> Result<bool> {
        let mut sound = true;
        let mut scan = Scan::new(&self.target);
        while let Some(keys) = scan.next(self.db).await? {
            let wanted = keys.iter().filter_map(|key| match self.target.keys.parse(key)? {
                Key::Meta => Some((key, "hash")),
                Key::Live(_) => Some((key, "string")),
                Key::Entries(_) if self.target.schema.id_width > 0 => Some((key, "string")),
                Key::Directory(_) if self.target.schema.id_width == 0 => Some((key, "hash")),
                _ => None,
            });
            let wanted: Vec<_> = wanted.collect();
            let mut pipeline = Pipeline::with_capacity(wanted.len());
            for (key, _) in &wanted {
                pipeline.add_command(redis::cmd("TYPE").arg(*key).clone());
            }
            if wanted.is_empty() {
                continue;
            }
            for ((key, wanted), found) in wanted.iter().zip(self.db.send_all(&pipeline).await?) {
                let found = reply::bytes(found?);
                if found != wanted.as_bytes() && found != b"none" {
                    sound = false;
                    let (fault, detail) = (Fault::WrongKeyType, printable(&found));
                    self.add(Issue { fault, key: printable(key), record: None, detail, repaired: false });
                }
            }
        }
        Ok(sound)
    }

    /// Reads every record, and finds those that have no row.
    async fn records(&mut self) -> Result<()> {
        let schema = self.target.schema;
        let mut scan = Scan::new(&self.target);
        while let Some(keys) = scan.next(self.db).await? {
            let is_record = |key: &&Vec<u8>| matches!(self.target.keys.parse(key), Some(Key::Record(_)));
            let keys: Vec<&Vec<u8>> = keys.iter().filter(is_record).collect();
            for keys in keys.chunks(16) {
                let mut command = self.call(&CHECK_RECORDS);
                command.arg(keys);
                self.ask(&CHECK_RECORDS, vec![command]).await?;
                let mut pipeline = Pipeline::with_capacity(keys.len());
                for key in keys {
                    pipeline.add_command(record::read_command(schema, key, &schema.stored));
                }
                for (key, reply) in keys.iter().zip(self.db.send_all(&pipeline).await?) {
                    self.read(key, reply)?;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, key: &[u8], reply: Result<Value, RedisError>) -> Result<()> {
        let Some(Key::Record(id)) = self.target.keys.parse(key) else { return Ok(()) };
        let fields = match reply {
            Ok(fields) => fields,
            // The key was found already.
            Err(error) if is_wrong_type(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let found = record::found(self.target.schema, key, id, fields);
        let detail = match found.and_then(|found| found.map_or(Ok(()), |mut found| (self.read)(&mut found))) {
            Ok(()) => return Ok(()),
            // A record without a row was found already.
            Err(Error::MissingColumn { column: "#", .. }) => return Ok(()),
            Err(Error::Corrupt { column, reason, .. }) => {
                column.map_or_else(|| reason.clone(), |column| format!("{column}: {reason}"))
            }
            Err(Error::MissingColumn { column, .. }) => format!("{column} is missing"),
            Err(error) => return Err(error),
        };
        self.add(Issue { fault: Fault::UnreadableRecord, key: printable(key), record: None, detail, repaired: false });
        Ok(())
    }

    /// Checks the rows. If `lost_only`, it finds only the rows without a record, and returns them.
    /// Otherwise it checks the index entries of all rows.
    async fn rows(&mut self, lost_only: bool, lost: &[u64]) -> Result<Vec<u64>> {
        let columns = self.target.schema.indexed.len();
        let step = if lost_only { 64 } else { (ENTRIES / (columns + 1)).max(1) } as u64;
        let (mut first, mut rows, mut found) = (0, 1, Vec::new());
        while first < rows {
            let mut calls = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                let mut command = self.call(&CHECK_ROWS);
                command.arg(first).arg(first + step - 1).arg(u8::from(lost_only));
                command.arg(
                    &lost[lost.partition_point(|row| *row < first)..lost.partition_point(|row| *row < first + step)],
                );
                calls.push(command);
                first += step;
                if first >= rows {
                    break;
                }
            }
            for answer in self.ask(&CHECK_ROWS, calls).await? {
                let mut answer = answer.into_iter();
                let (records, handed_out, lost) = (answer.next(), answer.next(), answer.next());
                if let (Some(Value::Int(records)), false) = (records, lost_only) {
                    self.report.records += records as u64;
                }
                if let Some(Value::Int(handed_out)) = handed_out {
                    rows = handed_out as u64;
                }
                if let Some(Value::Array(lost)) = lost {
                    found.extend(lost.into_iter().filter_map(|row| match row {
                        Value::Int(row) => Some(row as u64),
                        _ => None,
                    }));
                }
            }
        }
        Ok(found)
    }

    /// Checks the keys of indexes. Returns the values that have containers, and all values of the
    /// columns of few values, each with the number of its column.
    async fn indexes(&mut self) -> Result<BTreeSet<(usize, Option<Vec<u8>>)>> {
        let mut values = BTreeSet::new();
        let mut scan = Scan::new(&self.target);
        while let Some(keys) = scan.next(self.db).await? {
            let mut todo: Vec<Entries> = Vec::new();
            for key in keys {
                match self.entries_of(&key) {
                    Ok(Some(entries)) => {
                        let container = matches!(entries.what, "set" | "bitmap");
                        let counts = |column: &ColumnSchema| {
                            container && column.has_lists() || entries.what == "list" && column.has_values()
                        };
                        if self.column(entries.column).is_some_and(counts) {
                            values.insert((entries.column, entries.value.clone()));
                        }
                        todo.push(entries);
                    }
                    Ok(None) => {}
                    Err(()) => self.add(Issue {
                        fault: Fault::UnknownKey,
                        key: printable(&key),
                        record: None,
                        detail: String::new(),
                        repaired: false,
                    }),
                }
            }
            while !todo.is_empty() {
                todo = self.entries(todo).await?;
            }
        }
        Ok(values)
    }

    /// Checks some entries of each key. Returns what is left to check.
    async fn entries(&mut self, todo: Vec<Entries>) -> Result<Vec<Entries>> {
        let calls = todo.iter().map(|entries| {
            let Entries { key, what, column, part, value, cursor } = entries;
            let mut command = self.call(&CHECK_ENTRIES);
            command.arg(key).arg(what).arg(column).arg(part);
            command
                .arg(if value.is_some() { "value" } else { "" })
                .arg(value.as_deref().unwrap_or_default())
                .arg(cursor);
            command
        });
        let calls = calls.collect();
        let mut left = Vec::new();
        for (mut entries, answer) in todo.into_iter().zip(self.ask(&CHECK_ENTRIES, calls).await?) {
            let mut answer = answer.into_iter();
            let cursor = answer.next().map_or_else(|| b"0".to_vec(), reply::bytes);
            if let Some(Value::Int(count)) = answer.next() {
                self.report.entries += count as u64;
            }
            if cursor == b"twin" {
                // The set's rows are now in the bitmap, which may have been checked before.
                entries.key = self.target.keys.bitmap_of(&entries.key);
                (entries.what, entries.cursor) = ("bitmap", b"0".to_vec());
                left.push(entries);
            } else if cursor != b"0" {
                entries.cursor = cursor;
                left.push(entries);
            }
        }
        Ok(left)
    }

    /// The indexed column with the number, from 1.
    fn column(&self, number: usize) -> Option<&'static ColumnSchema> {
        let at = *self.target.schema.indexed.get(number.checked_sub(1)?)?;
        Some(&self.target.schema.columns()[at])
    }

    /// The column's number among the indexed ones, from 1; 0 if it is none of them.
    fn number(&self, name: &[u8]) -> usize {
        let schema = self.target.schema;
        let is_named = |&at: &usize| schema.columns()[at].name().as_bytes() == name;
        schema.indexed.iter().position(is_named).map_or(0, |at| at + 1)
    }

    /// The entries of a key that are to be checked; `None` if another step checks the key. An error
    /// if the key is not one of a model.
    fn entries_of(&self, key: &[u8]) -> Result<Option<Entries>, ()> {
        let of_value = |what, column: &[u8], part, value: Option<&[u8]>| {
            let (column, value) = (self.number(column), value.map(<[u8]>::to_vec));
            Ok(Some(Entries { key: key.to_vec(), what, column, part, value, cursor: b"0".to_vec() }))
        };
        let entries = |what, column: &[u8], part| of_value(what, column, part, None);
        match self.target.keys.parse(key).ok_or(())? {
            Key::Container { bitmap, column, segment, value } => {
                of_value(if bitmap { "bitmap" } else { "set" }, column, segment, value)
            }
            Key::List { column, value } => of_value("list", column, 0, value),
            // The divided values are checked one by one later.
            Key::Divided(column) if self.column(self.number(column)).is_some_and(ColumnSchema::has_lists) => Ok(None),
            Key::Sorted(column) => entries("sorted", column, 0),
            Key::Scores { column, part } => entries("scores", column, part),
            Key::Unique(column) => entries("unique", column, 0),
            // If the column has ordered values, they are checked one by one later.
            Key::Values(column) if self.column(self.number(column)).is_some_and(ColumnSchema::has_values) => Ok(None),
            Key::Divided(_) | Key::Values(_) | Key::Temporary => entries("unused", b"", 0),
            Key::Directory(part) if self.target.schema.id_width == 0 => entries("directory", b"", part),
            Key::Expiring(part) => entries("expiring", b"", part),
            Key::Ttl => entries("ttl", b"", 0),
            Key::Entries(_) if self.target.schema.id_width > 0 => Ok(None),
            // A model has one of the two row directories.
            Key::Entries(_) | Key::Directory(_) => entries("unused", b"", 0),
            Key::Record(_) | Key::Live(_) | Key::Free | Key::Meta => Ok(None),
        }
    }

    /// For each column, compares its divided values, and its values in order, with the keys that
    /// hold their rows.
    async fn values(&mut self, values: &mut BTreeSet<(usize, Option<Vec<u8>>)>) -> Result<()> {
        for number in 1..=self.target.schema.indexed.len() {
            let Some(column) = self.column(number).filter(|column| column.has_lists()) else { continue };
            let divided =
                scan::members(self.db, &self.target, "HSCAN", &self.target.keys.divided(column.name())).await?;
            // A field is `:` and a value, or empty for null.
            values.extend(divided.into_iter().map(|field| (number, field.get(1..).map(<[u8]>::to_vec))));
            if column.has_values() {
                let ordered =
                    scan::members(self.db, &self.target, "ZSCAN", &self.target.keys.values(column.name())).await?;
                values.extend(ordered.into_iter().map(|value| (number, Some(value))));
            }
            let mine: Vec<Option<&[u8]>> =
                values.iter().filter(|(of, _)| *of == number).map(|(_, value)| value.as_deref()).collect();
            // One call also looks whether the keys have the right type, even if there are no
            // values.
            let chunks = mine.chunks(16).chain(mine.is_empty().then_some(&[][..]));
            let calls = chunks.map(|some| {
                let mut command = self.call(&CHECK_VALUES);
                command.arg(column.name()).arg(u8::from(column.has_values()));
                for value in some {
                    let field = value.map_or_else(Vec::new, |value| [b":", value].concat());
                    // As in a migration, values that can't be read come after all others.
                    let ordinal = value.filter(|_| column.has_values()).map(|value| column.ordinal_of(value));
                    command.arg(field).arg(ordinal.flatten().unwrap_or(u16::MAX));
                }
                command
            });
            let calls = calls.collect();
            self.ask(&CHECK_VALUES, calls).await?;
        }
        Ok(())
    }

    /// Compares the numbers in `meta` with the rows in use.
    async fn counts(&mut self) -> Result<()> {
        let mut greatest = -1;
        let mut scan = Scan::new(&self.target);
        while let Some(keys) = scan.next(self.db).await? {
            for key in keys {
                if let Some(Key::Live(segment)) = self.target.keys.parse(&key) {
                    greatest = greatest.max(segment as i64);
                }
            }
        }
        let mut command = self.call(&CHECK_COUNTS);
        command.arg(greatest);
        self.ask(&CHECK_COUNTS, vec![command]).await?;
        Ok(())
    }
}
