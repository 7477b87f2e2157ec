//! A server or a cluster, and what is known about it.

use std::sync::Arc;

use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::OnceCell;

use super::cluster::{Cluster, Node};
use super::connection::{Line, Link};
use crate::error::{self, Error, Result};
use crate::model::keys::Keys;
use crate::scripts;
use crate::server::reply;

/// The oldest servers that have every command the scripts call.
const OLDEST_REDIS: (u32, u32) = (7, 0);
const OLDEST_VALKEY: (u32, u32) = (7, 2);

/// A key that no model has. It is used to ask for rights before a model is known.
const ANY_KEY: &[u8] = b"t:0";

#[derive(Clone)]
pub(super) struct Server {
    topology: Topology,
    /// Whether the server was a read-only replica when the connection was made, or replicas of a
    /// cluster are asked.
    read_only: bool,
    /// The rights to write that the user lacks, once they are known.
    lacks: Arc<OnceCell<Option<RedisError>>>,
}

#[derive(Clone)]
enum Topology {
    Single(Connection),
    Cluster(Arc<Cluster>),
}

#[derive(Clone)]
pub(super) enum Connection {
    Own(Arc<Link>),
    /// A connection manager of the caller.
    Manager(ConnectionManager),
    /// A connection of the caller.
    Multiplexed(MultiplexedConnection),
}

/// A handle of a connection for one request, and the link that the connection belongs to.
pub(super) struct Request<'a> {
    connection: Box<dyn ConnectionLike + Send + Sync>,
    link: Option<(&'a Link, Line)>,
}

impl Connection {
    async fn request(&self) -> Result<Request<'_>, RedisError> {
        Ok(match self {
            Self::Own(link) => return Request::over(link).await,
            Self::Manager(manager) => Request { connection: Box::new(manager.clone()), link: None },
            Self::Multiplexed(connection) => Request { connection: Box::new(connection.clone()), link: None },
        })
    }
}

impl<'a> Request<'a> {
    pub(super) async fn over(link: &'a Link) -> Result<Self, RedisError> {
        let (connection, line) = link.line().await?;
        Ok(Self { connection: Box::new(connection), link: Some((link, line)) })
    }

    /// Sends one command. An error reply becomes an `Err`.
    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let reply = self.connection.req_packed_command(command).await;
        self.note_outcome(&reply);
        reply?.extract_error()
    }

    /// Sends many commands at once, and returns one result for each.
    pub(super) async fn send_all(&mut self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let replies = self.connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
        self.note_outcome(&replies);
        Ok(replies?.into_iter().map(Value::extract_error).collect())
    }

    fn note_outcome<T>(&self, reply: &Result<T, RedisError>) {
        if let Some((link, line)) = &self.link {
            link.note_outcome(line, reply);
        }
    }

    /// Gives up the connection if the reply shows that its server has become a replica.
    fn detect_failover<T>(&self, server: &Server, reply: &Result<T, RedisError>) {
        if let (Some((link, line)), Err(error), false) = (&self.link, reply, server.read_only)
            && error::is_read_only(error)
        {
            link.replace(line);
        }
    }
}

impl Server {
    /// A connection to one server. Also says whether that is a node of a cluster.
    pub(super) async fn single(connection: Connection) -> Result<(Self, bool)> {
        Self::checked(Topology::Single(connection), false).await
    }

    pub(super) async fn cluster(cluster: Cluster) -> Result<Self> {
        let read_only = cluster.asks_replicas();
        Self::checked(Topology::Cluster(Arc::new(cluster)), read_only).await.map(|(server, _)| server)
    }

