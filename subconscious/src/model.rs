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
use crate::query::filter::Filter;
use crate::server::Db;
use crate::text::printable;
use crate::trace::operation;
use crate::upkeep::check::{self, CheckReport};
use crate::upkeep::migrate::{self, Migration};
use crate::upkeep::purge;
use crate::value::{ColumnType, ColumnValue, IntoValue};
use crate::write::bulk::{self, DeleteReport, Records, SaveReport};
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
pub(crate) mod target;

/// A struct whose values are records in Redis, with the verbs that save, load, change and find
/// them.
///
/// `#[derive(RedisModel)]` implements it; the attributes that give a column an index, an order and
/// more are listed at [the derive](derive@crate::RedisModel#).
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
/// An id is given by value or by reference, text also as `&str`, and a composite key as a tuple in
/// declared order: see [`IntoValue`].
///
/// # Round trips
///
/// Every write is one script, which the server runs as one step: the record and all its index
/// entries change together or not at all. The number of round trips that a verb names is the usual
/// one. There is one more for a script that the server does not know yet, two more for the first
/// record of a model, and one more for a connection that was idle for a second, as it is tried
/// first.
///
/// # Errors
///
/// Any verb may fail with [`Error::Redis`](crate::Error::Redis): the server refused, or can't be
/// reached. An id that has no stored form or more than 1,024 bytes is
/// [`Error::BadData`](crate::Error::BadData). If the stored indexes are not this model's, all verbs
/// but `load`, `load_many`, `reload`, `exists` and `ttl` fail with
/// [`Error::Schema`](crate::Error::Schema), until [`migrate`](RedisModel::migrate) has changed
/// them. Each verb lists what else there is.
///
/// # Cancel safety
///
/// A future that only reads can be dropped at any time. If that of a write is dropped, the write
/// was done as a whole or not at all, and which one is not known. Only [`take`](RedisModel::take)
/// is not cancel safe: the record may be gone, and nobody has it.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a model", note = "add `#[derive(RedisModel)]` to it")]
pub trait RedisModel: Sized + Send + Sync + 'static {
    /// The type of the primary key, or a tuple of the types of the composite key in declared order.
    type Id: ModelId;

    /// The model's columns, each to be filtered and ordered by as its attributes allow.
    type Columns: Copy;

    /// What the model looks like.
    fn schema() -> &'static ModelSchema;

    /// The columns, as the closures of queries and patches get them.
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

    /// Inserts the record, or replaces the one with the same id. Columns that Redis assigns are
    /// filled in. One round trip.
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
    /// version of the program. A record that is already there keeps its time to live, unless a
    /// column with `expires_at` or the model's `ttl` with `renew` sets it.
    ///
    /// # Errors
    ///
    /// [`Error::BadData`](crate::Error::BadData) if a value can't be stored: nothing is sent. Also
    /// if an `auto_increment` column has a value that Redis did not assign: nothing is written.
    /// [`Error::NotFound`](crate::Error::NotFound) if it did, and the record was deleted meanwhile.
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if a `version` or `auto_increment` column is
    /// at the end of its type. [`Error::Duplicate`](crate::Error::Duplicate) if another record has
    /// the value of a `unique` column, [`Error::Conflict`](crate::Error::Conflict) if the record
    /// has another `version` or was deleted. [`Error::Schema`](crate::Error::Schema) if the stored
    /// indexes are not this model's. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the
    /// connection broke before the answer came.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was written with all its index entries or not at all;
    /// which one is not known.
    fn save(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "save", save(self, db, Verb::Save))
    }

    /// Inserts the record. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if there is one with the same id;
    /// otherwise as [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn insert(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "insert", save(self, db, Verb::Insert))
    }

    /// Replaces the record with the same id. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is none; otherwise as
    /// [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn update(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        operation(Self::schema(), "update", save(self, db, Verb::Update))
    }

    /// Saves many records, in pipelines of 500, two at a time; each pipeline is a round trip. Each
    /// record is saved as by [`save`](Self::save), in one step of its own; one that fails does not
    /// keep the others from being saved.
    ///
    /// # Errors
    ///
    /// If the connection fails: then it is not known which records were saved. What is wrong with
    /// single records is in the report.
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

    /// Saves the records of a stream, as [`save_many`](Self::save_many) does, and holds two
    /// pipelines of them at a time. For an iterator, use `futures::stream::iter`. After each
    /// pipeline, `progress` gets the report so far. What Redis assigns to the records is not told,
    /// as they are dropped.
    ///
    /// # Errors
    ///
    /// As [`save_many`](Self::save_many).
    ///
    /// # Cancel safety
    ///
    /// As [`save_many`](Self::save_many).
    fn save_stream<S, P>(db: &Db, records: S, progress: P) -> impl Future<Output = Result<SaveReport>> + Send
    where
        S: Stream<Item = Self> + Send,
        P: FnMut(&SaveReport) + Send,
    {
        let (records, mut progress) = (records.map(|record| encoded(&record)), progress);
        operation(Self::schema(), "save_stream", async move {
            bulk::save_stream(db, &target::<Self>(db), pin!(records), &mut progress).await
        })
    }

    /// The record with the id, or `None`. One round trip, a plain HMGET.
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
    /// [`Error::MissingColumn`](crate::Error::MissingColumn) if what is stored is not a record of
    /// this model.
    fn load(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<Option<Self>>> + Send {
        let id = id.into_value();
        operation(Self::schema(), "load", async move {
            let target = target::<Self>(db);
            let address = address::<Self>(&target, &id)?;
            record::load(&db.reading(), &target, &address).await?.as_mut().map(Self::read).transpose()
        })
    }

    /// The records with the ids, in the order of the ids, `None` where there is none. One round
    /// trip, however many there are.
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

    /// Reads the record again, with what others have written since. Columns with `skip` get their
    /// defaults. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is none any more: the value stays as it
    /// is. Otherwise as [`load`](Self::load).
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

    /// Removes the record and its index entries. Says whether there was one. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`](crate::Error::Conflict) if the model has a `version` and the stored
    /// record has another one: nothing is removed; [`delete_by_id`](Self::delete_by_id) does not
    /// compare it. [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection broke
    /// before the answer came.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was removed with all its index entries or not at all;
    /// which one is not known.
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

    /// Removes the records with the ids, in pipelines of 500, two at a time; each pipeline is a
    /// round trip. Each record is removed in one step of its own, as by
    /// [`delete_by_id`](Self::delete_by_id). The ids are taken from the iterator as they are sent.
    ///
    /// # Errors
    ///
    /// If the connection fails: then it is not known which records were removed. What is wrong with
    /// single records is in the report.
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

    /// Reads and removes the record with the id in one step: of several callers at the same time,
    /// one gets it. One round trip.
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
    /// answer came: then the record may be gone for good. [`Error::Corrupt`](crate::Error::Corrupt)
    /// or [`Error::MissingColumn`](crate::Error::MissingColumn) if what was stored is not a record
    /// of this model; it is removed all the same.
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

    /// Changes some columns of a record, in one step and without reading it. One round trip, in
    /// which only these columns travel.
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
    /// `version` goes up and `updated_at` is set, if the model has them. With
    /// [`Column::expected`](crate::Column::expected) the record is changed only if it has that
    /// version. The time to live stays as it is, unless the column with `expires_at` is changed or
    /// the model's `ttl` has `renew`.
    ///
    /// # Errors
    ///
    /// Nothing is written, except maybe with the last of these:
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such record;
    /// [`Error::BadData`](crate::Error::BadData) if a value can't be stored or a column is changed
    /// twice; [`Error::OutOfRange`](crate::Error::OutOfRange) if a sum is beyond the column's type;
    /// [`Error::MissingColumn`](crate::Error::MissingColumn) or
    /// [`Error::Corrupt`](crate::Error::Corrupt) if there is no number to add to;
    /// [`Error::Duplicate`](crate::Error::Duplicate), [`Error::Conflict`](crate::Error::Conflict),
    /// and [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) as with [`save`](Self::save): to
    /// repeat an `incr` is not safe then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, all of the changes were made or none; which one is not known.
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

    /// Lets the stored record live for this long from now, by the server's clock, which counts in
    /// milliseconds: parts of one are rounded up. One round trip.
    ///
    /// If the model has a column with `expires_at`, that is set too, in the store and not in
    /// `self`. A time beyond the year 9999 counts as its end. `version` and `updated_at` stay as
    /// they are.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such record;
    /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the connection broke before the
    /// answer came.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it was done or not; which one is not known.
    fn expire(&self, db: &Db, after: Duration) -> impl Future<Output = Result<()>> + Send {
        expire(self, db, Lifetime::After(patch::milliseconds(after)), "expire")
    }

    /// Lets the stored record live until this time, rounded up to milliseconds: see
    /// [`expire`](Self::expire). If that has passed, the record is gone at once. One round trip.
    ///
    /// # Errors
    ///
    /// As [`expire`](Self::expire).
    ///
    /// # Cancel safety
    ///
    /// As [`expire`](Self::expire).
    fn expire_at(&self, db: &Db, at: impl Into<SystemTime>) -> impl Future<Output = Result<()>> + Send {
        let milliseconds = patch::milliseconds(at.into().duration_since(UNIX_EPOCH).unwrap_or_default());
        expire(self, db, Lifetime::At(milliseconds), "expire_at")
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
        expire(self, db, Lifetime::Never, "persist")
    }

    /// How long the record still lives; `None` if for ever. One round trip.
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

    /// Removes what is left of records that expired, and says how many there were. One round trip
    /// for 64 of them.
    ///
    /// Nobody has to call it: an expired record is in no answer, and saves and deletes remove up to
    /// 8 of them on their way, queries all of them. A timer that calls it spares them this.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each record was removed with all its index entries or not at all.
    fn purge_expired(db: &Db) -> impl Future<Output = Result<u64>> + Send {
        operation(Self::schema(), "purge_expired", async move { purge::purge_expired(db, &target::<Self>(db)).await })
    }

    /// Compares the indexes with the records, both ways, and says what differs. Nothing that this
    /// library does makes them differ; other programs, evictions and partial restores can.
    ///
    /// It works in steps of about half a millisecond of the server's time, while others read and
    /// write; what they do meanwhile is never taken for damage. Records that expired are passed
    /// over. It takes two round trips for 16 records, one for up to 32 steps through index entries,
    /// and one for 500 keys of the whole database, through which it goes four times.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](crate::Error::Schema) if the stored indexes are those of another version
    /// of the model, or still being built. What is wrong with keys and records is in the report.
    fn check(db: &Db) -> impl Future<Output = Result<CheckReport>> + Send {
        operation(Self::schema(), "check", check::check(db, target::<Self>(db), try_to_read::<Self>, false))
    }

    /// Does what [`check`](Self::check) does, at the same cost, and mends what it finds: the
    /// records are right, and the indexes are made to follow them. Each [`Fault`](crate::Fault)
    /// says what is done about it. No record's columns are changed, and none is deleted.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, what was repaired stays repaired, and the rest as it was.
    fn repair(db: &Db) -> impl Future<Output = Result<CheckReport>> + Send {
        operation(Self::schema(), "repair", check::check(db, target::<Self>(db), try_to_read::<Self>, true))
    }

    /// Changes the stored indexes and types of columns to those of this model, where they are of
    /// another version of it. Call it when a new version of the program starts.
    ///
    /// ```no_run
    /// # use subconscious::{Db, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(index)] age: u8 }
    /// # async fn run(db: Db) -> subconscious::Result<()> {
    /// let done = User::migrate(&db).await?;
    /// println!("indexes dropped: {:?}, built: {:?}", done.dropped, done.built);
    /// # Ok(()) }
    /// ```
    ///
    /// It is needed where `index`, `sort` or `unique` come or go, or the type of a column changes.
    /// A new column without them needs nothing, if it is nullable or has a `default`. Where nothing
    /// has changed, it is one round trip; otherwise it works in steps of about half a millisecond
    /// of the server's time, each a round trip, of up to 48 index entries.
    ///
    /// Before it changes anything, it reads the stored values of each column that gets another type
    /// or an index, eleven round trips for 1,000 records, and refuses if one of them can't be read
    /// by the new type or be indexed. What a program of the older type writes after its record was
    /// read so is not noticed: a load then says [`Error::Corrupt`](crate::Error::Corrupt), or, if
    /// the column is indexed, the migration ends with that error after the change.
    ///
    /// While it runs and afterwards, programs with the old indexes or types are refused with
    /// [`Error::Schema`](crate::Error::Schema), except for loads. Programs with the new ones can
    /// write, and can query what is ready: a query that needs an index that is still being built is
    /// refused. If it is stopped, call it again and it goes on; several callers at the same time
    /// share the work.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) if a stored value can't be read by the column's
    /// new type, [`Error::BadData`](crate::Error::BadData) if it is too long to be indexed,
    /// [`Error::MissingColumn`](crate::Error::MissingColumn) if a record lacks a column that gets a
    /// type or an index, is no `Option` and has no `default`: nothing was changed; change the
    /// record with the older program and call it again.
    /// [`Error::Duplicate`](crate::Error::Duplicate) if two records have the same value of a column
    /// that is to be unique: change one with this program, and call it again.
    /// [`Error::Schema`](crate::Error::Schema) if the key or the layout has changed, which can't be
    /// migrated.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the migration stays where it is, until the next call goes on with
    /// it.
    fn migrate(db: &Db) -> impl Future<Output = Result<Migration>> + Send {
        Self::migrate_with(db, |_| ())
    }

    /// The same as [`migrate`](Self::migrate); after each step, `progress` is told how far it is.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate).
    ///
    /// # Cancel safety
    ///
    /// As [`migrate`](Self::migrate).
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

    /// A query for all records: nothing is sent until one of its verbs runs it.
    fn all() -> Query<Self> {
        Query::new()
    }

    /// The same as [`all`](Self::all), to be narrowed by [`Query::filter`].
    fn query() -> Query<Self> {
        Query::new()
    }

    /// A query for the records that match: `User::filter_by(|u| u.age.ge(18) &
    /// u.country.eq("CH"))`. See [`Query`] and [`Column`](crate::Column).
    fn filter_by(filter: impl FnOnce(Self::Columns) -> Filter<Self>) -> Query<Self> {
        Query::new().filter(filter)
    }
}

impl<M: RedisModel> Patched<M> {
    /// The new value of a column with `incr` or `decr` in the patch, or of the version; `None` for
    /// other columns.
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

fn encoded<M: RedisModel>(record: &M) -> Result<RecordWriter> {
    let mut writer = RecordWriter::new(M::schema());
    record.write(&mut writer)?;
    Ok(writer)
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
    record: &M,
    db: &Db,
    lifetime: Lifetime,
    name: &'static str,
) -> impl Future<Output = Result<()>> + Send {
    let id = record.id();
    operation(M::schema(), name, async move {
        let target = target::<M>(db);
        patch::expire(db, &target, address::<M>(&target, &id)?, lifetime, name).await
    })
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
