//! The verbs of a model.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt};

use crate::error::{Error, Result};
use crate::model::codec::{RecordReader, RecordWriter};
use crate::model::id::ModelId;
use crate::model::schema::ModelSchema;
use crate::model::target::{Address, Target};
use crate::query::Query;
use crate::query::column::Column;
use crate::query::filter::IntoFilter;
use crate::server::Db;
use crate::text::printable;
use crate::trace::operation;
use crate::upkeep::check::{self, CheckReport};
use crate::upkeep::migrate::{self, Migration};
use crate::upkeep::purge;
use crate::value::{ColumnType, ColumnValue, IntoValue};
use crate::write::bulk::{self, DeleteReport, Records, SaveReport};
use crate::write::import::{Import, IntoRecord};
use crate::write::patch::{self, ColumnChange, Lifetime, Patched};
use crate::write::record::{self, Saved, Verb};

pub(crate) mod codec;
pub(crate) mod description;
pub mod id;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod registration;
pub mod schema;
pub(crate) mod stored;
pub(crate) mod target;

/// A struct whose values are records in Redis, with the verbs that save, load, change and find
/// them.
///
/// `#[derive(RedisModel)]` implements it. [The derive](derive@crate::RedisModel#) lists the
/// attributes that give a column an index, an order and more.
///
/// ```no_run
/// use subconscious::{Db, RedisModel};
///
/// #[derive(Debug, RedisModel)]
/// struct User {
///     #[column(primary_key)]
///     id: u64,
///     #[column(index, sort)]
///     age: u8,
///     #[column(index)]
///     country: Option<String>,
/// }
///
/// # async fn run(db: Db) -> subconscious::Result<()> {
/// let mut user = User { id: 7, age: 30, country: Some("CH".into()) };
/// user.save(&db).await?;
/// User::patch(&db, 7, |u| [u.age.set(31), u.country.clear()]).await?;
/// let found: Option<User> = User::load(&db, 7).await?;
/// let adults: Vec<User> = User::filter_by(|u| u.age.ge(18)).fetch(&db).await?;
/// let gone: bool = User::delete_by_id(&db, 7).await?;
/// # Ok(()) }
/// ```
///
/// Pass an id by value or by reference, text also as `&str`, and a composite key as a tuple of its
/// columns in declared order: see [`IntoValue`].
///
/// # Round trips
///
/// Every write is one script, which the server runs as one step: the record and all its index
/// entries change together or not at all. Each verb names its usual number of round trips. It takes
/// one more for a script that the server does not know yet, two more for the first record of a
/// model, and one more for a connection that was idle for a second, because the connection is
/// tested first.
///
/// # Errors
///
/// Any verb may fail with [`Error::Redis`](crate::Error::Redis): the server refused the call, or
/// can't be reached. An id that has no stored form or more than 1,024 bytes is
/// [`Error::BadData`](crate::Error::BadData). If the stored indexes are not this model's, verbs
/// fail with [`Error::Schema`](crate::Error::Schema), until [`migrate`](RedisModel::migrate) has
/// changed them. This does not apply to `load`, `load_many`, `reload`, `exists` and `ttl`, nor to a
/// delete of a record that does not exist. Each verb lists its further errors.
///
/// # Cancel safety
///
/// A future that only reads can be dropped at any time. If the future of a write is dropped, the
/// write was done as a whole or not at all, and it is not known which. Only
/// [`take`](RedisModel::take) is not cancel safe: the record may be removed although nobody
/// received it.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a model", note = "add `#[derive(RedisModel)]` to it")]
pub trait RedisModel: Sized + Send + Sync + 'static {
    /// The type of the primary key, or a tuple of the types of the composite key in declared order.
    type Id: ModelId;

    /// The model's columns. Each can be filtered and ordered by as its attributes allow.
    type Columns: Copy;

    /// The schema of the model: its name, its columns and what each of them can do.
    fn schema() -> &'static ModelSchema;

    /// The columns that the closures of queries and patches receive.
    fn columns() -> Self::Columns;

    /// The record's id.
    fn id(&self) -> Self::Id;

    #[doc(hidden)]
    fn write(&self, record: &mut RecordWriter) -> Result<()>;

    #[doc(hidden)]
    fn read(record: &mut RecordReader<'_>) -> Result<Self>;

    #[doc(hidden)]
    fn set_automatic(&mut self, values: &mut RecordReader<'_>) -> Result<()> {
        let _ = values;
        Ok(())
    }

    /// Inserts the record, or replaces the one with the same id. Fills in the columns that Redis
    /// assigns. One round trip.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct Note { #[column(primary_key, auto_increment)] id: u64, text: String }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let mut note = Note { id: 0, text: "buy milk".into() }; // its id is `auto_increment`
    /// note.save(&db).await?;
    /// println!("note {} is saved", note.id);
    /// # Ok(()) }
    /// ```
    ///
    /// Fields of the stored record that this model does not have are kept: they belong to another
    /// version of the program. A record that exists already keeps its time to live, unless a column
    /// with `expires_at`, or the model's `ttl` with `renew`, sets a new one.
    ///
    /// # Errors
    ///
    /// - [`Error::BadData`](crate::Error::BadData) if a value can't be stored: nothing is sent.
    ///   Also if an `auto_increment` column has a value that Redis did not assign: nothing is
    ///   written.
    /// - [`Error::NotFound`](crate::Error::NotFound) if Redis did assign that value, and the record
    ///   was deleted meanwhile.
    /// - [`Error::OutOfRange`](crate::Error::OutOfRange) if a `version` or `auto_increment` column
    ///   is at the end of its type.
    /// - [`Error::Duplicate`](crate::Error::Duplicate) if another record has the value of a
    ///   `unique` column.
    /// - [`Error::Conflict`](crate::Error::Conflict) if the record has another `version` or was
    ///   deleted.
    /// - [`Error::Schema`](crate::Error::Schema) if the stored indexes are not this model's.
    /// - [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection broke before the
    ///   answer arrived.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was written with all its index entries or not at all;
    /// it is not known which.
    fn save(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "save", save(self, db, Verb::Save))
    }

    /// Inserts the record. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if a record with the same id exists;
    /// otherwise as [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn insert(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "insert", save(self, db, Verb::Insert))
    }

    /// Replaces the record with the same id. A `created_at` column keeps its value. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if no record has the id, whatever its `version`
    /// is; otherwise as [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn update(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "update", save(self, db, Verb::Update))
    }

    /// Saves many records in pipelines of 500, two pipelines at a time. Each pipeline is one round
    /// trip. Each record is saved in a step of its own, as by [`save`](Self::save): if one fails,
    /// the others are still saved.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails: it is then not known which records were saved.
    /// Errors of single records are in the report.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each record was saved with all its index entries or not at all.
    fn save_many(db: &Db, records: &mut [Self]) -> impl Future<Output = Result<SaveReport>> + Send {
        operation(Self::schema(), "save_many", async move {
            let mut records = records;
            bulk::save_many(db, &target::<Self>(db), &mut records).await
        })
    }

    /// Saves the records of a stream, as [`save_many`](Self::save_many) does. It holds two
    /// pipelines of records at a time. For an iterator, use `futures::stream::iter`. An item may
    /// also be a `Result` of a record. After each pipeline, `progress` receives the report so far.
    /// The records are dropped, so the values that Redis assigns to them are not returned.
    ///
    /// # Errors
    ///
    /// As [`save_many`](Self::save_many). An item that is an error is a failure in the report
    /// ([`Error::Source`](crate::Error::Source)), and the stream is read on.
    ///
    /// # Cancel safety
    ///
    /// As [`save_many`](Self::save_many).
    fn save_stream<S, P>(db: &Db, records: S, progress: P) -> impl Future<Output = Result<SaveReport>> + Send
    where
        S: Stream + Send,
        S::Item: IntoRecord<Self>,
        P: FnMut(&SaveReport) + Send,
    {
        let (records, mut progress) = (writers(records), progress);
        operation(Self::schema(), "save_stream", async move {
            bulk::save_stream(db, &target::<Self>(db), Verb::Save, pin!(records), &mut progress).await
        })
    }

    /// Saves the records of a stream as they are: with their ids, numbers, versions and times,
    /// which are assigned by Redis otherwise. It is for records from another database, or from a
    /// backup.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # use futures::Stream;
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key, auto_increment)] id: u64, name: String }
    /// # async fn run<S>(db: Db, rows: S) -> subconscious::Result<()>
    /// # where S: Stream<Item = std::io::Result<User>> + Send {
    /// let import = User::import(&db, rows);
    /// let report = import.progress(|so_far| println!("{} saved", so_far.saved)).await?;
    /// for (position, error) in &report.failed {
    ///     println!("record {position}: {error}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// An item of the stream is a record or a `Result` of one. A record with the same id is
    /// replaced, so an import that was stopped can be started anew. What has the value 0 or null is
    /// assigned as by a [`save`](Self::save), except a version. The sequence of an `auto_increment`
    /// column moves past the greatest number of the records, so that no later record gets one of
    /// them. A time to live begins with the import; an `expires_at` of the record is kept.
    ///
    /// It works in pipelines of 500 records as [`save_many`](Self::save_many) does, two at a time,
    /// and holds no more than these. If the server is slower than the stream, the stream waits.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails: it is then not known which records of the last two
    /// pipelines were saved. Errors of single records, and items that are errors
    /// ([`Error::Source`](crate::Error::Source)), are in the report.
    ///
    /// # Cancel safety
    ///
    /// As [`save_many`](Self::save_many).
    fn import<'a, S>(db: &'a Db, records: S) -> Import<'a, Self>
    where
        S: Stream + Send + 'a,
        S::Item: IntoRecord<Self>,
    {
        Import::new(db, writers(records))
    }

    /// The record with the id, or `None`. One round trip: a plain HMGET.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] name: String }
    /// # #[derive(RedisModel)]
    /// # struct Seat { #[column(composite_key)] row: char, #[column(composite_key)] number: u16 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let user: Option<User> = User::load(&db, "kim").await?;
    /// let seat: Option<Seat> = Seat::load(&db, ('C', 7)).await?; // a composite key
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) or
    /// [`Error::MissingColumn`](crate::Error::MissingColumn) if the stored data is not a record of
    /// this model.
    fn load(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<Option<Self>>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "load", async move {
            let target = target::<Self>(db);
            let address = address::<Self>(&target, &id)?;
            record::load(&db.reading(), &target, &address).await?.as_mut().map(Self::read).transpose()
        })
    }

    /// The records with the ids, in the order of the ids; `None` for an id without a record. One
    /// round trip for any number of ids.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), for the first record that can't be read.
    fn load_many<I>(db: &Db, ids: I) -> impl Future<Output = Result<Vec<Option<Self>>>> + Send
    where
        I: IntoIterator + Send,
        I::Item: IntoValue<Self::Id>,
    {
        let ids: Vec<Self::Id> = ids.into_iter().map(IntoValue::into_value).collect();
        operation(Self::schema(), "load_many", async move {
            let target = target::<Self>(db);
            let addresses = ids.iter().map(|id| address::<Self>(&target, id)).collect::<Result<Vec<_>>>()?;
            let replies = record::load_many(&db.reading(), &target, &addresses).await?;
            let records = addresses.iter().zip(replies).map(|(address, fields)| {
                let found = record::found(target.schema, &address.key, address.id(), fields?)?;
                found.map(|mut found| Self::read(&mut found)).transpose()
            });
            records.collect()
        })
    }

    /// Whether there is a record with the id. One round trip.
    ///
    /// # Errors
    ///
    /// None but [those of all verbs](RedisModel#errors).
    fn exists(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<bool>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "exists", async move {
            record::exists(&db.reading(), &address::<Self>(&target::<Self>(db), &id)?).await
        })
    }

    /// Reads the record again, with all changes that others have made since. Columns with `skip`
    /// get their defaults. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if the record no longer exists; `self` then
    /// stays as it is. Otherwise as [`load`](Self::load).
    fn reload(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "reload", async move {
            let target = target::<Self>(db);
            let address = address::<Self>(&target, &self.id())?;
            let mut found = record::load(db, &target, &address).await?;
            let Some(found) = &mut found else {
                return Err(Error::NotFound { model: target.schema.name(), key: printable(&address.key) });
            };
            *self = Self::read(found)?;
            Ok(())
        })
    }

    /// Removes the record and its index entries. Returns whether the record existed. One round
    /// trip.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`](crate::Error::Conflict) if the model has a `version` and the stored
    /// record has another one: nothing is removed. [`delete_by_id`](Self::delete_by_id) does not
    /// compare versions. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection
    /// broke before the answer arrived.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was removed with all its index entries or not at all;
    /// it is not known which.
    fn delete(&self, db: &Db) -> impl Future<Output = Result<bool>> + Send {
        let (id, record) = (self.id(), encoded(self));
        operation(Self::schema(), "delete", async move {
            let target = target::<Self>(db);
            record::delete(db, &target, address::<Self>(&target, &id)?, record::version(&record?)).await
        })
    }

    /// Removes the record with the id, whatever its version: see [`delete`](Self::delete).
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    ///
    /// # Cancel safety
    ///
    /// As [`delete`](Self::delete).
    fn delete_by_id(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<bool>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "delete_by_id", async move {
            let target = target::<Self>(db);
            record::delete(db, &target, address::<Self>(&target, &id)?, None).await
        })
    }

    /// Removes the records with the ids in pipelines of 500, two pipelines at a time. Each pipeline
    /// is one round trip. Each record is removed in a step of its own, as by
    /// [`delete_by_id`](Self::delete_by_id). The ids are taken from the iterator as they are sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails: it is then not known which records were removed.
    /// Errors of single records are in the report.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each record was removed with all its index entries or not at all.
    fn delete_many<I>(db: &Db, ids: I) -> impl Future<Output = Result<DeleteReport>> + Send
    where
        I: IntoIterator,
        I::IntoIter: Send,
        I::Item: IntoValue<Self::Id>,
    {
        let ids = ids.into_iter();
        operation(Self::schema(), "delete_many", async move {
            let target = target::<Self>(db);
            let mut addresses = ids.map(|id| address::<Self>(&target, &id.into_value()));
            bulk::delete_many(db, &target, &mut addresses).await
        })
    }

    /// Reads and removes the record with the id in one step. If several callers take it at the same
    /// time, one of them gets it. One round trip.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(Debug, RedisModel)]
    /// # struct Invitation { #[column(primary_key)] code: String }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// match Invitation::take(&db, "x7f2").await? {
    ///     Some(invitation) => println!("welcome: {invitation:?}"), // nobody else gets it
    ///     None => println!("it is used, or never was"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection broke before the
    /// answer arrived: the record may then be lost. [`Error::Corrupt`](crate::Error::Corrupt) or
    /// [`Error::MissingColumn`](crate::Error::MissingColumn) if the stored data was not a record of
    /// this model; it is removed all the same.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the record may have been removed and is then
    /// lost.
    fn take(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<Option<Self>>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "take", async move {
            let target = target::<Self>(db);
            let address = address::<Self>(&target, &id)?;
            record::take(db, &target, &address).await?.as_mut().map(Self::read).transpose()
        })
    }

    /// Changes some columns of a record in one step, without reading it. One round trip, which
    /// sends only these columns.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, age: u8, country: Option<String>, visits: u64 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let patched = User::patch(&db, 7, |u| [u.age.set(31), u.country.clear(), u.visits.incr(1)]).await?;
    /// let visits: Option<u64> = patched.get(|u| u.visits); // the new number
    /// User::patch(&db, 7, |u| u.visits.incr(1)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// If the model has a `version` or `updated_at` column, the patch increases the version and
    /// sets the time. With [`Column::expected`](crate::Column::expected), the record is changed
    /// only if it has that version. The time to live stays as it is, unless the patch changes the
    /// column with `expires_at`, or the model's `ttl` has `renew`.
    /// # Errors
    ///
    /// Nothing is written in any of these cases, except possibly in the last one:
    ///
    /// - [`Error::NotFound`](crate::Error::NotFound) if there is no such record.
    /// - [`Error::BadData`](crate::Error::BadData) if a value can't be stored, or a column is
    ///   changed twice.
    /// - [`Error::OutOfRange`](crate::Error::OutOfRange) if a sum is beyond the column's type.
    /// - [`Error::MissingColumn`](crate::Error::MissingColumn) or
    ///   [`Error::Corrupt`](crate::Error::Corrupt) if there is no number to add to.
    /// - [`Error::Duplicate`](crate::Error::Duplicate) and
    ///   [`Error::Conflict`](crate::Error::Conflict) as with [`save`](Self::save).
    /// - [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) as with [`save`](Self::save): it
    ///   is then not safe to repeat an `incr`.
    /// # Cancel safety
    ///
    /// If the future is dropped, either all of the changes were made or none; it is not known
    /// which.
    fn patch<I>(
        db: &Db,
        id: impl IntoValue<Self::Id> + Send,
        changes: impl FnOnce(Self::Columns) -> I,
    ) -> impl Future<Output = Result<Patched<Self>>> + Send
    where
        I: IntoIterator<Item = ColumnChange<Self>>,
    {
        let id = id.into_value();
        let changes = changes(Self::columns()).into_iter().map(ColumnChange::into_parts).collect();
        operation(Self::schema(), "patch", async move {
            let target = target::<Self>(db);
            let values = patch::patch(db, &target, address::<Self>(&target, &id)?, changes).await?;
            Ok(Patched::new(values))
        })
    }

    /// Lets the stored record live for this duration from now on, by the server's clock. The
    /// duration is rounded up to whole milliseconds. One round trip.
    ///
    /// If the model has a column with `expires_at`, the stored column is set as well, but the field
    /// of `self` is not. A deadline after the year 9999 is set to the end of that year. `version`
    /// and `updated_at` stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such record;
    /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection broke before the
    /// answer arrived.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the deadline was changed or not; it is not known which.
    fn expire(&self, db: &Db, after: Duration) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, self.id(), Lifetime::After(patch::milliseconds(after)), "expire")
    }

    /// Lets the record with the id live for this duration from now on: see
    /// [`expire`](Self::expire). One round trip.
    ///
    /// # Errors
    ///
    /// As [`expire`](Self::expire).
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn expire_by_id(
        db: &Db,
        id: impl IntoValue<Self::Id> + Send,
        after: Duration,
    ) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, id.into_value(), Lifetime::After(patch::milliseconds(after)), "expire_by_id")
    }

    /// Lets the stored record live until this time, rounded up to whole milliseconds: see
    /// [`expire`](Self::expire). If the time has already passed, the record expires at once. One
    /// round trip.
    ///
    /// # Errors
    ///
    /// As [`expire`](Self::expire).
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn expire_at(&self, db: &Db, at: impl Into<SystemTime>) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, self.id(), until(at.into()), "expire_at")
    }

    /// Lets the record with the id live until this time: see [`expire_at`](Self::expire_at). One
    /// round trip.
    ///
    /// # Errors
    ///
    /// As [`expire`](Self::expire).
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn expire_at_by_id(
        db: &Db,
        id: impl IntoValue<Self::Id> + Send,
        at: impl Into<SystemTime>,
    ) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, id.into_value(), until(at.into()), "expire_at_by_id")
    }

    /// Lets the stored record live for ever: see [`expire`](Self::expire). One round trip.
    ///
    /// # Errors
    ///
    /// As [`expire`](Self::expire); [`Error::BadData`](crate::Error::BadData) if the model has a
    /// column with `expires_at` that is not an `Option`.
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn persist(&self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, self.id(), Lifetime::Never, "persist")
    }

    /// Lets the record with the id live for ever: see [`persist`](Self::persist). One round trip.
    ///
    /// # Errors
    ///
    /// As [`persist`](Self::persist).
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn persist_by_id(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<()>> + Send {
        expire::<Self>(db, id.into_value(), Lifetime::Never, "persist_by_id")
    }

    /// The remaining time to live of the record; `None` if it lives for ever. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such record.
    fn ttl(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<Option<Duration>>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "ttl", async move {
            let target = target::<Self>(db);
            patch::ttl(db, &target, &address::<Self>(&target, &id)?).await
        })
    }

    /// Removes the rows and index entries of expired records. Returns how many records it removed.
    /// One round trip for 64 records.
    ///
    /// Calling it is optional: no answer contains an expired record. A save or delete also removes
    /// up to 8 expired records, and a query removes all of them. A timer that calls this function
    /// spares them that work.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each record was removed with all its index entries or not at all.
    #[cfg_attr(not(doc), doc(hidden))]
    fn purge_expired(db: &Db) -> impl Future<Output = Result<u64>> + Send {
        operation(Self::schema(), "purge_expired", async move { purge::purge_expired(db, &target::<Self>(db)).await })
    }

    /// Compares the indexes with the records, in both directions, and reports the differences. This
    /// library never makes them differ, but other programs, evictions and partial restores can.
    ///
    /// It works in steps of about 0.5 ms of the server's time, while others read and write. Their
    /// changes are never mistaken for damage. Expired records are skipped. It takes two round trips
    /// for 16 records, one for up to 32 steps through index entries, and one for 500 keys of the
    /// whole database, which it scans four times.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](crate::Error::Schema) if the stored indexes or the types of columns are
    /// those of another version of the model, or indexes are still being built. The report lists
    /// what is wrong with keys and records.
    #[cfg_attr(not(doc), doc(hidden))]
    fn check(db: &Db) -> impl Future<Output = Result<CheckReport>> + Send {
        operation(Self::schema(), "check", check::check(db, target::<Self>(db), try_to_read::<Self>, false))
    }

    /// Does what [`check`](Self::check) does, at the same cost, and repairs what it finds. The
    /// records count as correct, and the indexes are changed to match them. Each
    /// [`Fault`](crate::Fault) says how it is repaired. No column of a record is changed, and no
    /// record is deleted.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, what was repaired stays repaired; the rest stays as it was.
    #[cfg_attr(not(doc), doc(hidden))]
    fn repair(db: &Db) -> impl Future<Output = Result<CheckReport>> + Send {
        operation(Self::schema(), "repair", check::check(db, target::<Self>(db), try_to_read::<Self>, true))
    }

    /// Adds the indexes and column types of this model that the server lacks. Call it when a
    /// program starts.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(index)] age: u8 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let done = User::migrate(&db).await?;
    /// println!("indexes built: {:?}", done.built);
    /// # Ok(()) }
    /// ```
    ///
    /// It is needed when a column gains `index`, `sort` or `unique`, or when the type of a column
    /// changes. A new column without these attributes needs no migration if it is nullable or has a
    /// `default`. If the server has all that this model needs, the call is one round trip. Otherwise
    /// it works in steps of up to 48 index entries; each step is one round trip and takes about 0.5
    /// ms of the server's time.
    ///
    /// It removes nothing: older programs go on reading and writing meanwhile and afterwards, and
    /// maintain the new indexes as well. An older program that calls it removes nothing, either.
    /// [`drop_unused_indexes`](Self::drop_unused_indexes) removes what no program needs any more. A
    /// query that needs an index that is still being built is refused. If the migration is stopped,
    /// the next call continues it. Several callers at the same time share the work.
    ///
    /// Before it changes anything, it reads the stored values of each column that gets an index, or
    /// a type that may not read all of them, in eleven round trips for 1,000 records. It refuses to
    /// migrate if one of them can't be read or indexed, or if two records have the same value of a
    /// column that becomes unique. It does not notice values that another program writes to a record
    /// after that record was read: these are found while the index is built, or by a load.
    ///
    /// # Errors
    ///
    /// In these cases nothing was changed; change the record with the older program and call it
    /// again:
    ///
    /// - [`Error::Corrupt`](crate::Error::Corrupt) if the column's new type can't read a stored
    ///   value.
    /// - [`Error::BadData`](crate::Error::BadData) if a stored value is too long to be indexed.
    /// - [`Error::MissingColumn`](crate::Error::MissingColumn) if a record lacks a column that gets
    ///   a type or an index, and that column is no `Option` and has no `default`.
    /// - [`Error::Duplicate`](crate::Error::Duplicate) if two records have the same value of a
    ///   column that is to be unique. If a program wrote one of them meanwhile, the index is left
    ///   unfinished: change one of the records, and call it again.
    /// - [`Error::Schema`](crate::Error::Schema) if the key or the layout has changed, which can't
    ///   be migrated, or if an index was changed to another form by a newer program.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the migration stops where it is, and the next call continues it.
    #[cfg_attr(not(doc), doc(hidden))]
    fn migrate(db: &Db) -> impl Future<Output = Result<Migration>> + Send {
        Self::migrate_with(db, |_| ())
    }

    /// Does what [`migrate`](Self::migrate) does; after each step, `progress` receives the state of
    /// the migration.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate`](Self::migrate).
    #[cfg_attr(not(doc), doc(hidden))]
    fn migrate_with(
        db: &Db,
        progress: impl FnMut(&Migration) + Send,
    ) -> impl Future<Output = Result<Migration>> + Send {
        let mut progress = progress;
        operation(
            Self::schema(),
            "migrate",
            async move { migrate::migrate(db, &target::<Self>(db), &mut progress).await },
        )
    }

    /// Removes the indexes that this model does not have, and the `unique` and the stored `default`
    /// of columns where this model has none. Call it when no program needs them any more: programs
    /// that do are refused from then on, until one of them calls [`migrate`](Self::migrate). Loads
    /// still work.
    ///
    /// One round trip, and if there is anything to remove, one for 500 keys of the whole database
    /// and one for 100 keys of the indexes.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](crate::Error::Schema) if the layout is an older one, or if the key or the
    /// type of a column is another one than any stored; then nothing is dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the indexes are not used any more, and the next call of this or
    /// [`migrate`](Self::migrate) removes what is left of their keys.
    #[cfg_attr(not(doc), doc(hidden))]
    fn drop_unused_indexes(db: &Db) -> impl Future<Output = Result<Migration>> + Send {
        operation(Self::schema(), "drop_unused_indexes", async move {
            migrate::drop_unused_indexes(db, &target::<Self>(db)).await
        })
    }

    /// Changes all records, each as the function says, and returns how many were changed: for a
    /// column that is replaced by another one, or whose values get another form.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, name: Option<String>, #[column(index)] first_name: Option<String> }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let changed: u64 = User::rewrite(&db, |user| {
    ///     user.first_name = user.first_name.take().or(user.name.take());
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// It works in steps of 500 records, of three or four round trips, beside other writers. Each
    /// record is changed together with its index entries in one atomic step, as by a
    /// [`patch`](Self::patch) of the columns that differ, and only if nobody has changed it since it
    /// was read. Otherwise it is read again, and the function is called once more. Records that stay
    /// as they are, are not written. A record that is saved meanwhile for the first time may be left
    /// out. The call as a whole is not atomic.
    ///
    /// # Errors
    ///
    /// As [`Query::fetch`] and [`patch`](Self::patch);
    /// [`Error::BadData`](crate::Error::BadData) if the function changes a key or a column that
    /// Redis fills. What was changed before the error stays changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some of the records are changed and the others are not.
    #[cfg_attr(not(doc), doc(hidden))]
    fn rewrite(db: &Db, change: impl Fn(&mut Self) + Send + Sync) -> impl Future<Output = Result<u64>> + Send {
        async move { Query::<Self>::new().rewrite(db, change).await }
    }

    /// A query for all records. Nothing is sent until one of its verbs runs it.
    fn all() -> Query<Self> {
        Query::new()
    }

    /// The same as [`all`](Self::all), to be narrowed by [`Query::filter`].
    fn query() -> Query<Self> {
        Query::new()
    }

    /// A query for the records that match, such as
    /// `User::filter_by(|u| u.age.ge(18) & u.country.eq("CH"))`. See [`Query`] and
    /// [`Column`](crate::Column).
    fn filter_by<F: IntoFilter<Self>>(filter: impl FnOnce(Self::Columns) -> F) -> Query<Self> {
        Query::new().filter(filter)
    }
}

