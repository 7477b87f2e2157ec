//! The stored schema of a model: which indexes writers maintain, and how far these are built.
//!
//! A program works with every stored schema that has what the program needs, and maintains the rest
//! as well. See "Schema changes" in ARCHITECTURE.md.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use redis::Value;

use crate::model::description::{self, Line};
use crate::model::id;
use crate::model::index::{Part, Parts};
use crate::model::schema::{LAYOUT, ModelSchema, fingerprint};
use crate::server::reply;

/// The fields of `meta` that a stored schema is read from.
pub(crate) const FIELDS: [&str; 8] =
    ["schema", "columns", "types", "defaults", "dropping", "building", "count", "rows"];

/// The number of these that a change of the schema sets. They come first.
pub(crate) const SWITCHED: usize = 6;

/// The layout that a migration turns into this one.
const OLDER_LAYOUT: &str = "layout 2";

/// Parts of the indexes of columns, as text `:column/part:column/part:`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PartList {
    columns: BTreeMap<String, Parts>,
    /// Whether the row directory is in the list, as `#`. No column has this name.
    pub(crate) directory: bool,
}

impl PartList {
    fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for word in text.split(':').filter(|word| !word.is_empty()) {
            match word.rsplit_once('/') {
                Some((column, part)) => {
                    let parts = Part::ALL.into_iter().filter(|known| known.name() == part).collect();
                    list.add(column, parts);
                }
                None => list.directory |= word == "#",
            }
        }
        list
    }

    /// The whole indexes of these columns.
    pub(crate) fn of_columns<'a>(names: impl Iterator<Item = &'a str>, directory: bool) -> Self {
        let all = |name: &str| (name.to_owned(), Part::ALL.into_iter().collect());
        Self { columns: names.map(all).collect(), directory }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty() && !self.directory
    }

    /// The parts of this column.
    pub(crate) fn of(&self, column: &str) -> Parts {
        self.columns.get(column).copied().unwrap_or_default()
    }

    /// The names of the columns that have such parts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    fn add(&mut self, column: &str, parts: Parts) {
        if !parts.is_empty() {
            let all = self.of(column).iter().chain(parts.iter()).collect();
            self.columns.insert(column.to_owned(), all);
        }
    }

    fn remove(&mut self, column: &str, parts: Parts) {
        let left = self.of(column).without(parts);
        self.columns.remove(column);
        self.add(column, left);
    }
}

impl fmt::Display for PartList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        for (column, parts) in &self.columns {
            parts.iter().try_for_each(|part| write!(f, ":{column}/{}", part.name()))?;
        }
        f.write_str(if self.directory { ":#:" } else { ":" })
    }
}

/// The stored schema of a model, without its programs: see `model/keys.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StoredSchema {
    /// Stands for the state of the indexes: see [`state`](Self::state). Empty if no schema is
    /// stored.
    pub(crate) fingerprint: String,
    /// What indexes depend on: see [`ModelSchema::description`].
    pub(crate) columns: String,
    /// All columns and their types; empty if the records are older than this field.
    pub(crate) types: String,
    /// For indexed columns: what a record has that was saved without the column.
    pub(crate) defaults: String,
    /// Parts of indexes whose keys are being deleted. Writes leave them alone.
    pub(crate) dropping: PartList,
    /// Parts of indexes that lack rows. Writes maintain them.
    pub(crate) building: PartList,
    /// The number of records.
    pub(crate) count: u64,
    /// The number of rows handed out.
    pub(crate) rows: u32,
}

impl StoredSchema {
    /// Reads the values of [`FIELDS`].
    pub(crate) fn of(values: impl IntoIterator<Item = Value>) -> Self {
        let mut texts = values.into_iter().map(|value| String::from_utf8_lossy(&reply::bytes(value)).into_owned());
        let mut next = || texts.next().unwrap_or_default();
        Self {
            fingerprint: next(),
            columns: next(),
            types: next(),
            defaults: next(),
            dropping: PartList::parse(&next()),
            building: PartList::parse(&next()),
            count: next().parse().unwrap_or(0),
            rows: next().parse().unwrap_or(0),
        }
    }

