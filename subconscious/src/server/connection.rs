//! A connection that is kept up: made when it is first needed, and again when it is of no use any
//! more.
//!
//! It does not take redis-rs' connection manager, which notices connections that break and no
//! others, and goes on with the address it has: one that falls silent (where the machine of the
//! server or a router on the way is gone, the system takes a quarter of an hour to call that an
//! error) or whose server has become a replica is given up here, too, and sentinels are asked each
//! time where to connect.

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

/// Pauses before a connection is tried again: the first, which doubles each time, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How soon after a connection was made the next is made, if the server is no primary.
const MOVES: Duration = Duration::from_secs(1);

/// After how long without a word a connection is asked whether it is still there, and how long it
/// has for an answer.
const IDLE: Duration = Duration::from_secs(1);

/// Where to connect to, and how.
pub(super) struct Source {
    pub(super) endpoint: Endpoint,
    pub(super) config: AsyncConnectionConfig,
    pub(super) retries: usize,
}

pub(super) enum Endpoint {
    Address(Box<Client>),
    /// What sentinels say: of a replica, if one is wanted, and of the primary.
    #[cfg(feature = "sentinel")]
    Sentinels(Box<Mutex<(Option<SentinelClient>, SentinelClient)>>),
}

impl Endpoint {
    /// For errors; an address has no password in it.
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
    /// Connects, and tries again some times.
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let (mut pause, longest) = PAUSES;
        for _ in 0..self.retries {
            if let Ok(connection) = self.endpoint.connect(&self.config).await {
                return Ok(connection);
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(longest);
        }
        self.endpoint.connect(&self.config).await
    }
}

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, RedisError>>>;

pub(super) struct Link {
    source: Arc<Source>,
    current: RwLock<Current>,
    made: Instant,
    /// When something came for the last time: microseconds since `made`.
    heard: AtomicU64,
}

struct Current {
    number: u64,
    connection: Connecting,
    since: Instant,
}

impl Current {
    /// A connection that is made when somebody waits for it.
    fn new(source: &Arc<Source>, number: u64) -> Self {
        let source = Arc::clone(source);
        let connection = async move { source.connect().await }.boxed().shared();
        Self { number, connection, since: Instant::now() }
    }
}

/// What a request was made over, and when.
pub(super) struct Line {
    number: u64,
    sent: u64,
}

impl Link {
    /// Connects.
    pub(super) async fn open(source: Source) -> Result<Self, RedisError> {
        let source = Arc::new(source);
        let current = Current::new(&source, 0);
        current.connection.clone().await?;
        Ok(Self { source, current: current.into(), made: Instant::now(), heard: AtomicU64::new(0) })
    }

    fn now(&self) -> u64 {
        self.made.elapsed().as_micros() as u64
    }

    /// The connection, once it is made. All who wait for it get the same one, or the same error.
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

    /// What to make a request over. If nothing was heard for a while, the server is asked first
    /// whether it is still there: so nothing is entrusted to a connection that has ended meanwhile,
    /// which is only seen by using it.
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

    /// Closes the connection, as soon as no request waits for it, and has the next request make
    /// another.
    fn give_up(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another may have been here first.
        if current.number == number {
            *current = Current::new(&self.source, number + 1);
        }
    }

    /// Learns from what became of a request whether its connection is still of use.
    pub(super) fn note_outcome<T>(&self, line: &Line, reply: &Result<T, RedisError>) {
        match reply {
            Ok(_) => self.hear(),
            // No reply came in time, nor any other since the request was made.
            Err(error) if error.is_timeout() => {
                if self.heard.load(Ordering::Relaxed) < line.sent {
                    self.give_up(line.number);
                }
            }
            Err(error) if error.is_unrecoverable_error() => self.give_up(line.number),
            Err(_) => {}
        }
    }

    /// Leaves a server that is no primary any more. Another may be, at the same address or by what
    /// the sentinels say.
    pub(super) fn replace(&self, line: &Line) {
        // While there is none, not each call is to look for it.
        if self.current().since.elapsed() > MOVES {
            self.give_up(line.number);
        }
    }
}

/// An error of a connection that could not be made, and so has carried nothing.
fn unreachable(error: RedisError) -> RedisError {
    if error.is_io_error() { io::Error::new(io::ErrorKind::ConnectionRefused, error).into() } else { error }
}
