//! Settings of a [`Db`], and how one is opened with them.

use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
#[cfg(all(feature = "sentinel", feature = "tls"))]
use redis::sentinel::SentinelClientBuilder;
#[cfg(feature = "sentinel")]
use redis::sentinel::SentinelServerType::{Master, Replica};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError};
#[cfg(feature = "tls")]
use redis::{ClientTlsConfig, TlsCertificates};
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};
#[cfg(feature = "sentinel")]
use tokio::sync::Mutex;

use super::cluster::{Access, Address, Cluster};
use super::connection::{Endpoint, Link, Source};
use super::node::{Connection, Server};
#[cfg(feature = "sentinel")]
use super::sentinel;
use super::{BYTES_IN_FLIGHT, Db, QUERY_BUDGET, SLOW_QUERY, check_namespace};
use crate::error::{Error, Result};

/// Settings of a [`Db`] to be opened, made by [`Db::builder`].
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
    #[cfg(feature = "sentinel")]
    sentinels: Vec<String>,
    #[cfg(feature = "tls")]
    certificates: TlsCertificates,
    connection_timeout: Duration,
    response_timeout: Duration,
    retries: usize,
    query_budget: Duration,
    bytes_in_flight: usize,
    slow_query: Duration,
}

impl DbBuilder {
    pub(super) fn new() -> Self {
        Self {
            namespace: String::new(),
            replica: None,
            #[cfg(feature = "sentinel")]
            sentinels: Vec::new(),
            #[cfg(feature = "tls")]
            certificates: TlsCertificates { client_tls: None, root_cert: None },
            connection_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            retries: 3,
            query_budget: QUERY_BUDGET,
            bytes_in_flight: BYTES_IN_FLIGHT,
            slow_query: SLOW_QUERY,
        }
    }

    /// Puts all keys of all models into a namespace, so that several environments can share one
    /// server. Default: none.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The longest time that making a connection may take. It must be more than zero, and is
    /// rounded up to whole milliseconds. Default: 2 seconds.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// The longest time that an answer may take. It must be more than zero, and is rounded up to
    /// whole milliseconds. After this time, a read fails with [`Error::Redis`] and a write with
    /// [`Error::OutcomeUnknown`]. Default: 5 seconds.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How often a failed attempt to connect is repeated before the call fails. The next call has
    /// all its attempts again. On a cluster, a call waits as long as all these attempts may take
    /// ([`connection_timeout`](Self::connection_timeout) times one more than this) for a slot that
    /// moves, or that has no master at the moment. Default: 3.
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// The budget: about how long one call of a query may keep the server busy. A query that takes
    /// longer continues with another call, and other clients get their turn in between. A smaller
    /// budget makes others wait less, a larger one saves round trips. It counts in microseconds.
    /// With a budget of zero, each call does the least that it can. Default: 1 millisecond.
    pub fn query_budget(mut self, budget: Duration) -> Self {
        self.query_budget = budget;
        self
    }

    /// About how many bytes of index entries a query asks for before it has read them. A range that
    /// many records are in is compared in this program, with 8 bytes for each record. A smaller
    /// number bounds the memory of both sides, a larger one keeps both of them busy. At least 64 KB
    /// are asked for. Default: 2 MB.
    pub fn bytes_in_flight(mut self, bytes: usize) -> Self {
        self.bytes_in_flight = bytes;
        self
    }

    /// How long a query may take before it is reported as slow, together with the way in which it
    /// was answered. The report needs the feature `tracing`: see the chapter "Spans, events and
    /// slow queries" of the guide. Default: 100 milliseconds.
    pub fn slow_query(mut self, slow: Duration) -> Self {
        self.slow_query = slow;
        self
    }

