//! The connection to a server.
//!
//! It knows no models: it sends commands and pipelines, and turns addresses into connections.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::model::keys::Keys;

mod builder;
mod connection;
mod node;
pub(crate) mod reply;
mod script;
#[cfg(feature = "sentinel")]
mod sentinel;
mod traffic;

pub use builder::DbBuilder;
use node::{Connection, Server};
pub(crate) use script::run_both;
#[cfg(feature = "tracing")]
pub(crate) use traffic::ROUND_TRIPS;
pub(crate) use traffic::Traffic;

/// What one call of a query's script may take.
const QUERY_BUDGET: Duration = Duration::from_millis(1);

/// What is slow for a query.
const SLOW_QUERY: Duration = Duration::from_millis(100);

/// A database: a connection to a Redis-compatible server, and the namespace that this program's
/// models live in.
///
/// ```no_run
/// # async fn run() -> subconscious::Result<()> {
/// use subconscious::Db;
///
/// let db = Db::open("redis://127.0.0.1/").await?;
/// let staging = db.with_namespace("staging")?; // the same server, other keys
/// # Ok(()) }
/// ```
///
/// One is enough for a program: cloning is cheap, and clones share one connection, over which
/// commands of many tasks travel at the same time. It needs Tokio, and belongs to the runtime that
/// it was opened in.
///
/// A connection that [`open`](Db::open) made is made again by itself if it breaks, if nothing came
/// over it within the [`response_timeout`](DbBuilder::response_timeout), or if its server became a
/// replica. One that was idle for a second is tried by a `PING` before anything is entrusted to it.
#[derive(Clone)]
pub struct Db {
    server: Server,
    /// Where loads and queries go instead.
    replica: Option<Server>,
    namespace: Arc<str>,
    query_budget: Duration,
    slow_query: Duration,
    /// Whether the scripts of queries are to say how long they took.
    timed: bool,
    /// Where it is counted what is sent, if somebody wants to know.
    traffic: Option<Arc<Traffic>>,
    /// What stands for the models whose types were compared, but that can't be registered by who
    /// may not write.
    compared: Arc<RwLock<HashSet<String>>>,
}

impl Db {
    /// Connects to the server at `redis://[user:password@]host[:port][/database]`, `rediss://..`
    /// (TLS, feature `tls`) or `redis+unix:///path[?db=1&user=..&pass=..]`. One round trip, besides
    /// those of the connection itself. [`Db::builder`] has settings other than the defaults.
    ///
    /// `?protocol=resp3` asks for the newer protocol; nothing else changes by it.
    ///
    /// For TLS, the process' `CryptoProvider` of rustls is used; where none is set, this sets
    /// ring's. The server's certificate has to be for the address' host;
    /// [`DbBuilder::root_certificates`] says who may have signed it.
    ///
    /// A user who is not allowed everything needs the rights that the chapter "Users and their
    /// rights" of the guide lists; the shorter of its two lists is enough for loads and queries.
    /// One who lacks a command of the longer one is refused every write.
    ///
    /// # Errors
    ///
    /// [`Error::Redis`] if no server answers or it refuses the password; [`Error::Unsupported`] if
    /// the server is older than Redis 7.0 or Valkey 7.2, or the address can't be read, as with a
    /// password that is not percent-encoded, or needs a feature that is off.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, there is no connection.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder().open(url).await
    }

    /// A database with settings other than the defaults, to be opened by [`DbBuilder::open`].
    pub fn builder() -> DbBuilder {
        DbBuilder::new()
    }

    /// Uses a connection manager of the caller's, which then sees to timeouts and lost connections.
    /// One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_connection_manager(manager: ConnectionManager) -> Result<Self> {
        Server::checked(Connection::Manager(manager)).await.map(Self::over)
    }

    /// Uses a multiplexed connection of the caller's. If it is lost, all further calls fail: prefer
    /// a manager. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_multiplexed_connection(connection: MultiplexedConnection) -> Result<Self> {
        Server::checked(Connection::Multiplexed(connection)).await.map(Self::over)
    }

    fn over(server: Server) -> Self {
        Self {
            server,
            replica: None,
            namespace: "".into(),
            query_budget: QUERY_BUDGET,
            slow_query: SLOW_QUERY,
            timed: false,
            traffic: None,
            compared: Arc::default(),
        }
    }

    /// The database as loads and queries see it: see [`DbBuilder::read_from`].
    pub(crate) fn reading(&self) -> Self {
        let server = self.replica.as_ref().unwrap_or(&self.server).clone();
        Self { server, ..self.clone() }
    }

    /// Whether the server was a read-only replica when the connection was made.
    pub(crate) fn is_read_only(&self) -> bool {
        self.server.is_read_only()
    }

    /// The same connection with another budget for queries: see [`DbBuilder::query_budget`].
    #[must_use]
    pub fn with_query_budget(&self, budget: Duration) -> Self {
        Self { query_budget: budget, ..self.clone() }
    }

    /// The same connection, whose scripts say how long they took, which takes them longer.
    pub(crate) fn timed(&self) -> Self {
        Self { timed: true, ..self.clone() }
    }

    /// The same connection, which counts what is sent over this handle and its clones.
    pub(crate) fn counting(&self, traffic: &Arc<Traffic>) -> Self {
        Self { traffic: Some(Arc::clone(traffic)), ..self.clone() }
    }

    /// Notes that the types of a model were compared, for which the text stands, and that it can't
    /// be registered.
    pub(crate) fn note_compared(&self, model: String) {
        self.compared.write().unwrap_or_else(PoisonError::into_inner).insert(model);
    }

    /// Whether that was noted of the model for which the text stands, which is made only if it was
    /// of any.
    pub(crate) fn was_compared(&self, model: impl FnOnce() -> String) -> bool {
        let compared = self.compared.read().unwrap_or_else(PoisonError::into_inner);
        !compared.is_empty() && compared.contains(&model())
    }

    /// How long a query may be waited for until it is slow.
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody watches"))]
    pub(crate) fn slow_query(&self) -> Duration {
        self.slow_query
    }

    pub(crate) fn query_budget(&self) -> Duration {
        self.query_budget
    }

    /// Microseconds that one call of a query may take, as the scripts read it.
    pub(crate) fn budget(&self) -> String {
        format!("{}{}", if self.timed { "+" } else { "" }, self.query_budget.as_micros())
    }

    /// The same connection with another namespace; the empty one is none.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a name with a brace in it: it would move the hash tag of every
    /// key.
    pub fn with_namespace(&self, namespace: &str) -> Result<Self> {
        check_namespace(namespace)?;
        Ok(Self { namespace: namespace.into(), ..self.clone() })
    }

    /// The namespace; empty for none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Refuses to write for a user who lacks one of the commands that writes take.
    pub(crate) async fn may_write(&self, keys: &Keys) -> Result<(), RedisError> {
        self.server.may_write(keys).await
    }

    /// Sends one command. The reply is never an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        traffic::count(self.traffic.as_deref(), 1);
        self.server.send(command).await
    }

    /// Sends many commands at once and gives one result for each.
    pub(crate) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        traffic::count(self.traffic.as_deref(), pipeline.len());
        self.server.send_all(pipeline).await
    }
}

impl std::fmt::Debug for Db {
    // The connection holds a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

fn check_namespace(namespace: &str) -> Result<()> {
    if namespace.contains(['{', '}']) {
        return Err(Error::Unsupported(format!(
            "the namespace {namespace:?} has a brace in it, which would move the keys to other slots. Choose a name without {{ and }}"
        )));
    }
    Ok(())
}
