//! The connection to a server.
//!
//! It knows no models: it sends commands and pipelines, and turns addresses into connections.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, Value};
#[cfg(feature = "tls")]
use redis::{ClientTlsConfig, ConnectionAddr, TlsCertificates};
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::error::{Error, Result};

mod server;

use server::{Connection, Link, Server};

/// A database: a connection to a Redis-compatible server, and the namespace that this program's models live in.
///
/// Cloning is cheap, and clones share one connection, over which commands of many tasks travel at the same time. A
/// connection that broke is made again by itself, and so is one over which nothing came within the [`response_timeout`](DbBuilder::response_timeout).
///
/// ```no_run
/// # async fn run() -> subconscious::Result<()> {
/// use subconscious::Db;
///
/// let db = Db::open("redis://127.0.0.1/").await?;
/// let staging = db.with_namespace("staging")?; // the same server, other keys
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Db {
    server: Server,
    /// Where loads and queries go instead.
    replica: Option<Server>,
    namespace: Arc<str>,
    query_budget: Duration,
    /// Whether the scripts of queries are to say how long they took.
    timed: bool,
}

/// Settings of a [`Db`] to be opened.
///
/// ```no_run
/// # async fn run() -> subconscious::Result<()> {
/// use std::time::Duration;
/// use subconscious::Db;
///
/// let db = Db::builder().namespace("staging").response_timeout(Duration::from_secs(2)).open("redis://127.0.0.1/").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct DbBuilder {
    namespace: String,
    replica: Option<String>,
    #[cfg(feature = "tls")]
    certificates: TlsCertificates,
    connection_timeout: Duration,
    response_timeout: Duration,
    retries: usize,
    query_budget: Duration,
}

/// What one call of a query's script may take.
const QUERY_BUDGET: Duration = Duration::from_millis(1);

impl DbBuilder {
    /// Puts all keys of all models under a name of their own, so that several environments share one server. Default: none.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a connection may take to be made. Default: 2 seconds.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// How long an answer may take. Default: 5 seconds.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How often a lost connection is tried again before a call fails; the next call tries again. Default: 3.
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// How long one call of a query may keep the server, about. A query that takes longer goes on with another call, and others get their turn in
    /// between. Less makes waits of others shorter, more saves round trips. Default: 1 millisecond.
    pub fn query_budget(mut self, budget: Duration) -> Self {
        self.query_budget = budget;
        self
    }

    /// Trusts servers whose certificate one of these has signed, in PEM, and no others. Default: the system's root certificates.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.root_cert = Some(pem.into());
        self
    }

    /// Shows servers this certificate, with its private key, both in PEM. Default: none.
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (client_cert, client_key) = (certificate.into(), key.into());
        self.certificates.client_tls = Some(ClientTlsConfig { client_cert, client_key });
        self
    }

    /// Sends loads and queries to the server at this address, a replica of the one that is opened. Default: none.
    ///
    /// A replica is a little late: what was just written may not be there yet, or may still be there. So all that writes, and
    /// [`reload`](crate::RedisModel::reload), asks the primary, as does [`Query::delete`](crate::Query::delete). If the replica can't be reached, loads and
    /// queries fail.
    ///
    /// To decide from call to call, open two `Db`s: a replica may be opened as any server, and refuses writes. On a replica no script can keep
    /// intermediate bitmaps, so that this program meets the parts of a filter: a query of several parts takes some round trips more.
    pub fn read_from(mut self, replica: impl Into<String>) -> Self {
        self.replica = Some(replica.into());
        self
    }

    /// Connects: see [`Db::open`].
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn open(self, url: &str) -> Result<Db> {
        check_namespace(&self.namespace)?;
        let server = self.connect(url).await?;
        let replica = match &self.replica {
            Some(replica) => Some(self.connect(replica).await?),
            None => None,
        };
        Ok(Db { replica, namespace: self.namespace.into(), query_budget: self.query_budget, ..Db::over(server) })
    }

    async fn connect(&self, url: &str) -> Result<Server> {
        // The library's own error does not say what an address looks like. It must not be quoted: it may hold a password.
        let mut info = url.into_connection_info().map_err(|error| match url.split_once("://") {
            Some(("rediss", _)) if !cfg!(feature = "tls") => {
                Error::Unsupported("rediss:// needs the feature `tls`".into())
            }
            Some(("redis" | "rediss" | "redis+unix" | "unix", _)) => Error::from(error),
            _ => Error::Unsupported("an address begins with redis://, rediss:// or redis+unix://".into()),
        })?;
        #[cfg(feature = "tls")]
        if url.starts_with("rediss:") && rustls::crypto::CryptoProvider::get_default().is_none() {
            // The client library takes the process' provider and panics if there is none, or if other crates bring two. An
            // error means that another thread has just set one.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        // Small writes would otherwise wait for the acknowledgement of the ones before.
        let tcp = TcpSettings::default().set_nodelay(true);
        info = info.set_tcp_settings(tcp);
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(self.connection_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_number_of_retries(self.retries)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500));
        let address = info.addr().clone();
        let client = self.client(info)?;
        let link = Link::open(client, config).await.map_err(|error| Error::connecting(error, &address))?;
        Server::checked(Connection::Own(Arc::new(link))).await
    }
}

