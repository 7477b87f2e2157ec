//! A cluster of private servers.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Arg, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};
use subconscious::testing::TestServer;
use tokio::time::sleep;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// How often a node is started until its ports are free.
const ATTEMPTS: usize = 5;

/// A plain connection to one server, or to the masters of a cluster.
#[derive(Clone)]
pub struct Plain(Vec<MultiplexedConnection>);

impl Plain {
    /// Connects to the servers at these addresses.
    pub async fn open(urls: impl IntoIterator<Item = &str>) -> Self {
        let mut connections = Vec::new();
        // Longer than a replica takes to follow.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
        for url in urls {
            let client = redis::Client::open(url).unwrap_or_else(|error| panic!("{error}"));
            let connection = client.get_multiplexed_async_connection_with_config(&config).await;
            connections.push(connection.unwrap_or_else(|error| panic!("{error}")));
        }
        Self(connections)
    }
}

impl From<MultiplexedConnection> for Plain {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(vec![connection])
    }
}

/// Whether another node has to be asked.
fn is_elsewhere(reply: &Value) -> bool {
    let error = reply.clone().extract_error().err();
    error.is_some_and(|error| error.kind() == redis::ErrorKind::Server(ServerErrorKind::Moved))
}

/// What each node answers is a part of the answer, or the same.
fn is_for_all(command: &Cmd) -> bool {
    let all: [&[u8]; 6] = [b"KEYS", b"CONFIG", b"SCRIPT", b"CLIENT", b"ACL", b"FLUSHALL"];
    matches!(command.args_iter().next(), Some(Arg::Simple(name)) if all.contains(&name))
}

