//! A connection to one server, and what was found out about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{Client, Cmd, Pipeline, RedisError, Value};

use crate::error::{Error, Result};
use crate::scripts;

/// The oldest servers that have every command the scripts call.
const OLDEST_REDIS: (u32, u32) = (7, 0);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

#[derive(Clone)]
pub(super) struct Server {
    connection: Connection,
    /// Whether it was a read-only replica when the connection was made.
    read_only: bool,
    /// What the user lacked then to write.
    lacks: Option<Arc<RedisError>>,
}

#[derive(Clone)]
pub(super) enum Connection {
    Own(Arc<Link>),
    /// The caller's.
    Manager(ConnectionManager),
    Multiplexed(MultiplexedConnection),
}

impl Connection {
    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let reply = match self.clone() {
            Self::Own(link) => link.watched(async |mut manager| manager.req_packed_command(command).await).await,
            Self::Manager(mut manager) => manager.req_packed_command(command).await,
            Self::Multiplexed(mut connection) => connection.req_packed_command(command).await,
        };
        reply?.extract_error()
    }
}

/// A connection that is made again when it breaks, by its manager, and when it falls silent, which the manager does not notice: where the
/// machine of the server or a router on the way is gone, the system takes a quarter of an hour to call that an error.
pub(super) struct Link {
    client: Client,
    config: ConnectionManagerConfig,
    manager: RwLock<ConnectionManager>,
    made: Instant,
    /// When something came for the last time, or the manager was made: microseconds since `made`.
    heard: AtomicU64,
}

impl Link {
    pub(super) async fn open(client: Client, config: ConnectionManagerConfig) -> Result<Self, RedisError> {
        let manager = ConnectionManager::new_with_config(client.clone(), config.clone()).await?;
        Ok(Self { client, config, manager: manager.into(), made: Instant::now(), heard: AtomicU64::new(0) })
    }

    fn now(&self) -> u64 {
        self.made.elapsed().as_micros() as u64
    }

    /// Makes a request. If no reply to it came in time, nor to any other since it was sent, the next ones have a new connection.
    async fn watched<T>(
        &self,
        request: impl AsyncFnOnce(ConnectionManager) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        let manager = self.manager.read().unwrap_or_else(PoisonError::into_inner).clone();
        let sent = self.now();
        let reply = request(manager).await;
        match &reply {
            Ok(_) => self.heard.store(self.now(), Ordering::Relaxed),
            Err(error) if error.is_timeout() => {
                let mut manager = self.manager.write().unwrap_or_else(PoisonError::into_inner);
                if self.heard.load(Ordering::Relaxed) < sent {
                    // Connects when it is used.
                    *manager = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())?;
                    self.heard.store(self.now(), Ordering::Relaxed);
                }
            }
            Err(_) => {}
        }
        reply
    }
}

impl Server {
    /// Refuses a server that is too old, before a script fails in a way that does not say so.
    pub(super) async fn checked(connection: Connection) -> Result<Self> {
        let info = match connection.send(&redis::cmd("INFO")).await {
            Ok(info) => String::from_utf8_lossy(&scripts::bytes(plain(info))).into_owned(),
            // A user without the right to ask may well have those that matter.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            Err(error) => return Err(error.into()),
        };
        check_version(&info)?;
        let read_only = field(&info, "slave_read_only") == Some("1");
        // Who may not even ask finds out by the first write.
        let lacks = connection.send(&scripts::rights_to_write()).await.ok().and_then(scripts::lacking);
        Ok(Self { connection, read_only, lacks: lacks.map(Arc::new) })
    }

    /// Refuses to write for a user who would be refused in the middle of it, as a script takes nothing back.
    pub(super) fn may_write(&self) -> Result<(), RedisError> {
        self.lacks.as_ref().map_or(Ok(()), |error| Err(RedisError::clone(error)))
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Sends one command. The reply is never an error.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.connection.send(command).await
    }

    /// Sends many commands at once and gives one result for each.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let count = pipeline.len();
        let replies = match self.connection.clone() {
            Connection::Own(link) => {
                link.watched(async |mut manager| manager.req_packed_commands(pipeline, 0, count).await).await
            }
            Connection::Manager(mut manager) => manager.req_packed_commands(pipeline, 0, count).await,
            Connection::Multiplexed(mut connection) => connection.req_packed_commands(pipeline, 0, count).await,
        };
        Ok(replies?.into_iter().map(Value::extract_error).collect())
    }
}

/// INFO is a verbatim string under RESP3.
fn plain(value: Value) -> Value {
    match value {
        Value::VerbatimString { text, .. } => Value::SimpleString(text),
        other => other,
    }
}

/// A field of what INFO says.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn check_version(info: &str) -> Result<()> {
    let (server, version, oldest) = match (field(info, "valkey_version"), field(info, "redis_version")) {
        (Some(version), _) => ("Valkey", version, OLDEST_VALKEY),
        (None, Some(version)) => ("Redis", version, OLDEST_REDIS),
        // Something else that speaks the protocol: it may be compatible, and says so or not when it is used.
        (None, None) => return Ok(()),
    };
    let mut numbers = version.split('.').map_while(|part| part.trim().parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < oldest {
        let (major, minor) = oldest;
        return Err(Error::Unsupported(format!("{server} {version}: version {major}.{minor} or newer is needed")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn old_servers_are_refused_by_name() {
        let error = check_version("# Server\r\nredis_version:6.2.14\r\n").unwrap_err().to_string();
        assert_eq!(error, "Redis 6.2.14: version 7.0 or newer is needed");
        check_version("redis_version:7.0.15\r\n").unwrap();
        // Valkey names a Redis version, too, for old clients.
        check_version("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n").unwrap();
        check_version("server:something").unwrap();
    }
}
