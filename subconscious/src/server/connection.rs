//! A connection that is kept up: it is made again when it is no longer usable.
//!
//! redis-rs' connection manager was rejected. It notices only connections that break, and it always
//! reconnects to the same address. Here, two more kinds of connections are given up: those that
//! fall silent, and those whose server has become a replica. Each new connection asks the sentinels
//! for the address. (If the machine of the server or a router in between is gone, the operating
//! system takes about 15 minutes to report an error.)

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
#[cfg(feature = "sentinel")]
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError};
#[cfg(feature = "sentinel")]
use tokio::sync::Mutex;

/// Pauses between attempts to connect: the first, which doubles each time, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// If the server is no primary: the shortest time between one connection and the next.
const MOVES: Duration = Duration::from_secs(1);

/// After this time without a reply, a connection is tested by a `PING`. The server has the same
/// time to answer it.
const IDLE: Duration = Duration::from_secs(1);

/// Where to connect to, and how.
pub(super) struct Source {
    pub(super) endpoint: Endpoint,
    pub(super) config: AsyncConnectionConfig,
    pub(super) retries: usize,
    /// Whether the server is a replica in a cluster, which has to be told that it is read from.
    pub(super) of_replica: bool,
}

pub(super) enum Endpoint {
    Address(Box<Client>),
    /// Clients that ask the sentinels: for a replica, if one is wanted, and for the primary.
    #[cfg(feature = "sentinel")]
    Sentinels(Box<Mutex<(Option<SentinelClient>, SentinelClient)>>),
}

impl Endpoint {
    /// The name of the endpoint, for errors. A `ConnectionAddr` has no password in it.
    pub(super) fn named(&self, address: &ConnectionAddr) -> String {
        match self {
            Self::Address(_) => address.to_string(),
            #[cfg(feature = "sentinel")]
            Self::Sentinels(_) => "by the sentinels".into(),
        }
    }

    async fn connect(&self, config: &AsyncConnectionConfig) -> Result<MultiplexedConnection, RedisError> {
        match self {
            Self::Address(client) => client.get_multiplexed_async_connection_with_config(config).await,
            #[cfg(feature = "sentinel")]
            Self::Sentinels(clients) => {
                let (replica, primary) = &mut *clients.lock().await;
                if let Some(replica) = replica
                    && let Ok(connection) = replica.get_async_connection_with_config(config).await
                {
                    return Ok(connection);
                }
                primary.get_async_connection_with_config(config).await
            }
        }
    }
}

impl Source {
    /// Connects, and repeats a failed attempt up to `retries` times.
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let (mut pause, longest) = PAUSES;
        for _ in 0..self.retries {
            if let Ok(connection) = self.attempt().await {
                return Ok(connection);
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
        self.attempt().await
    }

    async fn attempt(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.endpoint.connect(&self.config).await?;
        if self.of_replica {
            connection.req_packed_command(&redis::cmd("READONLY")).await?.extract_error()?;
        }
        Ok(connection)
    }
}

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

pub(super) struct Link {
    source: Arc<Source>,
    current: RwLock<Current>,
    made: Instant,
    /// When the last reply arrived, in microseconds since `made`.
    heard: AtomicU64,
}

struct Current {
    number: u64,
    connection: Connecting,
    since: Instant,
}

impl Current {
    /// A connection that is made as soon as a request waits for it.
    fn new(source: &Arc<Source>, number: u64) -> Self {
        let source = Arc::clone(source);
        let connection = async move { source.connect().await }.boxed().shared();
        Self { number, connection, since: Instant::now() }
    }
}

/// The number of the connection that a request was sent over, and when it was sent, in microseconds
/// since [`Link::made`].
pub(super) struct Line {
    number: u64,
    sent: u64,
}

impl Link {
    /// A connection that the first request makes.
    pub(super) fn new(source: Source) -> Self {
        let source = Arc::new(source);
        let current = Current::new(&source, 0).into();
        Self { source, current, made: Instant::now(), heard: AtomicU64::new(0) }
    }

    /// Makes the first connection.
    pub(super) async fn open(source: Source) -> Result<Self, RedisError> {
        let link = Self::new(source);
        let connection = link.current().connection.clone();
        connection.await?;
        Ok(link)
    }

    fn now(&self) -> u64 {
        self.made.elapsed().as_micros() as u64
    }

    /// The connection, once it is made. All requests that wait for it get the same connection, or
    /// the same error.
    async fn connected(&self) -> Result<(MultiplexedConnection, Line), RedisError> {
        let (number, connection) = {
            let current = self.current();
            if let Some(Ok(connection)) = current.connection.peek() {
                return Ok((connection.clone(), Line { number: current.number, sent: self.now() }));
            }
            (current.number, current.connection.clone())
        };
        let connection = connection.await.map_err(|error| {
            self.give_up(number);
            unreachable(error)
        })?;
        self.hear();
        Ok((connection, Line { number, sent: self.now() }))
    }

    /// The connection for a request. If no reply has arrived for a while, a `PING` tests the
    /// connection first. That a connection has ended is only seen by using it, and a request should
    /// not be lost in finding out.
    pub(super) async fn line(&self) -> Result<(MultiplexedConnection, Line), RedisError> {
        let (mut connection, line) = self.connected().await?;
        if line.sent.saturating_sub(self.heard.load(Ordering::Relaxed)) < IDLE.as_micros() as u64 {
            return Ok((connection, line));
        }
        match tokio::time::timeout(IDLE, connection.req_packed_command(&redis::cmd("PING"))).await {
            Ok(answer) => self.note_outcome(&line, &answer),
            Err(_) => self.give_up(line.number),
        }
        if self.current().number == line.number { Ok((connection, line)) } else { self.connected().await }
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    /// Gives up the connection, which closes as soon as no request waits for it. The next request
    /// makes another one.
    fn give_up(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have given it up already.
        if current.number == number {
            *current = Current::new(&self.source, number + 1);
        }
    }

    /// Decides from the outcome of a request whether its connection is still usable.
    pub(super) fn note_outcome<T>(&self, line: &Line, reply: &Result<T, RedisError>) {
        match reply {
            Ok(_) => self.hear(),
            // No reply to this request arrived in time, nor any other reply since it was sent.
            Err(error) if error.is_timeout() => {
                if self.heard.load(Ordering::Relaxed) < line.sent {
                    self.give_up(line.number);
                }
            }
            Err(error) if error.is_unrecoverable_error() => self.give_up(line.number),
            Err(_) => {}
        }
    }

    /// Gives up the connection to a server that is no longer a primary. The new primary may be at
    /// the same address, or be known to the sentinels.
    pub(super) fn replace(&self, line: &Line) {
        // While there is no primary, not every call should search for it.
        if self.current().since.elapsed() > MOVES {
            self.give_up(line.number);
        }
    }
}

/// The error of a connection that could not be made, and so has carried no request.
fn unreachable(error: RedisError) -> RedisError {
    if error.is_io_error() { io::Error::new(io::ErrorKind::ConnectionRefused, error).into() } else { error }
}