    /// Trusts only servers whose certificate was signed by one of these certificates, in PEM.
    /// Default: the system's root certificates.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.root_cert = Some(pem.into());
        self
    }

    /// Presents this certificate to servers, with its private key, both in PEM. Default: none.
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (client_cert, client_key) = (certificate.into(), key.into());
        self.certificates.client_tls = Some(ClientTlsConfig { client_cert, client_key });
        self
    }

    /// Sends loads and queries to the server at this address, which must be a replica of the server
    /// that is opened. The address of the cluster stands for all its replicas. Default: none.
    ///
    /// A replica lags a little behind its primary: what was just written may not be there yet, and
    /// what was just deleted may still be there. So all writes use the primary,
    /// [`Query::delete`](crate::Query::delete) included, and so do
    /// [`reload`](crate::RedisModel::reload), [`ttl`](crate::RedisModel::ttl) and
    /// [`check`](crate::RedisModel::check). If the replica can't be reached, loads and queries
    /// fail.
    ///
    /// To choose for each call, open two `Db`s: a replica can be opened like any server, and
    /// refuses writes. On a replica, no script can keep intermediate bitmaps, so this program
    /// combines the parts of a filter itself. A query with several parts then takes a few more
    /// round trips.
    pub fn read_from(mut self, replica: impl Into<String>) -> Self {
        self.replica = Some(replica.into());
        self
    }

    /// Asks these sentinels for the address of the server whenever a connection is made. Default:
    /// none.
    ///
    /// With sentinels, the host in the address that is opened is the name by which they know the
    /// primary. The rest of the address (user, password, database, TLS) says how to connect to the
    /// server; the port is ignored. If the address of [`read_from`](Self::read_from) has that name,
    /// one of the primary's replicas is used, or the primary if no replica is up. The addresses of
    /// the sentinels may have a user and a password, the same for all.
    ///
    /// If the primary fails, calls fail until another server has taken its place and the sentinels
    /// report it. Writes that the failed primary had not replicated yet are lost: Redis
    /// acknowledges a write before its replicas have it.
    ///
    /// ```no_run
    /// # async fn run() -> subconscious::Result<()> {
    /// use subconscious::Db;
    ///
    /// let sentinels = ["redis://10.0.0.1:26379", "redis://10.0.0.2:26379", "redis://10.0.0.3:26379"];
    /// let db = Db::builder().sentinels(sentinels).open("redis://:password@mymaster/").await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "sentinel")]
    pub fn sentinels(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.sentinels = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Connects to the server, and to the replica if there is one to read from: see [`Db::open`].
    ///
    /// # Errors
    ///
    /// As [`Db::open`]. Also [`Error::Configuration`] for a namespace that contains a brace, a
    /// timeout of zero, or certificates that can't be used.
    pub async fn open(self, url: &str) -> Result<Db> {
        check_namespace(&self.namespace)?;
        for (name, timeout) in [("connection", self.connection_timeout), ("response", self.response_timeout)] {
            if timeout.is_zero() {
                return Err(Error::configuration(format!(
                    "a {name} timeout of nothing lets no call succeed. Give a longer one"
                )));
            }
        }
        let server = self.connect(url, false).await?;
        let replica = match &self.replica {
            Some(replica) => Some(self.connect(replica, true).await?),
            None => None,
        };
        Ok(Db {
            replica,
            namespace: self.namespace.into(),
            query_budget: self.query_budget,
            bytes_in_flight: self.bytes_in_flight,
            slow_query: self.slow_query,
            ..Db::over(server)
        })
    }

    async fn connect(&self, url: &str, replica: bool) -> Result<Server> {
        let seeds = nodes(url);
        if !seeds.is_empty() {
            let seeds = seeds.iter().map(|url| parse(url)).collect::<Result<Vec<_>>>()?;
            return self.cluster(seeds, replica).await;
        }
        let info = parse(url)?;
        let address = info.addr().clone();
        let endpoint = self.endpoint(info.clone(), replica)?;
        let named = endpoint.named(&address);
        let source = Source { endpoint, config: self.config(), retries: self.retries, of_replica: false };
        let link = Link::open(source).await.map_err(|error| Error::connecting(error, &named))?;
        let (server, in_cluster) = Server::single(Connection::Own(Arc::new(link))).await?;
        if in_cluster && address_of(&info).is_some() { self.cluster(vec![info], replica).await } else { Ok(server) }
    }

    async fn cluster(&self, seeds: Vec<ConnectionInfo>, replicas: bool) -> Result<Server> {
        if seeds.iter().any(|seed| seed.redis_settings().db() != 0) {
            return Err(Error::configuration(
                "on a cluster, only database 0 can be used. Leave the database out of the address, and use a namespace instead",
            ));
        }
        let addresses: Vec<Address> = seeds.iter().filter_map(address_of).collect();
        let named = addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ");
        let Some(seed) = seeds.into_iter().next() else { return Err(unknown_form()) };
        self.client(seed.clone())?;
        let builder = self.clone();
        let client = move |(host, port): &Address| {
            let address = match seed.addr() {
                #[cfg(feature = "tls")]
                ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                    host: host.clone(),
                    port: *port,
                    insecure: *insecure,
                    tls_params: tls_params.clone(),
                },
                _ => ConnectionAddr::Tcp(host.clone(), *port),
            };
            builder.client(seed.clone().set_addr(address)).map_err(|error| {
                RedisError::from((ErrorKind::InvalidClientConfig, "a node cannot be reached", error.to_string()))
            })
        };
        let access = Access { client: Box::new(client), config: self.config(), replicas };
        let attempts = u32::try_from(self.retries).unwrap_or(u32::MAX).saturating_add(1);
        let patience = self.connection_timeout.saturating_mul(attempts);
        let cluster = Cluster::open(access, addresses, patience).await;
        Server::cluster(cluster.map_err(|error| Error::connecting(error, &named))?).await
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connection_timeout))
            .set_response_timeout(Some(self.response_timeout))
    }

    #[cfg(not(feature = "sentinel"))]
    fn endpoint(&self, info: ConnectionInfo, _replica: bool) -> Result<Endpoint> {
        Ok(Endpoint::Address(Box::new(self.client(info)?)))
    }

    #[cfg(feature = "sentinel")]
    fn endpoint(&self, info: ConnectionInfo, replica: bool) -> Result<Endpoint> {
        if self.sentinels.is_empty() {
            return Ok(Endpoint::Address(Box::new(self.client(info)?)));
        }
        let sentinels = self.sentinels.iter().map(|url| parse(url)).collect::<Result<Vec<_>>>()?;
        let client = |kind| {
            let builder = sentinel::builder(&info, &sentinels, kind)?;
            #[cfg(feature = "tls")]
            let builder = self.certified(builder, &sentinels);
            builder.build().map_err(Error::from)
        };
        let replica = if replica { Some(client(Replica)?) } else { None };
        Ok(Endpoint::Sentinels(Box::new(Mutex::new((replica, client(Master)?)))))
    }

    #[cfg(all(feature = "sentinel", feature = "tls"))]
    fn certified(&self, mut builder: SentinelClientBuilder, sentinels: &[ConnectionInfo]) -> SentinelClientBuilder {
        if self.has_certificates() {
            builder = builder.set_client_to_redis_certificates(self.certificates.clone());
            if sentinels.iter().any(|sentinel| matches!(sentinel.addr(), ConnectionAddr::TcpTls { .. })) {
                builder = builder.set_client_to_sentinel_certificates(self.certificates.clone());
            }
        }
        builder
    }

    #[cfg(feature = "tls")]
    fn has_certificates(&self) -> bool {
        self.certificates.client_tls.is_some() || self.certificates.root_cert.is_some()
    }

    #[cfg(feature = "tls")]
    fn client(&self, info: ConnectionInfo) -> Result<Client> {
        if !self.has_certificates() {
            return Ok(Client::open(info)?);
        }
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(Error::configuration(
                "certificates are for addresses that begin with rediss://. Use such an address, or give no certificates",
            ));
        }
        let root_cert = &self.certificates.root_cert;
        let mut roots = root_cert.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)).peekable();
        if root_cert.is_some() && (roots.peek().is_none() || roots.any(|root| root.is_err())) {
            return Err(Error::configuration(
                "the root certificates are not in PEM. Give one or more, each between its BEGIN and END CERTIFICATE",
            ));
        }
        Client::build_with_tls(info, self.certificates.clone()).map_err(|error| match error.is_io_error() {
            true => Error::configuration(format!(
                "the certificates cannot be used: {error}. Give them in PEM, with the private key of the client's"
            )),
            false => error.into(),
        })
    }

    #[cfg(not(feature = "tls"))]
    fn client(&self, info: ConnectionInfo) -> Result<Client> {
        Ok(Client::open(info)?)
    }
}

