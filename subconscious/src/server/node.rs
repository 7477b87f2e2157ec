//! A server, and what was found out about it.

use std::sync::Arc;

use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::OnceCell;

use super::connection::{Line, Link};
use crate::error::{self, Error, Result};
use crate::model::keys::Keys;
use crate::scripts;
use crate::server::reply;

/// The oldest servers that have every command the scripts call.
const OLDEST_REDIS: (u32, u32) = (7, 0);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

/// A key that nobody has, to ask on before a model is known.
const ANY_KEY: &[u8] = b"t:0";

#[derive(Clone)]
pub(super) struct Server {
    connection: Connection,
    /// Whether it was a read-only replica when the connection was made.
    read_only: bool,
    /// What the user lacks to write, once that is known.
    lacks: Arc<OnceCell<Option<RedisError>>>,
}

#[derive(Clone)]
pub(super) enum Connection {
    Own(Arc<Link>),
    /// The caller's.
    Manager(ConnectionManager),
    Multiplexed(MultiplexedConnection),
}

/// A handle of a connection for one request, and the link it belongs to.
struct Request<'a> {
    connection: Box<dyn ConnectionLike + Send + Sync>,
    link: Option<(&'a Link, Line)>,
}

impl Connection {
    async fn request(&self) -> Result<Request<'_>, RedisError> {
        Ok(match self {
            Self::Own(link) => {
                let (connection, line) = link.line().await?;
                Request { connection: Box::new(connection), link: Some((link, line)) }
            }
            Self::Manager(manager) => Request { connection: Box::new(manager.clone()), link: None },
            Self::Multiplexed(connection) => Request { connection: Box::new(connection.clone()), link: None },
        })
    }
}

impl Request<'_> {
    fn note_outcome<T>(&self, reply: &Result<T, RedisError>) {
        if let Some((link, line)) = &self.link {
            link.note_outcome(line, reply);
        }
    }

    /// Looks at a reply for what the server says of itself.
    fn detect_failover<T>(&self, server: &Server, reply: &Result<T, RedisError>) {
        if let (Some((link, line)), Err(error), false) = (&self.link, reply, server.read_only)
            && error::is_read_only(error)
        {
            link.replace(line);
        }
    }
}

impl Server {
    /// Refuses a server that is too old, before a script fails in a way that does not say so.
    pub(super) async fn checked(connection: Connection) -> Result<Self> {
        let mut server = Self { connection, read_only: false, lacks: Arc::default() };
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("INFO").add_command(scripts::rights_to_write(ANY_KEY));
        let mut replies = server.send_all(&pipeline).await?.into_iter();
        let info = match replies.next().unwrap_or(Ok(Value::Nil)) {
            Ok(info) => String::from_utf8_lossy(&reply::bytes(plain(info))).into_owned(),
            // A user without the right to ask may well have those that matter.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            Err(error) => return Err(error.into()),
        };
        check_version(&info)?;
        server.read_only = field(&info, "slave_read_only") == Some("1");
        // A user who has no right to this key asks again before the first write, on a key of the
        // model.
        if let Some(Ok(answer)) = replies.next() {
            server.lacks = Arc::new(OnceCell::new_with(Some(reply::lacking(answer))));
        }
        Ok(server)
    }

    /// Refuses to write for a user who would be refused in the middle of it, as a script takes
    /// nothing back.
    pub(super) async fn may_write(&self, keys: &Keys) -> Result<(), RedisError> {
        let ask = async || {
            let call = scripts::rights_to_write(keys.temporary().as_bytes());
            self.send(&call).await.map(reply::lacking)
        };
        match self.lacks.get_or_try_init(ask).await {
            Ok(Some(lacking)) => Err(lacking.clone()),
            // A user who may not even ask finds out by the write.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Sends one command. The reply is never an error.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut request = self.connection.request().await?;
        let reply = request.connection.req_packed_command(command).await;
        request.note_outcome(&reply);
        let reply = reply?.extract_error();
        request.detect_failover(self, &reply);
        reply
    }

    /// Sends many commands at once and gives one result for each.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut request = self.connection.request().await?;
        let replies = request.connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
        request.note_outcome(&replies);
        let replies: Vec<_> = replies?.into_iter().map(Value::extract_error).collect();
        replies.iter().for_each(|reply| request.detect_failover(self, reply));
        Ok(replies)
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
        // Something else that speaks the protocol: it may be compatible, and says so or not when it
        // is used.
        (None, None) => return Ok(()),
    };
    let mut numbers = version.split('.').map_while(|part| part.trim().parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < oldest {
        let (major, minor) = oldest;
        return Err(Error::Unsupported(format!(
            "the server is {server} {version}, which lacks commands that are needed. Use version {major}.{minor} or newer"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn old_servers_are_refused_by_name() {
        let error = check_version("# Server\r\nredis_version:6.2.14\r\n").unwrap_err().to_string();
        assert_eq!(error, "the server is Redis 6.2.14, which lacks commands that are needed. Use version 7.0 or newer");
        check_version("redis_version:7.0.15\r\n").unwrap();
        // Valkey names a Redis version, too, for old clients.
        check_version("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n").unwrap();
        check_version("server:something").unwrap();
    }
}
