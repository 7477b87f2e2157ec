//! Queries that deliver some columns instead of whole records.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::TryStreamExt;
use redis::Value;

use crate::error::Result;
use crate::model::RedisModel;
use crate::model::codec::RecordReader;
use crate::query::Query;
use crate::query::column::Column;
use crate::query::cursor::Page;
use crate::query::exec::{Delivery, Hit};
use crate::query::stream::RecordStream;
use crate::sealed::Sealed;
use crate::server::Db;
use crate::value::ColumnType;

/// Columns that a query delivers: one, or a tuple of up to eight.
#[diagnostic::on_unimplemented(
    message = "this is no selection of columns of the model",
    label = "not a column, nor a tuple of columns",
    note = "select one column, `|u| u.name`, or a tuple of two to eight, `|u| (u.name, u.age)`"
)]
pub trait Selection<M>: Sealed + Send + Sync + 'static {
    /// What is delivered for each record: the column's type, or a tuple of the columns' types.
    type Item: Send + 'static;

    /// Positions of the columns in the model's schema.
    #[doc(hidden)]
    fn columns(&self) -> Vec<usize>;

    /// Reads the columns in this order.
    #[doc(hidden)]
    fn read(record: &mut RecordReader<'_>) -> Result<Self::Item>;
}

impl<M, T, C> Sealed for Column<M, T, C> {}

impl<M: 'static, T: ColumnType + Send + 'static, C: 'static> Selection<M> for Column<M, T, C> {
    type Item = T;

    fn columns(&self) -> Vec<usize> {
        vec![self.at()]
    }

    fn read(record: &mut RecordReader<'_>) -> Result<T> {
        record.column::<T>()
    }
}

macro_rules! tuple {
    ($($type:ident $caps:ident $at:tt),*) => {
        impl<M, $($type, $caps),*> Sealed for ($(Column<M, $type, $caps>,)*) {}

        impl<M: 'static, $($type: ColumnType + Send + 'static, $caps: 'static),*> Selection<M> for ($(Column<M, $type, $caps>,)*) {
            type Item = ($($type,)*);

            fn columns(&self) -> Vec<usize> {
                vec![$(self.$at.at()),*]
            }

            fn read(record: &mut RecordReader<'_>) -> Result<Self::Item> {
                Ok(($(record.column::<$type>()?,)*))
            }
        }
    };
}
tuple!(A K 0, B L 1);
tuple!(A K 0, B L 1, C N 2);
tuple!(A K 0, B L 1, C N 2, D O 3);
tuple!(A K 0, B L 1, C N 2, D O 3, E P 4);
tuple!(A K 0, B L 1, C N 2, D O 3, E P 4, F Q 5);
tuple!(A K 0, B L 1, C N 2, D O 3, E P 4, F Q 5, G R 6);
tuple!(A K 0, B L 1, C N 2, D O 3, E P 4, F Q 5, G R 6, H S 7);

/// A query for some columns of records, made by [`Query::select`]. Only these columns and those of
/// filter and order are sent. Its verbs cost as much as those of [`Query`], and are as safe to
/// drop.
#[must_use = "a query does nothing until one of `stream`, `fetch`, `page` or `first` runs it"]
pub struct Selected<M, S> {
    query: Query<M>,
    columns: Vec<usize>,
    selection: PhantomData<fn() -> S>,
}

impl<M, S> fmt::Debug for Selected<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selected").field("query", &self.query).field("columns", &self.columns).finish()
    }
}

impl<M, S> Clone for Selected<M, S> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), columns: self.columns.clone(), selection: PhantomData }
    }
}

impl<M: RedisModel, S: Selection<M>> Selected<M, S> {
    pub(super) fn new(query: Query<M>, selection: &S) -> Self {
        Self { query, columns: selection.columns(), selection: PhantomData }
    }

    fn delivery(&self) -> Delivery<S::Item> {
        let schema = M::schema();
        // Besides the selected columns, those of filter and order are read: if reading takes a
        // round trip of its own, the record is tested again.
        let columns: Arc<[usize]> = self.query.request.fields(schema, &self.columns).into();
        let (selected, read) = (self.columns.clone(), Arc::clone(&columns));
        let decode = move |hit: Hit| {
            let Some(Value::Array(fields)) = hit.fields else { return Ok(None) };
            let Some((Value::BulkString(_), fields)) = fields.split_first() else { return Ok(None) };
            let values = selected.iter().filter_map(|at| read.iter().position(|column| column == at));
            let values: Vec<Value> = values.filter_map(|at| fields.get(at).cloned()).collect();
            S::read(&mut RecordReader::some(schema, &selected, &hit.key, &hit.id, values.into_iter())).map(Some)
        };
        Delivery { columns: Some(columns), decode: Arc::new(decode) }
    }

    /// Runs the query, page by page as the stream is read: see [`Query::stream`].
    pub fn stream(&self, db: &Db) -> RecordStream<S::Item> {
        self.query.deliver(db, "stream", self.delivery())
    }

    /// A page of the selected columns: see [`Query::page`]. Its cursors are those of the query,
    /// whatever is selected.
    ///
    /// # Errors
    ///
    /// The same as for [`Query::page`].
    pub async fn page(&self, db: &Db) -> Result<Page<S::Item>> {
        self.query.turn(db, &self.delivery()).await
    }

    /// Runs the query and collects all that it delivers: see [`Query::fetch`].
    ///
    /// # Errors
    ///
    /// The same as for [`Query::fetch`].
    pub async fn fetch(&self, db: &Db) -> Result<Vec<S::Item>> {
        self.query.deliver(db, "fetch", self.delivery()).try_collect().await
    }

    /// The columns of the first record, or `None` if there is no record: see [`Query::first`].
    ///
    /// # Errors
    ///
    /// The same as for [`Query::fetch`].
    pub async fn first(&self, db: &Db) -> Result<Option<S::Item>> {
        self.first_as(db, "first").await
    }

    pub(super) async fn first_as(&self, db: &Db, name: &'static str) -> Result<Option<S::Item>> {
        let first = self.query.clone().limit(self.query.limit.unwrap_or(1).min(1));
        first.deliver(db, name, self.delivery()).try_next().await
    }
}