    /// The schema of a model that no other program knows.
    pub(crate) fn first(schema: &ModelSchema) -> Self {
        let (columns, types) = (schema.description.clone(), schema.types.clone());
        Self { columns, types, defaults: schema.stored_defaults(), ..Self::default() }
    }

    pub(crate) fn is_stored(&self) -> bool {
        !self.fingerprint.is_empty()
    }

    /// Whether all indexes are complete.
    pub(crate) fn is_finished(&self) -> bool {
        self.dropping.is_empty() && self.building.is_empty()
    }

    /// The fingerprint of what writers maintain and queries may use. A program that is registered
    /// with another one is refused.
    pub(crate) fn state(&self) -> String {
        if self.is_finished() {
            return fingerprint(&self.columns);
        }
        fingerprint(&format!("{}\n\n{}\n{}", self.columns, self.dropping, self.building))
    }

    /// The types of stored columns, as far as they are known.
    pub(crate) fn known_types(&self) -> Cow<'_, str> {
        if self.types.is_empty() { description::types(&self.columns).into() } else { Cow::Borrowed(&self.types) }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        description::lines(&self.columns)
    }

    /// The parts of a column's index that writers maintain.
    pub(crate) fn maintained(&self, line: &Line<'_>) -> Parts {
        line.parts().without(self.dropping.of(line.name))
    }

    /// The parts of a column's index that are complete.
    pub(crate) fn complete(&self, line: &Line<'_>) -> Parts {
        self.maintained(line).without(self.building.of(line.name))
    }

    /// Whether something is being built that this program needs.
    pub(crate) fn builds_for(&self, schema: &ModelSchema) -> bool {
        let needs = |ours: Line<'_>| ours.parts().iter().any(|part| self.building.of(ours.name).has(part));
        self.building.directory || description::lines(&schema.description).any(needs)
    }

    /// The schema that also has what this program needs. `None` if the stored one has it already.
    pub(crate) fn with(&self, schema: &ModelSchema) -> Result<Option<Self>, String> {
        if !self.is_stored() {
            return Ok(Some(Self { count: self.count, rows: self.rows, ..Self::first(schema) }));
        }
        if let Some(next) = self.with_layout(schema)? {
            return Ok(Some(next));
        }
        let (stored, ours) = (key(&self.columns), key(&schema.description));
        if stored != ours {
            return Err(format!(
                "the key of stored records is `{}`, this program's is `{}`. A key can't be migrated: save the records as another model",
                stored.join("`, `"),
                ours.join("`, `")
            ));
        }
        let (known, mut next) = (self.known_types(), self.clone());
        next.types = description::merged(&known, &schema.types);
        next.defaults = self.defaults_with(schema);
        let mut columns = String::from(LAYOUT);
        for stored in self.lines() {
            let mut line = match schema.line_of(stored.name) {
                Some(ours) => next.widen(&known, &stored, &ours)?,
                None => stored,
            };
            if !line.has_type_of(&stored) {
                next.defaults = schema.with_ordinal(&next.defaults, line.name);
            }
            if default_of(&next.defaults, line.name).is_some() {
                line.null = false;
                if stored.null || default_of(&self.defaults, line.name).is_none() {
                    // Records without the column get the default, and their nulls go.
                    next.building.add(line.name, line.parts());
                }
            }
            columns.push_str(&format!("\n{line}"));
        }
        for line in description::lines(&schema.description) {
            if description::line(&self.columns, line.name).is_none() {
                next.building.add(line.name, line.parts());
                columns.push_str(&format!("\n{line}"));
            }
        }
        // Nobody has maintained the nulls that are being dropped. Indexes share them, so all that
        // have nulls wait until the old ones are gone.
        for line in description::lines(&columns) {
            let dropped = self.dropping.of(line.name).has_nulls();
            let stored = description::line(&self.columns, line.name);
            if dropped && !stored.is_some_and(|stored| self.maintained(&stored).has_nulls()) {
                let parts = line.parts().without([Part::Owners].into_iter().collect());
                next.dropping.add(line.name, parts);
                next.building.add(line.name, parts);
            }
        }
        next.columns = columns;
        let same = Self { types: next.types.clone(), ..self.clone() } == next && next.types == *known;
        Ok((!same).then_some(next))
    }

    /// A line of an indexed column that also has the attributes of `ours`. Notes which parts of the
    /// index must be dropped and built.
    fn widen<'a>(&mut self, types: &str, stored: &Line<'a>, ours: &Line<'a>) -> Result<Line<'a>, String> {
        let attributes = Line {
            null: stored.null || ours.null,
            index: stored.index || ours.index,
            sort: stored.sort || ours.sort,
            unique: stored.unique || ours.unique,
            ..*stored
        };
        let fits = serves(&attributes, ours) && attributes.parts().iter().all(|part| attributes.takes(part, ours));
        let is_known = description::lines(types).any(|line| line.name == ours.name && line.has_type_of(ours));
        if !fits && is_known {
            return Err(format!(
                "the index of `{0}` is one of {1} by now, which is not that of {2}, and this program is an older one. \
                 Update it. To go back instead, stop all other programs, call `drop_unused_indexes` in this one, and \
                 then `migrate`",
                ours.name,
                stored.type_text(),
                ours.type_text()
            ));
        }
        let line = if fits && (is_known || stored.holds(ours)) {
            attributes
        } else {
            Line { type_name: ours.type_name, kind: ours.kind, ..attributes }
        };
        let (before, after) = (stored.parts(), line.parts());
        let other_form = |part: &Part| after.has(*part) && !stored.same_form(*part, &line);
        let mut changed: Parts = before.iter().filter(other_form).collect();
        if changed.has(Part::Lists) && before.has(Part::Ordinals) {
            changed = changed.iter().chain([Part::Ordinals]).collect();
        }
        let name = line.name;
        let unfinished = self.dropping.of(name);
        self.building.remove(name, before.without(after));
        self.dropping.add(name, before.without(after));
        self.dropping.add(name, changed);
        self.building.add(name, after.without(before));
        self.building.add(name, changed);
        self.building.add(name, after.iter().filter(|part| unfinished.has(*part)).collect());
        Ok(line)
    }

    /// The schema of a model that has no records. If the stored one can't get what this program
    /// needs, this program's own takes its place. So does it if the types of columns differ, unless
    /// this program `may_retype` them: another struct may have the same name.
    pub(crate) fn of_no_records(&self, schema: &ModelSchema, may_retype: bool) -> Self {
        let fits = may_retype || description::changed(&self.known_types(), &schema.types).is_empty();
        let mut next = match self.with(schema) {
            Ok(Some(next)) if fits => next,
            Ok(None) => self.clone(),
            _ => Self { dropping: self.dropping.clone(), ..Self::first(schema) },
        };
        // There is nothing to build, unless old keys are still to be deleted before.
        let mut building = PartList::default();
        for line in description::lines(&next.columns) {
            let left = next.dropping.of(line.name);
            // Indexes share nulls: see `with`.
            let waits = |part: &Part| left.has(*part) || left.has_nulls() && *part != Part::Owners;
            building.add(line.name, line.parts().iter().filter(waits).collect());
        }
        for name in building.names() {
            next.dropping.add(name, building.of(name));
        }
        next.building = building;
        next
    }

    /// Says why this program can't remove what other programs need: it has another key, or types
    /// that no migration has tried. They may be those of another struct of the same name.
    pub(crate) fn untried(&self, schema: &ModelSchema) -> Option<String> {
        let mut untried = self.other_key(schema);
        untried.extend(self.other_types(schema));
        if untried.is_empty() {
            return None;
        }
        Some(format!("nothing was dropped, as {}. {}", untried.join("; "), schema.advice()))
    }

    fn other_key(&self, schema: &ModelSchema) -> Vec<String> {
        let (stored, ours) = (key(&self.columns), key(&schema.description));
        if stored == ours {
            return Vec::new();
        }
        vec![format!("the key is `{}`, this program's is `{}`", stored.join("`, `"), ours.join("`, `"))]
    }

    fn other_types(&self, schema: &ModelSchema) -> Vec<String> {
        let say = |(stored, ours): (Line<'_>, Line<'_>)| {
            let (name, stored, ours) = (ours.name, stored.type_text(), ours.type_text());
            format!("`{name}` is stored as {stored}, and is {ours} in this program")
        };
        description::changed(&self.known_types(), &schema.types).into_iter().map(say).collect()
    }

    /// The schema without the indexes that this program does not have. `None` if there are none.
    pub(crate) fn without_unused(&self, schema: &ModelSchema) -> Option<Self> {
        let mut next = self.clone();
        let (mut columns, mut building) = (String::from(LAYOUT), PartList::default());
        for stored in self.lines() {
            let ours = description::line(&schema.description, stored.name);
            let (index, sort, unique) = ours.map_or((false, false, false), |ours| (ours.index, ours.sort, ours.unique));
            // An order of few values has lists, too, which serve a program that has `index` alone.
            let index = index && stored.parts().has(Part::Lists);
            let (sort, unique) = (stored.sort && sort, stored.unique && unique);
            // Where this program has no default, there can be nulls from now on.
            let null = stored.null || schema.line_of(stored.name).is_some_and(|ours| ours.null);
            let mut line = Line { null, index, sort, unique, ..stored };
            let same_form = |part| ours.is_some_and(|ours| line.same_form(part, &ours));
            if !line.parts().iter().all(same_form) {
                line = line.without_index();
            }
            next.dropping.add(line.name, stored.parts().without(line.parts()));
            let left = self.building.of(line.name);
            building.add(line.name, line.parts().iter().filter(|part| left.has(*part)).collect());
            if line.key || line.is_indexed() {
                columns.push_str(&format!("\n{line}"));
            }
        }
        building.directory = self.building.directory;
        (next.columns, next.building) = (columns, building);
        next.types = description::replaced(&self.known_types(), &schema.types);
        let ours = schema.stored_defaults();
        let is_indexed = |name: &str| next.lines().any(|line| line.name == name && line.is_indexed());
        let is_kept = |name: &str| default_of(&ours, name).is_some() && is_indexed(name);
        let kept = defaults(&self.defaults).filter(|default| is_kept(default.name));
        next.defaults = kept.map(|default| format!("{default}\n")).collect();
        (next != *self).then_some(next)
    }

    /// What turns an older layout into this one: all posting lists, containers and sorted sets are
    /// built anew. Unique values stay, so that a write can compare with them. `None` if the stored
    /// layout is this one.
    fn with_layout(&self, schema: &ModelSchema) -> Result<Option<Self>, String> {
        let (layout, columns) = self.columns.split_once('\n').unwrap_or((&self.columns, ""));
        let our_columns = schema.description.split_once('\n').map_or("", |(_, columns)| columns);
        if layout == LAYOUT {
            return Ok(None);
        }
        if layout != OLDER_LAYOUT {
            return Err(format!(
                "the records have {layout}, this program has {LAYOUT}. Update this program, or save them again with it, \
                 under another namespace"
            ));
        }
        if columns != our_columns || !self.is_finished() {
            return Err(format!(
                "the records have {layout}, this program has {LAYOUT} and other indexes. First call `{}::migrate` in a \
                 program that has {LAYOUT} and the stored indexes: `{}`",
                schema.name(),
                columns.replace('\n', "`, `")
            ));
        }
        let mut next = Self { columns: schema.description.clone(), ..self.clone() };
        for line in description::lines(&schema.description) {
            let parts = line.parts().without([Part::Owners].into_iter().collect());
            next.dropping.add(line.name, parts);
            next.building.add(line.name, parts);
        }
        next.building.directory = id::was_text(schema);
        next.types = description::merged(&self.known_types(), &schema.types);
        next.defaults = next.defaults_with(schema);
        Ok(Some(next))
    }

    /// Whether `next` only changes the layout.
    pub(crate) fn has_older_layout(&self) -> bool {
        self.columns.lines().next() == Some(OLDER_LAYOUT)
    }

    /// The stored defaults, and those of this program for columns that have none yet.
    fn defaults_with(&self, schema: &ModelSchema) -> String {
        let ours = schema.stored_defaults();
        let new = defaults(&ours).filter(|new| default_of(&self.defaults, new.name).is_none());
        defaults(&self.defaults).chain(new).map(|default| format!("{default}\n")).collect()
    }

    /// Says what this program needs that the stored schema lacks; `None` if it lacks nothing.
    pub(crate) fn lacks(&self, schema: &ModelSchema) -> Option<String> {
        if !self.is_stored() {
            return Some("there are records, but no schema in `meta`. Restore the key from a backup".into());
        }
        let layout = self.columns.lines().next().unwrap_or_default();
        if layout != LAYOUT {
            return Some(format!("the records have {layout}, this program has {LAYOUT}. {}", schema.advice()));
        }
        let mut lacking = self.other_key(schema);
        lacking.extend(self.other_types(schema));
        let defaults = schema.stored_defaults();
        for ours in description::lines(&schema.types).filter_map(|line| schema.line_of(line.name)) {
            let name = ours.name;
            let stored = description::line(&self.columns, name).filter(Line::is_indexed);
            let is_new = |text: &str| default_of(text, name).is_none();
            match stored {
                None if ours.is_indexed() => lacking.push(format!("this program has `{ours}`, which is not indexed")),
                Some(stored) if !serves(&stored, &ours) => {
                    lacking.push(format!("this program has `{ours}`, stored is `{stored}`"));
                }
                Some(stored) if !stored.parts().iter().all(|part| stored.takes(part, &ours)) => {
                    let text = ours.type_text();
                    lacking
                        .push(format!("`{name}` is {text} in this program, which the index `{stored}` does not take"));
                }
                Some(_) if is_new(&self.defaults) && !is_new(&defaults) => {
                    lacking.push(format!("`{name}` has a default in this program, and null in its index"));
                }
                _ => {}
            }
        }
        if lacking.is_empty() {
            return None;
        }
        let advice = schema.advice();
        Some(format!("{}. {advice}", lacking.join("; ")))
    }
}

