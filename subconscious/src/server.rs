//! The connection to a server.
//!
//! It knows nothing of models. It sends commands and pipelines, and opens connections from
//! addresses.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::model::keys::Keys;
use crate::model::registration::Registrations;

mod builder;
pub(crate) mod cluster;
mod connection;
mod node;
pub(crate) mod reply;
mod script;
#[cfg(feature = "sentinel")]
mod sentinel;
mod slot;
mod traffic;

pub use builder::DbBuilder;
use node::{Connection, Server};
pub(crate) use script::run_both;
#[cfg(feature = "tracing")]
pub(crate) use traffic::ROUND_TRIPS;
pub(crate) use traffic::Traffic;

/// The default budget of a query.
const QUERY_BUDGET: Duration = Duration::from_millis(1);
/// The default of [`DbBuilder::bytes_in_flight`].
const BYTES_IN_FLIGHT: usize = 2 << 20;

/// The default time after which a query counts as slow.
const SLOW_QUERY: Duration = Duration::from_millis(100);

/// A database: a connection to a Redis-compatible server or cluster, and the namespace that this
/// program's models live in.
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
/// One `Db` is enough for a program. Cloning is cheap, and clones share one connection, which
/// carries the commands of many tasks at the same time. A `Db` needs Tokio, and belongs to the
/// runtime in which it was opened.
///
/// A connection that [`open`](Db::open) made is replaced automatically if it breaks, if nothing
/// arrives over it within the [`response_timeout`](DbBuilder::response_timeout), or if its server
/// has become a replica. A connection that was idle for a second is tested by a `PING` before it is
/// used.
#[derive(Clone)]
pub struct Db {
    server: Server,
    /// The server that loads and queries use instead.
    replica: Option<Server>,
    namespace: Arc<str>,
    query_budget: Duration,
    bytes_in_flight: usize,
    slow_query: Duration,
    /// Whether the scripts of queries report how long they took.
    timed: bool,
    /// Counts what is sent, if this was asked for.
    traffic: Option<Arc<Traffic>>,
    /// What is known of the stored schemas of models.
    registrations: Arc<Registrations>,
}