impl ConnectionLike for Plain {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut all = Vec::new();
            for connection in &mut self.0 {
                let reply = connection.req_packed_command(command).await?;
                if !is_for_all(command) && !is_elsewhere(&reply) {
                    return Ok(reply);
                }
                all.push(reply);
            }
            match all.pop() {
                Some(Value::Array(mut last)) if is_for_all(command) => {
                    last.extend(
                        all.into_iter()
                            .flat_map(|reply| if let Value::Array(part) = reply { part } else { Vec::new() }),
                    );
                    Ok(Value::Array(last))
                }
                last => Ok(last.unwrap_or(Value::Nil)),
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut last = Vec::new();
            for connection in &mut self.0 {
                last = connection.req_packed_commands(pipeline, offset, count).await?;
                if !last.iter().any(is_elsewhere) {
                    break;
                }
            }
            Ok(last)
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// A cluster: its masters have the slots in equal ranges, in their order.
pub struct Cluster {
    /// The masters, and then a replica for each, if there are replicas.
    pub nodes: Vec<ClusterNode>,
    /// How many of the nodes were masters at the start.
    pub masters: usize,
}

/// A node of a cluster.
pub struct ClusterNode {
    /// The server.
    pub server: TestServer,
    /// A plain connection to it.
    pub redis: MultiplexedConnection,
    /// The name by which other nodes know it.
    pub id: String,
}

impl ClusterNode {
    async fn start(timeout: Duration) -> Self {
        let timeout = timeout.as_millis().to_string();
        let mut attempt = 1;
        let server = loop {
            // The bus has a port of its own, by default one that may be beyond the last. A port can't
            // be reserved for another process: if another process took it, another port is tried.
            let bus = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", &timeout];
            let more = ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"];
            match TestServer::builder().tcp().args(arguments).args(more).start().await {
                Ok(server) => break server,
                Err(error) => assert!(attempt < ATTEMPTS, "{error}"),
            }
            attempt += 1;
        };
        let redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let mut node = Self { server, redis, id: String::new() };
        node.id = node.run(redis::cmd("CLUSTER").arg("MYID")).await;
        node
    }

    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.server.port().unwrap()
    }

    /// Runs a command on this node.
    pub async fn run<T: FromRedisValue>(&self, command: &mut Cmd) -> T {
        self.attempt(command).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a command on this node, which may refuse it.
    pub async fn attempt<T: FromRedisValue>(&self, command: &mut Cmd) -> Result<T, RedisError> {
        command.query_async(&mut self.redis.clone()).await
    }

    /// The ranges of slots that this node knows: first, last, and of each of its nodes the host, the
    /// port and the id, the master first.
    pub async fn ranges(&self) -> Vec<(u16, u16, Vec<(String, u16, String)>)> {
        let ranges: Vec<Vec<Value>> = self.run(redis::cmd("CLUSTER").arg("SLOTS")).await;
        let text = |value: &Value| redis::from_redis_value::<String>(value.clone()).unwrap();
        let number = |value: &Value| redis::from_redis_value::<u16>(value.clone()).unwrap();
        let node = |node: &Value| match node {
            Value::Array(node) => (text(&node[0]), number(&node[1]), text(&node[2])),
            other => panic!("{other:?}"),
        };
        ranges
            .iter()
            .map(|range| (number(&range[0]), number(&range[1]), range[2..].iter().map(node).collect()))
            .collect()
    }

    /// Whether the node takes calls, and knows the slots of so many masters, and their replicas.
    async fn knows(&self, masters: usize, nodes: usize) -> bool {
        let info: String = self.run(redis::cmd("CLUSTER").arg("INFO")).await;
        let ranges = self.ranges().await;
        let known: usize = ranges.iter().map(|(.., nodes)| nodes.len()).sum();
        info.contains("cluster_state:ok") && ranges.len() == masters && known == nodes
    }
}

impl Cluster {
    /// Starts a cluster of this many masters, each with a replica if there are to be some, and
    /// waits until all nodes answer. A node counts as failed when it has been silent for `timeout`.
    pub async fn start(masters: usize, replicas: bool, timeout: Duration) -> Self {
        let count = if replicas { 2 * masters } else { masters };
        let nodes = futures::future::join_all((0..count).map(|_| ClusterNode::start(timeout))).await;
        let cluster = Self { nodes, masters };
        for (at, node) in cluster.nodes.iter().enumerate() {
            let () = node.run(redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(at + 1)).await;
            if at < masters {
                let (first, last) = cluster.slots_of(at);
                let () = node.run(redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last)).await;
            }
        }
        for node in &cluster.nodes[1..] {
            let bus: Vec<(String, String)> =
                cluster.nodes[0].run(redis::cmd("CONFIG").arg("GET").arg("cluster-port")).await;
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(cluster.nodes[0].port()).arg(&bus[0].1);
            let () = node.run(&mut meet).await;
        }
        for (at, node) in cluster.nodes.iter().enumerate().skip(masters) {
            let mut follow = redis::cmd("CLUSTER");
            follow.arg("REPLICATE").arg(&cluster.nodes[at - masters].id);
            // Nodes hear of each other one after the other.
            while node.attempt::<()>(&mut follow).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        }
        for node in &cluster.nodes {
            while !node.knows(masters, count).await {
                sleep(Duration::from_millis(20)).await;
            }
        }
        cluster
    }

    /// The first and the last slot that a master had at the start.
    pub fn slots_of(&self, master: usize) -> (u16, u16) {
        let end = |at: usize| u16::try_from(usize::from(SLOTS) * at / self.masters).unwrap();
        (end(master), end(master + 1) - 1)
    }

    /// The address of the cluster.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The number of the master that has the slot.
    pub async fn owner_of(&self, slot: u16) -> usize {
        let ranges = self.nodes[0].ranges().await;
        let (.., masters) = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).unwrap();
        self.nodes.iter().position(|node| node.id == masters[0].2).unwrap()
    }

    /// Moves a slot from one node to another key by key, as `redis-cli --cluster reshard` does.
    /// After each `some` keys, `between` is awaited.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize, some: usize, mut between: impl AsyncFnMut()) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let set = |state: &str, other: &ClusterNode| {
            let mut command = redis::cmd("CLUSTER");
            command.arg("SETSLOT").arg(slot).arg(state).arg(&other.id);
            command
        };
        let () = to.run(&mut set("IMPORTING", from)).await;
        let () = from.run(&mut set("MIGRATING", to)).await;
        loop {
            let keys: Vec<Vec<u8>> = from.run(redis::cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(some)).await;
            if keys.is_empty() {
                break;
            }
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(to.port()).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
            let _: redis::Value = from.run(&mut migrate).await;
            between().await;
        }
        let () = to.run(&mut set("NODE", to)).await;
        for node in &self.nodes[..self.masters] {
            let () = node.run(&mut set("NODE", to)).await;
        }
    }
}
