//! Schema changes: adds to the stored indexes and types those of this program, or drops the indexes
//! that it does not have, step by step, while others read and write.

use redis::{Cmd, Value};

use crate::error::{Error, Result};
use crate::model::description;
use crate::model::index::Part;
use crate::model::keys::Key;
use crate::model::schema::ColumnSchema;
use crate::model::stored::{PartList, StoredSchema, default_of};
use crate::model::target::Target;
use crate::scripts::{BUILD, DROP};
use crate::server::Db;
use crate::server::reply::{Answer, Refusal};
use crate::upkeep::check;
use crate::upkeep::scan::{self, Scan};

mod trial;

use trial::Trial;

/// The most index entries that one step adds. The step takes about 0.5 ms.
const ENTRIES: usize = 48;

/// What [`RedisModel::migrate`](crate::RedisModel::migrate) or
/// [`RedisModel::drop_unused_indexes`](crate::RedisModel::drop_unused_indexes) has done, so far or
/// in total. Empty if there was nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Columns whose indexes are dropped, or parts of them.
    pub dropped: Vec<String>,
    /// Columns whose indexes are built, or parts of them.
    pub built: Vec<String>,
    /// Columns whose type changes.
    pub retyped: Vec<String>,
    /// The number of rows, out of `rows`, whose stored values were tried before anything was
    /// changed; 0 if no column needs that.
    pub tried: u64,
    /// The number of rows, out of `rows`, whose index entries are built.
    pub done: u64,
    /// The number of all rows. Each record that exists when the rows are counted has one of them,
    /// and some may be free.
    pub rows: u64,
}