impl Db {
    /// Connects to the server at `redis://[user:password@]host[:port][/database]`, `rediss://..`
    /// (TLS, feature `tls`) or `redis+unix:///path[?db=1&user=..&pass=..]`, or to the cluster at
    /// `redis-cluster://[user:password@]host[:port],host[:port]..` or `rediss-cluster://..`. One
    /// round trip, in addition to those of the connection itself. [`Db::builder`] has settings
    /// other than the defaults.
    ///
    /// Of a cluster, any of its nodes is enough, also as `redis://host`. The chapter "On a cluster"
    /// of the guide says what calls do while it changes.
    ///
    /// `?protocol=resp3` selects the newer protocol, and changes nothing else.
    ///
    /// TLS uses the rustls `CryptoProvider` of the process. If none is set, this call sets ring's.
    /// The server's certificate must be valid for the host of the address;
    /// [`DbBuilder::root_certificates`] says who may have signed it.
    ///
    /// A user with restricted rights needs those that the chapter "Users and their rights" of the
    /// guide lists. The shorter of its two lists is enough for loads and queries. A user who lacks
    /// a command of the longer list is refused every write.
    ///
    /// # Errors
    ///
    /// [`Error::Redis`] if no server answers, or if the server refuses the password. A program that
    /// may start before its server calls it again, as long as
    /// [`is_unavailable`](Error::is_unavailable) is true.
    /// [`Error::UnsupportedServer`] if the server is older than Redis 7.0 or Valkey 7.2.
    /// [`Error::Configuration`] if the address can't be read (for example because its password is
    /// not percent-encoded), or if it needs a feature that is off.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no connection remains.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder().open(url).await
    }

    /// A builder for a database with settings other than the defaults. [`DbBuilder::open`] opens
    /// the database.
    pub fn builder() -> DbBuilder {
        DbBuilder::new()
    }

    /// Uses a connection manager of the caller, which is then responsible for timeouts and lost
    /// connections. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_connection_manager(manager: ConnectionManager) -> Result<Self> {
        Server::single(Connection::Manager(manager)).await.map(|(server, _)| Self::over(server))
    }

    /// Uses a multiplexed connection of the caller. If the connection is lost, all further calls
    /// fail: prefer a connection manager. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_multiplexed_connection(connection: MultiplexedConnection) -> Result<Self> {
        Server::single(Connection::Multiplexed(connection)).await.map(|(server, _)| Self::over(server))
    }

    fn over(server: Server) -> Self {
        Self {
            server,
            replica: None,
            namespace: "".into(),
            query_budget: QUERY_BUDGET,
            bytes_in_flight: BYTES_IN_FLIGHT,
            slow_query: SLOW_QUERY,
            timed: false,
            traffic: None,
            registrations: Arc::default(),
        }
    }

    /// The database that loads and queries use: see [`DbBuilder::read_from`].
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

    /// The same connection, with scripts that report how long they took. The report makes them
    /// slower.
    pub(crate) fn timed(&self) -> Self {
        Self { timed: true, ..self.clone() }
    }

    /// The same connection; `traffic` counts what is sent over this handle and its clones.
    pub(crate) fn counting(&self, traffic: &Arc<Traffic>) -> Self {
        Self { traffic: Some(Arc::clone(traffic)), ..self.clone() }
    }

    /// What is known of the stored schemas of models.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    /// How long a query may take before it counts as slow.
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody watches"))]
    pub(crate) fn slow_query(&self) -> Duration {
        self.slow_query
    }

    /// See [`DbBuilder::bytes_in_flight`].
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    pub(crate) fn query_budget(&self) -> Duration {
        self.query_budget
    }

    /// The budget in microseconds, in the form that the scripts read.
    pub(crate) fn budget(&self) -> String {
        format!("{}{}", if self.timed { "+" } else { "" }, self.query_budget.as_micros())
    }

    /// The same connection with another namespace. The empty namespace means none.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the name contains a brace, which would move the hash tag of
    /// every key.
    pub fn with_namespace(&self, namespace: &str) -> Result<Self> {
        check_namespace(namespace)?;
        Ok(Self { namespace: namespace.into(), ..self.clone() })
    }

    /// The namespace; empty for none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Asks the server whether it answers, and also the replica if [there is one to read
    /// from](DbBuilder::read_from): for health checks. One round trip to each.
    ///
    /// # Errors
    ///
    /// [`Error::Redis`] if the connection failed and no other could be made, or if the server
    /// answers no calls for now, such as while it loads its data.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing happens.
    pub async fn ping(&self) -> Result<()> {
        for server in std::iter::once(&self.server).chain(&self.replica) {
            server.ping().await?;
        }
        Ok(())
    }

    /// Returns an error if the user lacks one of the commands that writes need.
    pub(crate) async fn may_write(&self, keys: &Keys) -> Result<(), RedisError> {
        self.server.may_write(keys).await
    }

    /// Sends one command. An error reply becomes an `Err`.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        traffic::count(self.traffic.as_deref(), 1);
        self.server.send(command).await
    }

    /// The node of a cluster that has the key; `None` if there is only one server.
    pub(crate) async fn place(&self, key: &[u8]) -> Result<Option<Arc<cluster::Node>>, RedisError> {
        self.server.place(key).await
    }

    /// Sends many commands at once, and returns one result for each.
    pub(crate) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        traffic::count(self.traffic.as_deref(), pipeline.len());
        self.server.send_all(pipeline).await
    }
}

impl std::fmt::Debug for Db {
    // The connection is left out, as it holds a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

fn check_namespace(namespace: &str) -> Result<()> {
    if namespace.contains(['{', '}']) {
        return Err(Error::configuration(format!(
            "the namespace {namespace:?} has a brace in it, which would move the keys to other slots. Choose a name without {{ and }}"
        )));
    }
    Ok(())
}
