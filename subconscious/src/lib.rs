//! An async object mapper for Redis: a struct becomes a model, its records live in Redis hashes, and its columns are
//! indexed so that records are found, ordered and streamed by typed calls.
//!
//! ```no_run
//! use subconscious::{Db, RedisModel};
//!
//! #[derive(Debug, RedisModel)]
//! struct City {
//!     #[column(primary_key)]
//!     name: String,
//!     #[column(index)]
//!     country: Option<String>,
//!     #[column(sort)]
//!     inhabitants: u32,
//! }
//!
//! # async fn run() -> subconscious::Result<()> {
//! let db = Db::open("redis://127.0.0.1/").await?;
//! City { name: "Bern".into(), country: Some("CH".into()), inhabitants: 134_506 }.save(&db).await?;
//! let largest = City::filter_by(|c| c.country.eq("CH") & c.inhabitants.gt(100_000))
//!     .order_by(|c| c.inhabitants.desc())
//!     .limit(5)
//!     .fetch(&db)
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! - [`RedisModel`] has the verbs of a model; its derive takes the attributes that are listed there.
//! - [`Query`] is what `all`, `query` and `filter_by` make; [`Column`] has the predicates of a filter.
//! - [`Db`] is the connection. It needs Redis 7.0, Valkey 7.2 or newer, and no module.
//! - [`ColumnValue`] says which types a column can have, and how to make one of yours one; [`Json`] makes one of any serde type.
//! - [`Error`] says what went wrong, with model, column and key.
//!
//! - `#[column(unique)]`, `version`, `created_at`, `updated_at` and `expires_at` are [explained](derive@RedisModel#) with the other attributes;
//!   [`RedisModel::patch`] changes some columns, [`RedisModel::take`] reads and deletes, [`RedisModel::save_many`] saves by the thousand.
//! - [`RedisModel::migrate`] changes the indexes of records that are stored; [`RedisModel::check`] compares them with the records.
//!
//! Each write is one script, which the server runs as one step: a record and all its index entries change together or not at
//! all. Nothing runs in the background, and queries leave nothing behind. A query on a primary writes intermediate bitmaps while it
//! runs, which replicas don't see, but which count in `rdb_changes_since_last_save`; a replica can be [asked, too](DbBuilder::read_from).

// So that docs.rs marks what needs a feature.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bulk;
mod check;
mod codec;
mod db;
mod error;
mod expiry;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
mod keys;
mod migrate;
mod model;
mod patch;
mod query;
mod record;
mod scan;
pub mod schema;
mod scripts;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod value;
mod write;

pub use bulk::{DeleteReport, SaveReport};
pub use check::{Damage, Fault, Report};
pub use db::{Db, DbBuilder};
pub use error::{Error, RedisFailure, Result};
pub use migrate::Migration;
pub use model::RedisModel;
pub use patch::{Change, Patched};
pub use query::Query;
pub use query::column::{Column, Order};
pub use query::cursor::{Cursor, Page};
pub use query::explain::{Plan, PlanFilter, PlanStep, PlanWay};
pub use query::filter::Filter;
pub use query::groups::Grouping;
pub use query::select::{Selected, Selection};
pub use query::stream::RecordStream;
pub use subconscious_derive::{ColumnEnum, RedisModel};
pub use value::ColumnValue;
#[cfg(feature = "json")]
pub use value::json::Json;

/// What the derives write calls to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::codec::{RecordReader, RecordWriter, stored};
    pub use crate::query::column::roles::{Automatic, Key, Plain, Unique, Version};
    pub use crate::query::column::{Caps, Column};
    pub use crate::schema::{ColumnSchema, ModelSchema};
    pub use crate::value::{ColumnValue, ElementValue, IndexValue, IsColumn, KeyValue, Kind, SortValue, ValueError};
    pub use crate::{RedisModel, Result};
    pub use std::clone::Clone;
    pub use std::default::Default;
    pub use std::option::Option::{self, None, Some};
    pub use std::result::Result::{Err, Ok};
    pub use std::sync::LazyLock;
    pub use std::vec;
    pub use std::vec::Vec;
}