pub(crate) async fn migrate(
    db: &Db,
    target: &Target,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<Migration> {
    let schema = target.program;
    let mut migration = Migration::default();
    loop {
        let stored = target.stored(db).await?;
        if stored.count == 0 {
            let mut next = stored.of_no_records(schema, true);
            next.fingerprint = next.state();
            if next == stored || target.switch(db, &stored, &next).await? {
                if next.dropping.is_empty() {
                    return Ok(Migration::default());
                }
                // Entries of an earlier time may be left, and records may come.
                drop_indexes(target, db, &next, &mut || progress(&migration)).await?;
            }
            continue;
        }
        let next = stored.with(schema).map_err(|difference| Error::Schema { model: schema.name(), difference })?;
        if let Some(next) = next {
            begin(db, target, &stored, next, &mut migration, progress).await?;
            continue;
        }
        if !stored.dropping.is_empty() {
            drop_indexes(target, db, &stored, &mut || progress(&migration)).await?;
        } else if stored.builds_for(schema) {
            if migration.built.is_empty() {
                migration.built = stored.building.names().map(str::to_owned).collect();
            }
            build(target, db, &stored, &mut migration, progress).await?;
        } else {
            return Ok(migration);
        }
    }
}

/// Tries the stored values, and then replaces the stored schema by the one that also has what this
/// program needs.
async fn begin(
    db: &Db,
    target: &Target,
    stored: &StoredSchema,
    mut next: StoredSchema,
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<()> {
    let schema = target.program;
    let known = stored.known_types();
    let other_types = description::changed(&known, &schema.types);
    let new_parts = |name: &str| next.building.of(name).without(stored.building.of(name));
    let same_layout = !stored.has_older_layout();
    let mut trials = Vec::new();
    for column in schema.columns().iter().filter(|_| same_layout) {
        let parts = new_parts(column.name());
        let other_type = other_types.iter().any(|(_, ours)| ours.name == column.name());
        if !column.is_key() && (other_type || !parts.is_empty()) {
            let default = default_of(&next.defaults, column.name()).map(|default| default.stored());
            trials.push(Trial { column, unique: parts.has(Part::Owners), default });
        }
    }
    trial::try_values(target, db, &trials, stored.rows, migration, progress).await?;
    next.fingerprint = next.state();
    if target.switch(db, stored, &next).await? {
        let in_order = |names: Vec<&str>| schema.in_order(names);
        migration.retyped = other_types.iter().map(|(_, ours)| ours.name.to_owned()).collect();
        migration.built = in_order(next.building.names().collect());
        migration.dropped = in_order(next.dropping.names().collect());
        // Rows may have been added since.
        migration.rows = 0;
        progress(migration);
    }
    Ok(())
}

/// Removes the indexes that this program does not have.
pub(crate) async fn drop_unused_indexes(db: &Db, target: &Target) -> Result<Migration> {
    let schema = target.program;
    let refuse = |difference| Error::Schema { model: schema.name(), difference };
    let mut migration = Migration::default();
    loop {
        let stored = target.stored(db).await?;
        if !stored.is_stored() {
            return Ok(migration);
        }
        if stored.has_older_layout() {
            return Err(refuse(stored.lacks(schema).unwrap_or_default()));
        }
        if let Some(difference) = stored.untried(schema) {
            return Err(refuse(difference));
        }
        if let Some(mut next) = stored.without_unused(schema) {
            next.fingerprint = next.state();
            if target.switch(db, &stored, &next).await? {
                migration.dropped = schema.in_order(next.dropping.names().collect());
            }
        } else if stored.dropping.is_empty() {
            return Ok(migration);
        } else {
            drop_indexes(target, db, &stored, &mut || ()).await?;
        }
    }
}

/// Deletes the keys of the parts of indexes that are being dropped.
async fn drop_indexes(
    target: &Target,
    db: &Db,
    stored: &StoredSchema,
    progress: &mut (dyn FnMut() + Send),
) -> Result<()> {
    let keys = &target.keys;
    let call = async |what: &str, words: &[Vec<u8>]| -> Result<bool> {
        let mut command = DROP.call(keys.meta().as_bytes());
        command.arg(&stored.fingerprint).arg(what).arg(words);
        let reply = DROP.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
        Ok(reply == Value::Int(1))
    };
    // The rows of null stay if another part of the index has them.
    let keeps_nulls = |name: &str| {
        let line = stored.lines().find(|line| line.name == name);
        line.is_some_and(|line| stored.maintained(&line).has_nulls())
    };
    let drops = |column: &[u8], part: Part| {
        std::str::from_utf8(column).is_ok_and(|column| stored.dropping.of(column).has(part))
    };
    let is_dropped = |key: &[u8]| match keys.parse(key) {
        Some(Key::List { column, value } | Key::Container { column, value, .. }) => {
            let kept = || value.is_none() && keeps_nulls(&String::from_utf8_lossy(column));
            (drops(column, Part::Lists) || drops(column, Part::Sorted) && value.is_none()) && !kept()
        }
        Some(Key::Scores { column, .. } | Key::Sorted(column)) => drops(column, Part::Sorted),
        Some(Key::Values(column)) => drops(column, Part::Ordinals),
        Some(Key::Unique(column)) => drops(column, Part::Owners),
        Some(Key::Divided(column)) => {
            let name = String::from_utf8_lossy(column);
            (drops(column, Part::Lists) || drops(column, Part::Sorted)) && !keeps_nulls(&name)
        }
        _ => false,
    };
    let mut scan = Scan::new(target);
    while let Some(found) = scan.next(db).await? {
        let gone: Vec<Vec<u8>> = found.into_iter().filter(|key| is_dropped(key)).collect();
        for some in gone.chunks(100) {
            if !call("keys", some).await? {
                return Ok(());
            }
        }
        progress();
    }
    for name in stored.dropping.names().filter(|name| stored.dropping.of(name).has(Part::Lists) && keeps_nulls(name)) {
        let divided = keys.divided(name);
        for values in scan::members(db, target, "HSCAN", &divided).await?.chunks(100) {
            let values = values.iter().filter(|value| !value.is_empty()).cloned();
            if !call("values", &std::iter::once(divided.clone().into_bytes()).chain(values).collect::<Vec<_>>()).await?
            {
                return Ok(());
            }
        }
    }
    let finished = StoredSchema { dropping: PartList::default(), ..stored.clone() };
    call("", &[finished.state().into_bytes()]).await.map(drop)
}

/// What build.lua is asked to do.
struct Building<'a> {
    stored: &'a StoredSchema,
    columns: Vec<&'a ColumnSchema>,
    /// For values of columns of few values: column, value, ordinal.
    ordinals: Vec<(String, Vec<u8>, u16)>,
    /// The fingerprint of the schema when all is built; empty if more is to be done then.
    finished: String,
}

impl Building<'_> {
    fn call(&self, target: &Target) -> Cmd {
        let Self { stored, columns, ordinals, finished } = self;
        let mut command = BUILD.call(target.keys.meta().as_bytes());
        command.arg(&target.keys.prefix).arg(&stored.fingerprint).arg(target.program.id_width);
        command.arg((ENTRIES / columns.len().max(1)).max(1)).arg(columns.len());
        command.arg(u8::from(stored.building.directory)).arg(finished);
        for column in columns {
            command.arg(column.name());
        }
        for column in columns {
            let line = stored.lines().find(|line| line.name == column.name());
            command.arg(stored.building.of(column.name()).spec_to_build(line.map_or('t', |line| line.kind)));
        }
        for _ in columns {
            command.arg(0);
        }
        for column in columns {
            match default_of(&stored.defaults, column.name()) {
                Some(default) => command.arg("default").arg(default.stored()),
                None if column.is_key() && target.program.key.len() == 1 => command.arg("id").arg(""),
                None => command.arg("").arg(""),
            };
        }
        for (column, value, ordinal) in ordinals {
            command.arg(column).arg(value).arg(ordinal);
        }
        command
    }
}