    /// Refuses a server that is too old. Otherwise, a script would fail later without saying so.
    async fn checked(topology: Topology, read_only: bool) -> Result<(Self, bool)> {
        let mut server = Self { topology, read_only, lacks: Arc::default() };
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("INFO").add_command(scripts::rights_to_write(ANY_KEY));
        let mut replies = server.send_all(&pipeline).await?.into_iter();
        let info = match replies.next().unwrap_or(Ok(Value::Nil)) {
            Ok(info) => String::from_utf8_lossy(&reply::bytes(plain(info))).into_owned(),
            // A user without the right to call INFO may still have all rights that are needed.
            Err(error) if error.code() == Some("NOPERM") => String::new(),
            Err(error) => return Err(error.into()),
        };
        check_version(&info)?;
        let in_cluster = field(&info, "cluster_enabled") == Some("1");
        server.read_only |= !in_cluster && field(&info, "slave_read_only") == Some("1");
        // If the user has no right to `ANY_KEY`, the first write asks again, on a key of the model.
        if let Some(Ok(answer)) = replies.next() {
            server.lacks = Arc::new(OnceCell::new_with(Some(reply::lacking(answer))));
        }
        Ok((server, in_cluster))
    }

    /// Returns an error if the user lacks a right that writes need. A script can't undo its writes,
    /// so it must not be refused in the middle.
    pub(super) async fn may_write(&self, keys: &Keys) -> Result<(), RedisError> {
        let ask = async || {
            let call = scripts::rights_to_write(keys.temporary().as_bytes());
            self.send(&call).await.map(reply::lacking)
        };
        match self.lacks.get_or_try_init(ask).await {
            Ok(Some(lacking)) => Err(lacking.clone()),
            // If the user may not even ask, the write itself finds out.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Sends one command. An error reply becomes an `Err`.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let connection = match &self.topology {
            Topology::Single(connection) => connection,
            Topology::Cluster(cluster) => return cluster.send(command).await,
        };
        let mut request = connection.request().await?;
        let reply = request.send(command).await;
        request.detect_failover(self, &reply);
        reply
    }

    /// Sends many commands at once, and returns one result for each, or an error if nothing was
    /// answered.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let connection = match &self.topology {
            Topology::Single(connection) => connection,
            Topology::Cluster(cluster) => return cluster.send_all(pipeline).await,
        };
        let mut request = connection.request().await?;
        let replies = request.send_all(pipeline).await?;
        replies.iter().for_each(|reply| request.detect_failover(self, reply));
        Ok(replies)
    }

    /// The node of a cluster that has the key; `None` if there is only one server.
    pub(super) async fn place(&self, key: &[u8]) -> Result<Option<Arc<Node>>, RedisError> {
        match &self.topology {
            Topology::Single(_) => Ok(None),
            Topology::Cluster(cluster) => cluster.place(key).await.map(Some),
        }
    }

    /// Asks the server, or each master of the cluster, whether it answers.
    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        match &self.topology {
            Topology::Single(_) => answered(self.send(&redis::cmd("PING")).await),
            Topology::Cluster(cluster) => cluster.ping().await,
        }
    }
}

/// Whether a `PING` was answered. The refusal of a user who may not ask is an answer, too.
pub(super) fn answered(reply: Result<Value, RedisError>) -> Result<(), RedisError> {
    match reply {
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(()),
    }
}

/// INFO is a verbatim string under RESP3.
fn plain(value: Value) -> Value {
    match value {
        Value::VerbatimString { text, .. } => Value::SimpleString(text),
        other => other,
    }
}

/// A field of the reply to INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn check_version(info: &str) -> Result<()> {
    let (server, version, oldest) = match (field(info, "valkey_version"), field(info, "redis_version")) {
        (Some(version), _) => ("Valkey", version, OLDEST_VALKEY),
        (None, Some(version)) => ("Redis", version, OLDEST_REDIS),
        // Another server that speaks the protocol. It may be compatible; if it is not, its errors
        // say so when it is used.
        (None, None) => return Ok(()),
    };
    let mut numbers = version.split('.').map_while(|part| part.trim().parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < oldest {
        let (major, minor) = oldest;
        let (found, needed) = (format!("{server} {version}"), format!("{server} {major}.{minor}"));
        return Err(Error::UnsupportedServer { found, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn old_servers_are_refused_by_name() {
        let error = check_version("# Server\r\nredis_version:6.2.14\r\n").unwrap_err().to_string();
        assert_eq!(error, "the server is Redis 6.2.14, which lacks commands that are needed. Use Redis 7.0 or newer");
        check_version("redis_version:7.0.15\r\n").unwrap();
        // Valkey also reports a Redis version, for old clients.
        check_version("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n").unwrap();
        check_version("server:something").unwrap();
    }
}
