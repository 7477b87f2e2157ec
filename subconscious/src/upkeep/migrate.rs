//! Schema changes: turns the stored indexes and types into those of this program, step by step,
//! while others read and write.

use std::borrow::Cow;

use redis::{Cmd, Value};

use crate::error::{Error, Result};
use crate::model::description::{self, Line};
use crate::model::id;
use crate::model::keys::Key;
use crate::model::schema::{ColumnSchema, ModelSchema};
use crate::model::target::Target;
use crate::scripts::{BUILD, DROP, MIGRATE};
use crate::server::Db;
use crate::server::reply::{self, Answer, Refusal};
use crate::upkeep::scan::Scan;

mod trial;

/// The most index entries that one step adds. The step takes about 0.5 ms.
const ENTRIES: usize = 48;

/// What [`RedisModel::migrate`](crate::RedisModel::migrate) has done, so far or in total. Empty if
/// there was nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// Columns whose old indexes are dropped.
    pub dropped: Vec<String>,
    /// Columns whose indexes are built.
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

/// The stored schema of a model: see `model/keys.rs`.
struct Stored {
    fingerprint: String,
    description: String,
    /// The stored types; "" if they were never stored.
    types: String,
    registered: bool,
    rows: u32,
    dropping: Vec<String>,
    /// Whether the unique values of these columns stay.
    unique_stays: bool,
    building: Vec<String>,
    count: u64,
}

/// Stands for the row directory among the columns whose indexes are built. No column has this name.
const DIRECTORY: &str = "#";

/// Before the columns whose old indexes are dropped: their unique values stay.
const UNIQUE_STAYS: &str = "=";

fn names(list: &str) -> Vec<String> {
    list.split(':').filter(|name| !name.is_empty() && *name != UNIQUE_STAYS).map(str::to_owned).collect()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(":{}:", names.join(":")) }
}

/// The name and type of each key column of a description.
fn key(description: &str) -> Vec<String> {
    description::lines(description).filter(Line::is_key).map(|line| line.typed()).collect()
}

impl Stored {
    async fn read(target: &Target, db: &Db) -> Result<Self> {
        let mut command = redis::cmd("HMGET");
        command.arg(target.keys.meta()).arg(&["schema", "columns", "types", "dropping", "building", "count", "rows"]);
        command.arg(&target.schema.registration);
        let reply = db.send(&command).await.map_err(|error| target.wrong_type(error))?;
        let Value::Array(values) = reply else { return Err(target.unexpected(&reply)) };
        let mut texts = values.into_iter().map(|value| String::from_utf8_lossy(&reply::bytes(value)).into_owned());
        let mut next = || texts.next().unwrap_or_default();
        let (fingerprint, description, types, dropping) = (next(), next(), next(), next());
        Ok(Self {
            fingerprint,
            description,
            types,
            dropping: names(&dropping),
            unique_stays: dropping.starts_with(UNIQUE_STAYS),
            building: names(&next()),
            count: next().parse().unwrap_or(0),
            rows: next().parse().unwrap_or(0),
            registered: !next().is_empty(),
        })
    }

    /// The columns whose stored indexes must be dropped, and the columns whose indexes must be
    /// built.
    fn changes(&self, schema: &ModelSchema) -> Result<Changes, String> {
        let (stored, ours) = (self.description.as_str(), schema.description.as_str());
        if let Some(changes) = self.layout_changes(schema)? {
            return Ok(changes);
        }
        if key(stored) != key(ours) {
            return Err(format!(
                "the key of stored records is `{}`, this program's is `{}`. A key can't be migrated: save the records as another model",
                key(stored).join("`, `"),
                key(ours).join("`, `")
            ));
        }
        let unfinished = |line: &Line<'_>| self.building.iter().chain(&self.dropping).any(|name| name == line.name);
        let complete = |line: &Line<'_>| description::lines(stored).any(|other| other == *line) && !unfinished(line);
        let mut dropping = self.dropping.clone();
        for line in description::lines(stored).filter(Line::is_indexed) {
            let stays = complete(&line) && description::lines(ours).any(|other| other == line);
            if !stays && !dropping.iter().any(|name| name == line.name) {
                dropping.push(line.name.to_owned());
            }
        }
        let building = description::lines(ours).filter(|line| line.is_indexed() && !complete(line));
        let mut building: Vec<String> = building.map(|line| line.name.to_owned()).collect();
        if self.building.iter().any(|name| name == DIRECTORY) {
            building.push(DIRECTORY.into());
        }
        Ok(Changes { dropping, building, layout: false })
    }