/// The form of an address, for errors. Errors do not quote the address itself, as it may hold a
/// password.
const FORM: &str = "redis://[user:password@]host[:port][/database], rediss:// (the same), redis-cluster://[user:password@]host[:port],host[:port].., \
     rediss-cluster:// (the same) or redis+unix:///path[?db=1&user=..&pass=..]";

fn unknown_form() -> Error {
    Error::configuration(format!("the address begins in no way that is known. Write {FORM}"))
}

/// The address of each node that the address of a cluster names; none if it is no such address.
fn nodes(url: &str) -> Vec<String> {
    let Some((scheme @ ("redis-cluster" | "rediss-cluster"), rest)) = url.split_once("://") else { return Vec::new() };
    let scheme = scheme.strip_suffix("-cluster").unwrap_or(scheme);
    let login = rest.rfind('@').map_or(0, |at| at + 1);
    let (login, rest) = rest.split_at(login);
    let (hosts, settings) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    hosts.split(',').map(|host| format!("{scheme}://{login}{host}{settings}")).collect()
}

/// The host and port; `None` if the address is that of a unix socket.
fn address_of(info: &ConnectionInfo) -> Option<Address> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
        _ => None,
    }
}

fn parse(url: &str) -> Result<ConnectionInfo> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if scheme == "rediss" && !cfg!(feature = "tls") {
        return Err(Error::configuration(
            "rediss:// needs the feature `tls`. Switch it on in the Cargo.toml of the program",
        ));
    }
    // Without this check, a part of the password could be taken for the host, and shown in an
    // error.
    let cut = match scheme {
        "redis" | "rediss" => rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(['/', '?', '#'])),
        _ => rest.contains('#'),
    };
    if cut {
        return Err(Error::configuration(
            "the address cannot be read, as there is a `/`, `?` or `#` in its user or password. Write %2F for `/`, %3F for `?`, %23 for `#`, \
             %40 for `@` and %25 for `%` there",
        ));
    }
    let info = url.into_connection_info().map_err(|error| match scheme {
        "redis" | "rediss" | "redis+unix" | "unix" => {
            let reason = error.to_string();
            let reason = reason.split(" - ").next().unwrap_or_default();
            Error::configuration(format!(
                "the address cannot be read: {reason}. Write {FORM}, with `/`, `?`, `#`, `@` and `%` in a user or password as %2F, %3F, %23, %40 \
                 and %25"
            ))
        }
        _ => unknown_form(),
    })?;
    #[cfg(feature = "tls")]
    if url.starts_with("rediss:") && rustls::crypto::CryptoProvider::get_default().is_none() {
        // redis-rs uses the provider of the process, and panics if there is none, or if other
        // crates bring two. An error means that another thread has just set one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    // Without this, small writes would wait for the acknowledgement of earlier ones.
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

impl std::fmt::Debug for DbBuilder {
    // The other fields may be secret: the replica's address may hold a password, and a client
    // certificate has its key.
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
