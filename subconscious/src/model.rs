//! The verbs of a model.

use std::future::Future;

use crate::codec::{RecordReader, RecordWriter};
use crate::db::Db;
use crate::error::Result;
use crate::id::ModelId;
use crate::query::Query;
use crate::query::filter::Filter;
use crate::record::{self, SaveReport, Verb};
use crate::schema::ModelSchema;
use crate::value::IntoValue;

/// A struct whose values are records in Redis. `#[derive(RedisModel)]` implements it.
///
/// Every write is one script that the server runs as one step: the record and all its index entries change together or not at all.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a model", note = "add `#[derive(RedisModel)]` to it")]
pub trait RedisModel: Sized + Send + Sync + 'static {
    /// The type of the primary key, or a tuple of the types of the composite key in declared order.
    type Id: ModelId;

    /// The model's columns, each to be filtered and ordered by as its attributes allow.
    type Columns: Copy;

    /// What the model looks like.
    fn schema() -> &'static ModelSchema;

    /// The columns.
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

    /// Inserts the record, or replaces the one with the same id. Columns that Redis assigns are filled in. One round trip.
    ///
    /// Fields of the stored record that this model does not have are kept: they belong to another version of the program.
    ///
    /// # Errors
    ///
    /// [`Error::BadData`](crate::Error::BadData) if a value can't be stored: nothing is sent. Also if `auto_increment` is set
    /// to a value that Redis did not assign: nothing is written.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was written with all its index entries or not at all; which one is not known.
    fn save(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        record::save(self, db, Verb::Save)
    }

    /// Inserts the record. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if there is one with the same id; otherwise as [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn insert(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        record::save(self, db, Verb::Insert)
    }

    /// Replaces the record with the same id. One round trip.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is none; otherwise as [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// As [`save`](Self::save).
    fn update(&mut self, db: &Db) -> impl Future<Output = Result<()>> + Send {
        record::save(self, db, Verb::Update)
    }

    /// Saves many records, in pipelines of some hundreds. Each record is saved as by [`save`](Self::save), in one step of its own;
    /// one that fails does not keep the others from being saved.
    ///
    /// # Errors
    ///
    /// If the server can't be reached: then which records were saved is not known. What is wrong with single records is in the report.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, each record was saved with all its index entries or not at all.
    fn save_many(db: &Db, records: &mut [Self]) -> impl Future<Output = Result<SaveReport>> + Send {
        record::save_many(db, records)
    }

    /// The record with the id, or `None`. One round trip, a plain HMGET.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) or [`Error::MissingColumn`](crate::Error::MissingColumn) if what is stored is not a record of this model.
    fn load(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<Option<Self>>> + Send {
        let id = id.into_value();
        async move { record::load(db, &id).await }
    }

    /// The records with the ids, in the order of the ids, `None` where there is none. One round trip.
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
        async move { record::load_many(db, &ids).await }
    }

    /// Whether there is a record with the id. One round trip.
    ///
    /// # Errors
    ///
    /// If the server can't be reached.
    fn exists(db: &Db, id: impl IntoValue<Self::Id> + Send) -> impl Future<Output = Result<bool>> + Send {
        let id = id.into_value();
        async move { record::exists::<Self>(db, &id).await }
    }

    /// Removes the record and its index entries. Says whether there was one. One round trip.
    ///
    /// # Errors
    ///
    /// If the server can't be reached or refuses.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the record was removed with all its index entries or not at all; which one is not known.
    fn delete(&self, db: &Db) -> impl Future<Output = Result<bool>> + Send {
        let id = self.id();
        async move { record::delete::<Self>(db, &id).await }
    }

    /// Removes the record with the id: see [`delete`](Self::delete).
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
        async move { record::delete::<Self>(db, &id).await }
    }

    /// A query for all records.
    fn all() -> Query<Self> {
        Query::new()
    }

    /// A query, to be narrowed by [`Query::filter`].
    fn query() -> Query<Self> {
        Query::new()
    }

    /// A query for the records that match.
    fn filter_by(filter: impl FnOnce(Self::Columns) -> Filter<Self>) -> Query<Self> {
        Query::new().filter(filter)
    }
}