    /// What turns an older layout into this one: all posting lists, containers and sorted sets are
    /// built anew. `None` if the stored layout is this one.
    ///
    /// A model that also has other columns would have to drop unique values, which no write could
    /// compare with meanwhile. So the columns must be the stored ones.
    fn layout_changes(&self, schema: &ModelSchema) -> Result<Option<Changes>, String> {
        let (layout, columns) = self.description.split_once('\n').unwrap_or((&self.description, ""));
        let (our_layout, our_columns) = schema.description.split_once('\n').unwrap_or((&schema.description, ""));
        if layout == our_layout {
            return Ok(None);
        }
        if layout != OLDER_LAYOUT {
            return Err(format!(
                "the records have {layout}, this program has {our_layout}. Update this program, or save them again with it, \
                 under another namespace"
            ));
        }
        if columns != our_columns || !self.dropping.is_empty() || !self.building.is_empty() {
            return Err(format!(
                "the records have {layout}, this program has {our_layout} and other indexes. First call `{}::migrate` in a \
                 program that has {our_layout} and the stored indexes: `{}`",
                schema.name(),
                columns.replace('\n', "`, `")
            ));
        }
        let indexed = schema.columns().iter().filter(|column| column.has_lists());
        let dropping: Vec<String> = indexed.map(|column| column.name().to_owned()).collect();
        let mut building = dropping.clone();
        if id::was_text(schema) {
            building.push(DIRECTORY.into());
        }
        Ok(Some(Changes { dropping, building, layout: true }))
    }

    /// The types of stored columns, as far as they are known.
    fn known_types(&self) -> Cow<'_, str> {
        if self.types.is_empty() {
            Cow::Owned(description::types(&self.description))
        } else {
            Cow::Borrowed(&self.types)
        }
    }
}

/// What a migration does.
#[derive(Default)]
struct Changes {
    dropping: Vec<String>,
    building: Vec<String>,
    /// Whether the layout changes. Then unique values stay.
    layout: bool,
}

/// The layout that a migration turns into this one.
const OLDER_LAYOUT: &str = "layout 2";