/// Whether the index of the stored line has all that a program with the line `ours` needs of it.
fn serves(stored: &Line<'_>, ours: &Line<'_>) -> bool {
    let has = |part| stored.parts().has(part) && stored.same_form(part, ours);
    ours.parts().iter().all(has)
}

/// The name and type of each key column of a description.
fn key(description: &str) -> Vec<String> {
    description::lines(description).filter(|line| line.key).map(|line| line.typed()).collect()
}

/// What a record has that was saved without an indexed column: a line of [`StoredSchema::defaults`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredDefault<'a> {
    pub(crate) name: &'a str,
    pub(crate) ordinal: u16,
    /// The stored form, in hexadecimal digits.
    hex: &'a str,
}

impl StoredDefault<'_> {
    /// A line.
    pub(crate) fn line(name: &str, ordinal: u16, stored: &[u8]) -> String {
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}:{ordinal}:{hex}\n")
    }

    pub(crate) fn stored(&self) -> Vec<u8> {
        let pairs = self.hex.as_bytes().chunks(2);
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    }
}

impl fmt::Display for StoredDefault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, self.ordinal, self.hex)
    }
}

/// The stored default of the column with this name.
pub(crate) fn default_of<'a>(text: &'a str, name: &str) -> Option<StoredDefault<'a>> {
    defaults(text).find(|default| default.name == name)
}