impl<M: RedisModel> Patched<M> {
    /// The new value of a column that the patch changed by `incr` or `decr`, or of the version;
    /// `None` for other columns.
    pub fn get<T: ColumnType, C>(&self, column: impl FnOnce(M::Columns) -> Column<M, T, C>) -> Option<T::Value> {
        T::Value::decode(self.stored(column(M::columns()).at())?).ok()
    }
}

fn target<M: RedisModel>(db: &Db) -> Target {
    Target::new(db, M::schema())
}

fn address<M: RedisModel>(target: &Target, id: &M::Id) -> Result<Address> {
    target.address(|key| id.encode(target.schema, key))
}

pub(crate) fn encoded<M: RedisModel>(record: &M) -> Result<RecordWriter> {
    let mut writer = RecordWriter::new(M::schema());
    record.write(&mut writer)?;
    Ok(writer)
}

/// The records of a stream, encoded as they are read.
fn writers<M: RedisModel, S>(records: S) -> impl Stream<Item = Result<RecordWriter>>
where
    S: Stream,
    S::Item: IntoRecord<M>,
{
    records.map(|item| item.into_record().and_then(|record| encoded(&record)))
}

fn assign<M: RedisModel>(record: &mut M, mut saved: Saved) -> Result<()> {
    saved.assigned(M::schema()).map_or(Ok(()), |mut values| record.set_automatic(&mut values))
}

fn try_to_read<M: RedisModel>(record: &mut RecordReader<'_>) -> Result<()> {
    M::read(record).map(drop)
}

async fn save<M: RedisModel>(record: &mut M, db: &Db, verb: Verb) -> Result<()> {
    let saved = record::save(db, &target::<M>(db), encoded(record)?, verb).await?;
    assign(record, saved)
}

fn expire<M: RedisModel>(
    db: &Db,
    id: M::Id,
    lifetime: Lifetime,
    name: &'static str,
) -> impl Future<Output = Result<()>> + Send {
    operation(M::schema(), name, async move {
        let target = target::<M>(db);
        patch::expire(db, &target, address::<M>(&target, &id)?, lifetime, name).await
    })
}

fn until(time: SystemTime) -> Lifetime {
    Lifetime::At(patch::milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
}

impl<M: RedisModel> Records for &mut [M] {
    fn len(&self) -> usize {
        <[M]>::len(self)
    }

    fn encode(&self, at: usize) -> Result<RecordWriter> {
        encoded(&self[at])
    }

    fn assign(&mut self, at: usize, saved: Saved) -> Result<()> {
        assign(&mut self[at], saved)
    }
}
