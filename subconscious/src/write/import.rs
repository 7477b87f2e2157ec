//! Records from elsewhere, with what they have of their own: ids, numbers, versions and times.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use crate::model::RedisModel;
use crate::model::codec::RecordWriter;
use crate::model::target::Target;
use crate::server::Db;
use crate::trace::operation;
use crate::write::bulk::{self, SaveReport};
use crate::write::record::Verb;

/// An item of a stream of records: a record of the model `M`, or a `Result` of one, as other
/// databases deliver it. The error of such a `Result` is in the report as [`Error::Source`].
#[diagnostic::on_unimplemented(
    message = "a stream of `{Self}` is no stream of records of `{M}`",
    label = "expected items of type `{M}` or `Result<{M}, _>`",
    note = "the error of a `Result` is a `std::error::Error` that is `Send` and `Sync`, or text"
)]
pub trait IntoRecord<M>: Send {
    /// The record.
    ///
    /// # Errors
    ///
    /// The error of the item, if it is one.
    #[doc(hidden)]
    fn into_record(self) -> Result<M>;
}

#[diagnostic::do_not_recommend]
impl<M: RedisModel> IntoRecord<M> for M {
    fn into_record(self) -> Result<M> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<M: RedisModel, E: Into<Box<dyn std::error::Error + Send + Sync>> + Send> IntoRecord<M> for Result<M, E> {
    fn into_record(self) -> Result<M> {
        self.map_err(|error| Error::Source(Arc::from(error.into())))
    }
}

type Records<'a> = Pin<Box<dyn Stream<Item = Result<RecordWriter>> + Send + 'a>>;
type Progress<'a> = Box<dyn FnMut(&SaveReport) + Send + 'a>;

/// An import, made by [`RedisModel::import`](crate::RedisModel::import). It begins when it is
/// awaited.
#[must_use = "an import does nothing until it is awaited"]
pub struct Import<'a, M> {
    db: &'a Db,
    records: Records<'a>,
    progress: Progress<'a>,
    model: PhantomData<fn() -> M>,
}

impl<M> fmt::Debug for Import<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}

impl<'a, M: RedisModel> Import<'a, M> {
    pub(crate) fn new(db: &'a Db, records: impl Stream<Item = Result<RecordWriter>> + Send + 'a) -> Self {
        Self { db, records: Box::pin(records), progress: Box::new(|_| {}), model: PhantomData }
    }

    /// Calls the function with the report so far after each pipeline of up to 500 records.
    pub fn progress(self, progress: impl FnMut(&SaveReport) + Send + 'a) -> Self {
        Self { progress: Box::new(progress), ..self }
    }
}

impl<'a, M: RedisModel> IntoFuture for Import<'a, M> {
    type Output = Result<SaveReport>;
    type IntoFuture = BoxFuture<'a, Result<SaveReport>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { db, mut records, mut progress, .. } = self;
        Box::pin(operation(M::schema(), "import", async move {
            let target = Target::new(db, M::schema());
            bulk::save_stream(db, &target, Verb::Import, records.as_mut(), &mut *progress).await
        }))
    }
}
