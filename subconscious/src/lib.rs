//! An async object mapper for Redis: a struct becomes a model, its records live in Redis hashes,
//! and its columns are indexed so that records are found, ordered and streamed by typed calls.
//!
//! - **The compiler checks queries.** A filter or an order by a column that has no index for it
//!   does not compile.
//! - **Indexes are never wrong.** Each write is one script, which the server runs as one step: a
//!   record and all its index entries change together or not at all.
//! - **A plain server is enough**: Redis 7.0, Valkey 7.2 or newer, without modules. No task cleans
//!   up in the background, and queries leave nothing behind.
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
//! let bern: Option<City> = City::load(&db, "Bern").await?;
//! let largest = City::filter_by(|c| c.country.eq("CH") & c.inhabitants.gt(100_000))
//!     .order_by(|c| c.inhabitants.desc())
//!     .limit(5)
//!     .fetch(&db)
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! - [`RedisModel`] has the verbs of a model: [`save`](RedisModel::save),
//!   [`load`](RedisModel::load), [`patch`](RedisModel::patch), [`take`](RedisModel::take),
//!   [`save_many`](RedisModel::save_many) and others.
//! - The [derive](derive@RedisModel#) has the attributes of models and columns: keys, `index`,
//!   `sort`, `unique`, `version`, `expires_at` and others.
//! - `all`, `query` and `filter_by` make a [`Query`]; [`Column`] has the predicates of a filter.
//! - [`ColumnValue`] says which types a column can have, and how to add your own; [`Json`] takes
//!   any serde type.
//! - [`Db`] is the connection, and [`DbBuilder`] has its settings.
//! - [`Error`] says what went wrong, with model, column and key.
//! - [`RedisModel::migrate`] changes the indexes of records that are stored; [`RedisModel::check`]
//!   compares them with the records.
//! - [`testing::TestServer`] is a private server for a test.
//!
//! # What calls cost, and what happens if one is dropped
//!
//! A save, a patch, a load and the first page of a query take one round trip each; every verb names
//! its round trips. [`RedisModel`] and [`Query`] say what holds for all of their verbs: round
//! trips, errors, and [cancel safety](RedisModel#cancel-safety). No write is ever repeated
//! automatically. A write whose answer was lost is [`Error::OutcomeUnknown`], which says whether it
//! is safe to repeat it.
//!
//! A query on a primary writes intermediate bitmaps while it runs. Replicas don't see them, but
//! they count in `rdb_changes_since_last_save`. Queries can also
//! [ask a replica](DbBuilder::read_from).
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `serde` (on by default) | serde for [`Cursor`], [`Direction`], [`Page`] and [`Plan`] |
//! | `json` (on by default) | [`Json`] |
//! | `chrono`, `time`, `jiff` | their dates and times as columns |
//! | `rust_decimal`, `bytes` | `Decimal` and `Bytes` as columns |
//! | `tls` | `rediss://` addresses |
//! | `sentinel` | [`DbBuilder::sentinels`] |
//! | `tracing` | spans and events of each operation, and a warning of slow queries |
//! | `testing` | [`testing::TestServer`] |

// Lets docs.rs mark what needs a feature.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod model;
mod query;
mod scripts;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod trace;
mod upkeep;
pub mod value;
mod write;

/// What columns can do, for the bounds of generic code: a function that takes any column with
/// `sort` has the bound `C: column::Sorted` on the last parameter of its [`Column`].
pub mod column {
    pub use crate::query::column::{Caps, Expectable, Found, Indexed, Nullable, NullsFound, Settable, Sorted, roles};
}

/// A supertrait of the traits that nobody else implements.
mod sealed {
    pub trait Sealed {}
}

pub use error::{Error, RedisFailure, Result};
pub use model::{RedisModel, id, schema};
pub use query::Query;
pub use query::column::Column;
pub use query::cursor::{Cursor, IntoCursor, Page};
pub use query::explain::{Plan, PlanFilter};
pub use query::filter::{Filter, IntoFilter};
pub use query::group_by::{Grouping, Groups};
pub use query::order::{Direction, IntoOrder, Order};
pub use query::select::{Selected, Selection};
pub use query::stream::RecordStream;
pub use query::way::{PlanStep, PlanWay};
/// The crate whose connections [`Db`] takes over and whose errors [`RedisFailure`] has as sources.
pub use redis;
pub use server::{Db, DbBuilder};
pub use subconscious_derive::{ColumnEnum, RedisModel};
pub use upkeep::check::{CheckReport, Fault, Issue};
pub use upkeep::migrate::Migration;
pub use value::ColumnValue;
#[cfg(feature = "json")]
pub use value::json::Json;
pub use write::bulk::{DeleteReport, SaveReport};
pub use write::import::{Import, IntoRecord};
pub use write::patch::{ColumnChange, Patched};

/// The items that generated code uses. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::column::Caps;
    pub use crate::column::roles::{Automatic, Key, Plain, Unique, Version};
    pub use crate::model::codec::{RecordReader, RecordWriter, stored};
    pub use crate::model::schema::{ColumnSchema, ModelSchema};
    pub use crate::query::column::Column;
    pub use crate::value::{
        ColumnValue, ElementValue, IndexValue, IsColumn, KeyValue, Kind, OTHER, OtherValue, SortValue, ValueError,
    };
    pub use crate::{RedisModel, Result};
    pub use std::clone::Clone;
    pub use std::default::Default;
    pub use std::option::Option::{self, None, Some};
    pub use std::result::Result::{Err, Ok};
    pub use std::sync::LazyLock;
    pub use std::vec;
    pub use std::vec::Vec;
}
