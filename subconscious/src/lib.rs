//! An async object mapper for Redis: a struct becomes a model, its records live in Redis hashes, and its columns are
//! indexed so that records are found, ordered and streamed by typed calls.

mod codec;
mod db;
mod error;
pub mod id;
mod keys;
mod model;
mod query;
mod record;
pub mod schema;
mod scripts;
#[cfg(feature = "testing")]
pub mod testing;
pub mod value;

pub use db::{Db, DbBuilder};
pub use error::{Error, RedisFailure, Result};
pub use model::RedisModel;
pub use query::Query;
pub use query::column::{Column, Order};
pub use query::filter::Filter;
pub use query::stream::RecordStream;
pub use record::SaveReport;
pub use subconscious_derive::{ColumnEnum, RedisModel};
pub use value::ColumnValue;

/// What the derives write calls to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::codec::{RecordReader, RecordWriter};
    pub use crate::query::column::{Caps, Column};
    pub use crate::schema::{ColumnSchema, ModelSchema};
    pub use crate::value::{ColumnValue, IndexValue, IsColumn, KeyValue, Kind, SortValue, ValueError};
    pub use crate::{RedisModel, Result};
    pub use std::clone::Clone;
    pub use std::default::Default;
    pub use std::option::Option::{self, None, Some};
    pub use std::result::Result::{Err, Ok};
    pub use std::sync::LazyLock;
    pub use std::vec;
    pub use std::vec::Vec;
}