/// The stored defaults in a text.
pub(crate) fn defaults(text: &str) -> impl Iterator<Item = StoredDefault<'_>> {
    text.lines().filter_map(|line| {
        let mut parts = line.split(':');
        Some(StoredDefault { name: parts.next()?, ordinal: parts.next()?.parse().ok()?, hex: parts.next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::{PartList, StoredSchema};
    use crate::model::schema::{ColumnSchema, ModelSchema};

    fn schema(column: ColumnSchema) -> ModelSchema {
        ModelSchema::new("Thing", vec![ColumnSchema::new::<u32>("id").key::<u32>(), column])
    }

    fn stored(column: ColumnSchema) -> StoredSchema {
        let mut stored = StoredSchema { count: 7, rows: 7, ..StoredSchema::first(&schema(column)) };
        stored.fingerprint = stored.state();
        stored
    }

    fn narrow() -> ColumnSchema {
        ColumnSchema::new::<u16>("size")
    }

    /// What is dropped and built, or why not.
    fn change(stored: &StoredSchema, column: ColumnSchema) -> Result<Option<(String, String)>, String> {
        let next = stored.with(&schema(column))?;
        Ok(next.map(|next| (next.dropping.to_string(), next.building.to_string())))
    }

    #[test]
    fn a_program_adds_what_is_lacking_and_drops_nothing() {
        let before = stored(narrow().index::<u16>());
        let both = narrow().index::<u16>().sort::<u16>();
        assert_eq!(change(&before, both.clone()), Ok(Some((String::new(), ":size/sorted:".into()))));
        assert_eq!(change(&stored(both.clone()), narrow()), Ok(None));
        assert_eq!(change(&stored(both), narrow().sort::<u16>()), Ok(None));
        let unique = narrow().unique::<u16>();
        assert_eq!(change(&before, unique), Ok(Some((String::new(), ":size/owners:".into()))));
        // A wider type has the same index, and both types are accepted.
        let wide = schema(ColumnSchema::new::<u64>("size").index::<u64>());
        assert!(before.lacks(&wide).is_some_and(|why| why.contains("stored as u16")));
        let next = before.with(&wide).unwrap().unwrap();
        assert!(next.is_finished() && next.columns.ends_with("size:u64:i index"), "{}", next.columns);
        assert_eq!((next.lacks(&wide), next.lacks(&schema(narrow().index::<u16>()))), (None, None));
        assert_eq!(next.with(&schema(narrow())), Ok(None));
    }

    #[test]
    fn an_order_of_another_kind_is_built_anew_and_older_programs_do_not_go_back() {
        let byte = ColumnSchema::new::<u8>("size").sort::<u8>();
        let before = stored(byte.clone());
        let wide = schema(ColumnSchema::new::<u32>("size").sort::<u32>());
        let next = before.with(&wide).unwrap().unwrap();
        let parts = (next.dropping.to_string(), next.building.to_string());
        assert_eq!(parts, (":size/lists:size/ordinals:".into(), ":size/sorted:".into()));
        assert!(next.lacks(&schema(byte.clone())).is_some_and(|why| why.contains("stored is `size:u32:i sort`")));
        assert!(change(&next, byte).is_err_and(|why| why.contains("an older one. Update it")));
        // An index by value alone is the same for both.
        let next = stored(ColumnSchema::new::<u8>("size").index::<u8>())
            .with(&schema(ColumnSchema::new::<u32>("size").index::<u32>()));
        assert!(next.unwrap().unwrap().is_finished());
    }

    #[test]
    fn what_is_not_used_is_dropped_and_what_was_to_be_built_of_it_is_forgotten() {
        let mut before = stored(narrow().index::<u16>().sort::<u16>().unique::<u16>());
        before.building = PartList::parse(":size/sorted:size/owners:");
        let next = before.without_unused(&schema(narrow().index::<u16>().unique::<u16>())).unwrap();
        assert_eq!(
            (next.dropping.to_string(), next.building.to_string()),
            (":size/sorted:".into(), ":size/owners:".into())
        );
        assert!(next.columns.ends_with("size:u16:i index unique"));
        assert_eq!(next.without_unused(&schema(narrow().index::<u16>().unique::<u16>())), None);
        // Taken up again before its keys are deleted, it is dropped first, and then built.
        let again = next.with(&schema(narrow().sort::<u16>())).unwrap().unwrap();
        let parts = (again.dropping.to_string(), again.building.to_string());
        assert_eq!(parts, (":size/sorted:".into(), ":size/sorted:size/owners:".into()));
        let none = before.without_unused(&schema(narrow())).unwrap();
        assert_eq!(
            (none.dropping.to_string(), none.building.is_empty()),
            (":size/lists:size/sorted:size/owners:".into(), true)
        );
    }

    #[test]
    fn the_state_depends_on_what_is_unfinished() {
        let stored = stored(narrow().sort::<u16>());
        let building = StoredSchema { building: PartList::parse(":size/sorted:#:"), ..stored.clone() };
        assert!(building.building.directory && building.state() != stored.state());
        assert_eq!(building.building.to_string(), ":size/sorted:#:");
        assert_eq!(stored.state(), schema(narrow().sort::<u16>()).fingerprint);
    }
}