impl DbBuilder {
    #[cfg(feature = "tls")]
    fn client(&self, info: ConnectionInfo) -> Result<Client> {
        let TlsCertificates { client_tls, root_cert } = &self.certificates;
        if client_tls.is_none() && root_cert.is_none() {
            return Ok(Client::open(info)?);
        }
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(Error::Unsupported("certificates are for addresses that begin with rediss://".into()));
        }
        let mut roots = root_cert.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)).peekable();
        if root_cert.is_some() && (roots.peek().is_none() || roots.any(|root| root.is_err())) {
            return Err(Error::Unsupported("the root certificates are no certificates in PEM".into()));
        }
        Client::build_with_tls(info, self.certificates.clone()).map_err(|error| match error.is_io_error() {
            true => Error::Unsupported(format!("the certificates can't be used: {error}")),
            false => error.into(),
        })
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self, info: ConnectionInfo) -> Result<Client> {
        Ok(Client::open(info)?)
    }
}

impl Db {
    /// Connects to the server at `redis://[user:password@]host[:port][/database]`, `rediss://..` (TLS, feature `tls`)
    /// or `redis+unix:///path[?db=1&user=..&pass=..]`. One round trip, besides those of the connection itself.
    ///
    /// `?protocol=resp3` asks for the newer protocol; nothing else changes by it.
    ///
    /// The user needs the rights that `docs/rights.md` in the repository lists, of which the shorter list is enough for loads and queries. It has lines
    /// such as `ACL SETUSER reader on >password %R~shop:{User}:* ~shop:{User}:t:* +evalsha ..`, for the model `User` in the namespace `shop`. Who
    /// lacks a command of the longer list is refused every write.
    ///
    /// For TLS, the process' `CryptoProvider` of rustls is used; where none is set, this sets ring's. The server's certificate has to be for
    /// the address' host; [`DbBuilder::root_certificates`] says who may have signed it.
    ///
    /// # Errors
    ///
    /// [`Error::Redis`] if no server answers or it refuses the password; [`Error::Unsupported`] if it is older than Redis 7.0 or Valkey 7.2.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder().open(url).await
    }

    /// Settings other than the defaults.
    pub fn builder() -> DbBuilder {
        DbBuilder {
            namespace: String::new(),
            replica: None,
            #[cfg(feature = "tls")]
            certificates: TlsCertificates { client_tls: None, root_cert: None },
            connection_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            retries: 3,
            query_budget: QUERY_BUDGET,
        }
    }

    /// Uses a connection manager of the caller's. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_connection_manager(manager: ConnectionManager) -> Result<Self> {
        Server::checked(Connection::Manager(manager)).await.map(Self::over)
    }

    /// Uses a multiplexed connection of the caller's. It does not recover from a lost connection: prefer a manager. One round trip.
    ///
    /// # Errors
    ///
    /// As [`Db::open`].
    pub async fn from_multiplexed_connection(connection: MultiplexedConnection) -> Result<Self> {
        Server::checked(Connection::Multiplexed(connection)).await.map(Self::over)
    }

    fn over(server: Server) -> Self {
        Self { server, replica: None, namespace: "".into(), query_budget: QUERY_BUDGET, timed: false }
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

    /// Microseconds that one call of a query may take, as the scripts read it.
    pub(crate) fn budget(&self) -> String {
        format!("{}{}", if self.timed { "+" } else { "" }, self.query_budget.as_micros())
    }

    /// The same connection with another namespace; the empty one is none.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a name with a brace in it: it would move the hash tag of every key.
    pub fn with_namespace(&self, namespace: &str) -> Result<Self> {
        check_namespace(namespace)?;
        Ok(Self { namespace: namespace.into(), ..self.clone() })
    }

    /// The namespace; empty for none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Refuses to write for a user who lacks one of the commands that writes take.
    pub(crate) fn may_write(&self) -> Result<(), RedisError> {
        self.server.may_write()
    }

    /// Sends one command. The reply is never an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.server.send(command).await
    }

    /// Sends many commands at once and gives one result for each.
    pub(crate) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        self.server.send_all(pipeline).await
    }
}

impl std::fmt::Debug for DbBuilder {
    // The replica's address may hold a password, and a certificate has its key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { namespace, connection_timeout, response_timeout, retries, query_budget, .. } = self;
        f.debug_struct("DbBuilder")
            .field("namespace", namespace)
            .field("connection_timeout", connection_timeout)
            .field("response_timeout", response_timeout)
            .field("retries", retries)
            .field("query_budget", query_budget)
            .finish_non_exhaustive()
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
        return Err(Error::Unsupported(format!("the namespace {namespace:?}: it must not contain {{ or }}")));
    }
    Ok(())
}