/// Builds the unfinished parts of indexes, from where an earlier call stopped.
async fn build(
    target: &Target,
    db: &Db,
    stored: &StoredSchema,
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<()> {
    let model = target.program.name();
    // The columns of other programs, too.
    let schema = target.program.beside(stored, true);
    let mut columns = Vec::new();
    for name in stored.building.names() {
        let column = schema.columns().iter().find(|column| column.name() == name);
        let column = column.ok_or_else(|| target.unexpected(&stored.building.to_string()))?;
        let foreign = schema.foreign().iter().any(|foreign| foreign.name() == name);
        if foreign && stored.building.of(name).has(Part::Ordinals) {
            let difference = format!(
                "the index of {name} is being built, whose order only the programs know that have this column. Call \
                 `{model}::migrate` in one of them. If none is left, call `drop_unused_indexes` in this one"
            );
            return Err(Error::Schema { model, difference });
        }
        columns.push(column);
    }
    let finished = StoredSchema { building: PartList::default(), ..stored.clone() };
    // Writes add a value to an order when its first row comes. Where the rows are older than the
    // order, they do not.
    let adds_order = |name: &str| {
        let parts = stored.building.of(name);
        parts.has(Part::Ordinals) && !parts.has(Part::Lists)
    };
    let mut ordered = !stored.building.names().any(adds_order);
    let mut building = Building { stored, columns, ordinals: Vec::new(), finished: String::new() };
    loop {
        building.finished = if ordered { finished.state() } else { String::new() };
        let reply = BUILD.run(db, &building.call(target)).await;
        match Answer::of(reply.map_err(|error| target.wrong_type(error))?) {
            Answer::Done(values) => {
                let [Value::Int(done), Value::Int(rows)] = values[..] else { return Err(target.unexpected(&values)) };
                (migration.done, migration.rows) = (done as u64, rows as u64);
                progress(migration);
                if done >= rows {
                    if ordered {
                        return Ok(());
                    }
                    // The same fingerprint, but as if the orders were complete.
                    let stored = StoredSchema { fingerprint: stored.fingerprint.clone(), ..finished.clone() };
                    match check::add_ordinals(db, target, target.program.ordered(&stored)).await {
                        Ok(()) => ordered = true,
                        // Another process was faster.
                        Err(Error::Schema { .. }) => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
            Answer::Refused(Refusal::Ordinal { column, value }) => {
                let named = building.columns.iter().find(|named| named.name().as_bytes() == column);
                // Values that can't be read come after all others.
                let ordinal = named.and_then(|named| named.ordinal_of(&value)).unwrap_or(u16::MAX);
                building.ordinals.push((String::from_utf8_lossy(&column).into_owned(), value, ordinal));
            }
            // Another process was faster, or has changed the schema.
            Answer::Refused(Refusal::Schema(_)) => return Ok(()),
            Answer::Refused(refusal) => return Err(target.refusal(None, refusal)),
        }
    }
}