pub(crate) async fn migrate(
    db: &Db,
    target: &Target,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<Migration> {
    let schema = target.schema;
    let refuse = |difference: String| Error::Schema { model: schema.name(), difference };
    let under_way = format!("{}+", schema.fingerprint);
    let mut migration = Migration::default();
    loop {
        let stored = Stored::read(target, db).await?;
        if stored.count == 0 {
            return Ok(Migration::default());
        }
        let known = stored.known_types();
        let retyped = description::changed(&known, &schema.types);
        let same_indexes = stored.fingerprint == schema.fingerprint || stored.fingerprint == under_way;
        if !same_indexes || !retyped.is_empty() {
            let Changes { dropping, building, layout } =
                if same_indexes { Changes::default() } else { stored.changes(schema).map_err(refuse)? };
            migration.retyped = retyped.iter().map(|(_, line)| line.name.to_owned()).collect();
            // A change of the layout changes no value.
            let tried = migration.retyped.iter().chain(building.iter().filter(|_| !layout));
            let tried = schema.columns().iter().filter(|column| tried.clone().any(|name| name == column.name()));
            // The type of a key never changes.
            let tried: Vec<&ColumnSchema> = tried.filter(|column| !column.is_key()).collect();
            trial::try_values(target, db, &tried, stored.rows, &mut migration, progress).await?;
            let mut command = MIGRATE.call(target.keys.meta().as_bytes());
            command.arg(&stored.fingerprint).arg(&stored.types).arg(&schema.registration).arg(&schema.description);
            command.arg(description::merged(&known, &schema.types)).arg(u8::from(!same_indexes));
            let stays = if layout && !dropping.is_empty() { UNIQUE_STAYS } else { "" };
            command.arg(format!("{stays}{}", list(&dropping))).arg(list(&building));
            command.arg(u8::from(layout && schema.id_width > 0 && !id::was_text(schema)));
            let begun = MIGRATE.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
            if begun != Value::Int(1) {
                continue;
            }
        } else if !stored.registered {
            target.register(db, &stored.types).await?;
        }
        if stored.fingerprint == schema.fingerprint {
            return Ok(migration);
        }
        let stored = Stored::read(target, db).await?;
        if stored.fingerprint != under_way {
            continue;
        }
        (migration.dropped, migration.built) = (stored.dropping.clone(), stored.building.clone());
        migration.built.retain(|name| name != DIRECTORY);
        // Rows may have been added since.
        migration.rows = 0;
        progress(&migration);
        if !stored.dropping.is_empty() {
            drop_indexes(target, db, &stored, &mut || progress(&migration)).await?;
        }
        build(target, db, &stored.building, &mut migration, progress).await?;
        return Ok(migration);
    }
}

/// Deletes all keys of the columns' indexes.
async fn drop_indexes(target: &Target, db: &Db, stored: &Stored, progress: &mut (dyn FnMut() + Send)) -> Result<()> {
    let (keys, columns) = (&target.keys, &stored.dropping);
    let drop_keys = async |keys: &[Vec<u8>]| -> Result<bool> {
        let mut command = DROP.call(target.keys.meta().as_bytes());
        command.arg(&target.schema.fingerprint).arg(keys);
        let reply = DROP.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
        Ok(reply == Value::Int(1))
    };
    let mut single = Vec::new();
    for column in columns {
        single.extend([keys.sorted(column), keys.values(column), keys.divided(column)].map(String::into_bytes));
        if !stored.unique_stays {
            single.push(keys.unique(column).into_bytes());
        }
    }
    let is_dropped = |key: &[u8]| match keys.parse(key) {
        Some(Key::List { column, .. } | Key::Container { column, .. } | Key::Scores { column, .. }) => {
            columns.iter().any(|dropped| dropped.as_bytes() == column)
        }
        _ => false,
    };
    let mut scan = Scan::new(target);
    while let Some(found) = scan.next(db).await? {
        let gone: Vec<Vec<u8>> = found.into_iter().filter(|key| is_dropped(key)).collect();
        for some in gone.chunks(100) {
            if !drop_keys(some).await? {
                return Ok(());
            }
        }
        progress();
    }
    if drop_keys(&single).await? {
        drop_keys(&[]).await?;
    }
    Ok(())
}

fn build_call(target: &Target, columns: &[&ColumnSchema], directory: bool, ordinals: &[(String, Vec<u8>, u16)]) -> Cmd {
    let mut command = BUILD.call(target.keys.meta().as_bytes());
    command.arg(&target.keys.prefix).arg(&target.schema.fingerprint).arg(target.schema.id_width);
    command.arg((ENTRIES / columns.len().max(1)).max(1)).arg(columns.len());
    command.arg(u8::from(directory));
    for column in columns {
        command.arg(column.name());
    }
    for column in columns {
        command.arg(column.index_spec(0));
    }
    for _ in columns {
        command.arg(0);
    }
    for column in columns {
        match column.default.and_then(|default| default()) {
            Some(default) => command.arg("default").arg(default),
            None if column.is_key() && target.schema.key.len() == 1 => command.arg("id").arg(""),
            None => command.arg("").arg(""),
        };
    }
    for (column, value, ordinal) in ordinals {
        command.arg(column).arg(value).arg(ordinal);
    }
    command
}

/// Builds the columns' indexes, from where an earlier call stopped.
async fn build(
    target: &Target,
    db: &Db,
    columns: &[String],
    migration: &mut Migration,
    progress: &mut (dyn FnMut(&Migration) + Send),
) -> Result<()> {
    let schema = target.schema;
    let directory = columns.iter().any(|name| name == DIRECTORY);
    let columns: Vec<&ColumnSchema> =
        schema.columns().iter().filter(|column| columns.iter().any(|name| name == column.name())).collect();
    let mut ordinals = Vec::new();
    loop {
        let reply = BUILD.run(db, &build_call(target, &columns, directory, &ordinals)).await;
        match Answer::of(reply.map_err(|error| target.wrong_type(error))?) {
            Answer::Done(values) => {
                let [Value::Int(done), Value::Int(rows)] = values[..] else { return Err(target.unexpected(&values)) };
                (migration.done, migration.rows) = (done as u64, rows as u64);
                progress(migration);
                if done >= rows {
                    return Ok(());
                }
            }
            Answer::Refused(Refusal::Ordinal { column, value }) => {
                let named = columns.iter().find(|named| named.name().as_bytes() == column);
                // Values that can't be read come after all others.
                let ordinal = named.and_then(|named| named.ordinal_of(&value)).unwrap_or(u16::MAX);
                ordinals.push((String::from_utf8_lossy(&column).into_owned(), value, ordinal));
            }
            Answer::Refused(refusal) => return Err(target.refusal(None, refusal)),
        }
    }
}
