//! Partial updates: a few columns of one record, changed in one step.

use std::fmt;
use std::marker::PhantomData;

use redis::Value;

use crate::codec::check_indexed;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::model::RedisModel;
use crate::query::column::Column;
use crate::reply;
use crate::schema::{Automatic, ColumnSchema, ModelSchema};
use crate::scripts::PATCH;
use crate::value::{ColumnType, ColumnValue, ValueError};
use crate::write::{Address, Call, Target, Write, index_spec};

/// A change of one column for [`RedisModel::patch`], made by [`Column::set`],
/// [`clear`](Column::clear), [`set_or_clear`](Column::set_or_clear), [`incr`](Column::incr),
/// [`decr`](Column::decr) and [`expected`](Column::expected).
#[must_use = "a change does nothing until a patch is made with it"]
pub struct ColumnChange<M> {
    at: usize,
    what: Result<What, ValueError>,
    model: PhantomData<fn() -> M>,
}

/// What a change does.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Set { stored: Vec<u8>, ordinal: u16 },
    Clear,
    Add { by: Vec<u8>, bounds: (&'static str, &'static str) },
    Expect(Vec<u8>),
}

impl<M> ColumnChange<M> {
    pub(crate) fn new(at: usize, what: Result<What, ValueError>) -> Self {
        Self { at, what, model: PhantomData }
    }
}

impl<M> Clone for ColumnChange<M> {
    fn clone(&self) -> Self {
        Self::new(self.at, self.what.clone())
    }
}

impl<M> fmt::Debug for ColumnChange<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnChange").field("column", &self.at).field("what", &self.what).finish()
    }
}

/// One change is a patch, too: `|u| u.visits.incr(1)`.
impl<M> IntoIterator for ColumnChange<M> {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// What [`RedisModel::patch`] answers: the new values of the columns that it added to, and of the
/// version.
pub struct Patched<M> {
    values: Vec<(usize, Vec<u8>)>,
    model: PhantomData<fn() -> M>,
}

impl<M: RedisModel> Patched<M> {
    /// The new value of a column with `incr` or `decr` in the patch, or of the version; `None` for
    /// other columns.
    pub fn get<T: ColumnType, C>(&self, column: impl FnOnce(M::Columns) -> Column<M, T, C>) -> Option<T::Value> {
        let at = column(M::columns()).at();
        let (_, stored) = self.values.iter().find(|(column, _)| *column == at)?;
        T::Value::decode(stored).ok()
    }
}

impl<M> fmt::Debug for Patched<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(at, stored)| (at, stored.escape_ascii().to_string()))).finish()
    }
}

/// A column that patch.lua changes: see the head of the script for `what` and the rest.
pub(crate) struct Touched {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
    pub(crate) value: Vec<u8>,
    pub(crate) ordinal: u16,
    pub(crate) bounds: (&'static str, &'static str),
}

/// How long the record lives: the words of patch.lua.
pub(crate) enum Life {
    AsBefore,
    /// Until the new value of the column that says so.
    Column,
    After(u64),
    At(u64),
    Never,
}

/// A call of patch.lua.
pub(crate) fn patch_call(target: &Target, address: Address, mut touched: Vec<Touched>, life: &Life) -> Call {
    let schema = target.schema;
    let columns = schema.columns();
    touched.sort_by_key(|touched| !columns[touched.at].is_indexed());
    let indexed = touched.iter().take_while(|touched| columns[touched.at].is_indexed()).count();
    let others: Vec<usize> = match life {
        Life::AsBefore => Vec::new(),
        _ => schema.indexed.iter().copied().filter(|&at| touched.iter().all(|touched| touched.at != at)).collect(),
    };
    let (word, number) = match life {
        Life::AsBefore => ("", String::new()),
        Life::After(milliseconds) => ("after", milliseconds.to_string()),
        Life::At(milliseconds) => ("at", milliseconds.to_string()),
        Life::Never => ("never", String::new()),
        Life::Column => {
            let at = touched.iter().position(|touched| Some(touched.at) == schema.expires_at).unwrap_or_default();
            (columns[touched[at].at].unit.code(), (at + 1).to_string())
        }
    };
    let mut command = PATCH.call(&address.key);
    command.arg(&target.keys.prefix).arg(&schema.registration).arg(touched.len()).arg(indexed).arg(others.len());
    command.arg(word).arg(number);
    for at in touched.iter().map(|touched| touched.at).chain(others.iter().copied()) {
        command.arg(columns[at].name());
    }
    for touched in &touched[..indexed] {
        command.arg(index_spec(&columns[touched.at], touched.ordinal));
    }
    let groups = 7 + touched.len() + others.len() + 2 * indexed;
    for at in 0..indexed {
        command.arg(groups + 5 * at + 2);
    }
    for touched in &touched {
        let column = &columns[touched.at];
        let lacking = column.default.and_then(|default| default());
        let lacking = lacking.unwrap_or_else(|| if column.is_nullable() { b"0".to_vec() } else { Vec::new() });
        command.arg(touched.what).arg(&touched.value).arg(touched.bounds.0).arg(touched.bounds.1).arg(lacking);
    }
    let version = touched.iter().find(|touched| touched.what == "v" && !touched.value.is_empty());
    let expected = version.map(|touched| touched.value.clone());
    let counts = |touched: &Touched| matches!(touched.what, "+" | "v");
    let repeatable = expected.is_some() || !touched.iter().any(counts);
    Call { command, write: Write { key: address.key, operation: "patch", repeatable, expected } }
}

/// What patch.lua does for a change.
fn touch(schema: &ModelSchema, at: usize, what: What) -> Result<Touched> {
    let column = &schema.columns()[at];
    let none = ("", "");
    let (what, value, ordinal, bounds) = match what {
        What::Set { stored, ordinal } => {
            if column.is_indexed() {
                check_indexed(column.kind, &stored)
                    .map_err(|reason| Error::bad_data(schema.name(), column.name(), reason))?;
            }
            ("=", stored, ordinal, none)
        }
        What::Clear => ("-", Vec::new(), 0, none),
        What::Add { by, bounds } => ("+", by, 0, bounds),
        What::Expect(version) => ("v", version, 0, column.bounds),
    };
    Ok(Touched { at, what, value, ordinal, bounds })
}

pub(crate) async fn patch<M: RedisModel>(db: &Db, id: &M::Id, changes: Vec<ColumnChange<M>>) -> Result<Patched<M>> {
    let target = Target::new::<M>(db);
    let schema = target.schema;
    let address = target.address(id)?;
    let mut touched: Vec<Touched> = Vec::with_capacity(changes.len() + 2);
    for change in changes {
        let refuse = |reason| Error::bad_data(schema.name(), schema.columns()[change.at].name(), reason);
        if touched.iter().any(|touched| touched.at == change.at) {
            return Err(refuse(ValueError::new("the patch changes the column twice. Make one change of them")));
        }
        touched.push(touch(schema, change.at, change.what.map_err(refuse)?)?);
    }
    // What Redis assigns at each write.
    for &at in &schema.automatic {
        let column: &ColumnSchema = &schema.columns()[at];
        let (what, value) = match column.automatic {
            Some(Automatic::Version) => ("v", ""),
            Some(Automatic::UpdatedAt) => ("t", column.unit.code()),
            _ => continue,
        };
        if touched.iter().all(|touched| touched.at != at) {
            touched.push(Touched { at, what, value: value.into(), ordinal: 0, bounds: column.bounds });
        }
    }
    let life = match (schema.expires_at, schema.ttl) {
        (Some(at), _) if touched.iter().any(|touched| touched.at == at) => Life::Column,
        (None, Some((milliseconds, true))) => Life::After(milliseconds),
        _ => Life::AsBefore,
    };
    // The order in which the script answers.
    touched.sort_by_key(|touched| !schema.columns()[touched.at].is_indexed());
    let counted: Vec<usize> =
        touched.iter().filter(|touched| matches!(touched.what, "+" | "v")).map(|touched| touched.at).collect();
    let call = patch_call(&target, address, touched, &life);
    let values = target.run(db, &PATCH, &call).await?;
    let values = counted.into_iter().zip(values.into_iter().skip(1).map(reply::bytes));
    Ok(Patched { values: values.collect(), model: PhantomData })
}

/// Sets how long a record lives, and the column that says so where its model has one.
pub(crate) async fn expire<M: RedisModel>(db: &Db, id: &M::Id, life: Life, operation: &'static str) -> Result<()> {
    let target = Target::new::<M>(db);
    let schema = target.schema;
    let mut touched = Vec::new();
    if let Some(at) = schema.expires_at {
        let column = &schema.columns()[at];
        if matches!(life, Life::Never) && !column.is_nullable() {
            let reason = ValueError::new(
                "the record cannot live for ever, as the column is no `Option`. Make it one, or set a late time",
            );
            return Err(Error::bad_data(schema.name(), column.name(), reason));
        }
        touched.push(Touched { at, what: "d", value: column.unit.code().into(), ordinal: 0, bounds: ("", "") });
    }
    let mut call = patch_call(&target, target.address(id)?, touched, &life);
    call.write.operation = operation;
    target.run(db, &PATCH, &call).await.map(drop)
}

/// How long a record still lives; `None` for ever.
pub(crate) async fn ttl<M: RedisModel>(db: &Db, id: &M::Id) -> Result<Option<std::time::Duration>> {
    let address = Target::new::<M>(db).address(id)?;
    match db.send(redis::cmd("PTTL").arg(&address.key)).await? {
        Value::Int(-1) => Ok(None),
        Value::Int(milliseconds) if milliseconds >= 0 => {
            Ok(Some(std::time::Duration::from_millis(milliseconds as u64)))
        }
        _ => Err(Error::NotFound { model: M::schema().name(), key: crate::codec::printable(&address.key) }),
    }
}
