//! A cluster: which node has which slot, and commands that find their node.
//!
//! redis-rs' cluster connection was rejected. It sends a write again whose reply was lost, or loses
//! the replies of a whole pipeline if one of its commands is redirected, and it never leaves a
//! master that falls silent. Here, a command is sent again only after an answer that proves that it
//! was not executed: there was no connection, or the node said `MOVED`, `ASK`, `TRYAGAIN`,
//! `CLUSTERDOWN` or `LOADING`.
//!
//! While a slot moves key by key, its nodes refuse a script of which one declared key is not there.
//! Each script declares such a key ([`guard`](crate::model::keys::guard)), so it runs before
//! the move or after it, never on a part of its keys.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{join_all, select_ok};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::connection::{Endpoint, Link, Source};
use super::node::{Request, answered};
use super::slot::{SLOTS, routing_key, slot};
use crate::server::reply;

/// Pauses before a command is sent again: the first, which doubles each time, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// How long a map is used that says where replicas are.
const LONGEST: Duration = Duration::from_secs(60);

/// How often a command follows `MOVED` at once. After that, there is a pause before each time.
const MOVES: usize = 2;

/// The host and port of a node.
pub(super) type Address = (String, u16);

/// Ranges of slots: the first, the last, and the nodes that have them, the master first.
type Ranges = Vec<(u16, u16, Vec<Address>)>;

/// Makes a client for the node at an address.
type MakeClient = dyn Fn(&Address) -> Result<Client, RedisError> + Send + Sync;

/// How the nodes of a cluster are reached.
pub(super) struct Access {
    pub(super) client: Box<MakeClient>,
    pub(super) config: AsyncConnectionConfig,
    /// Whether loads and queries ask replicas.
    pub(super) replicas: bool,
}

impl Access {
    fn node(&self, address: Address) -> Result<Arc<Node>, RedisError> {
        let endpoint = Endpoint::Address(Box::new((self.client)(&address)?));
        let source = Source { endpoint, config: self.config.clone(), retries: 0, of_replica: self.replicas };
        Ok(Arc::new(Node { address, link: Link::new(source) }))
    }
}

/// A node of a cluster, and the connection to it, which is made when it is needed.
pub(crate) struct Node {
    address: Address,
    link: Link,
}

impl Node {
    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        Request::over(&self.link).await?.send(command).await
    }

    async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        Request::over(&self.link).await?.send_all(pipeline).await
    }

    /// A host and port that this node answered. An empty host is its own.
    fn address(&self, host: &str, port: u16) -> Address {
        (if host.is_empty() { self.address.0.clone() } else { host.to_owned() }, port)
    }

    /// The ranges of slots that this node knows, and the addresses of the nodes that have each:
    /// first the master, then its replicas.
    async fn ranges(&self) -> Result<Ranges, RedisError> {
        let reply = self.send(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let range = |range: Value| {
            let Value::Array(range) = range else { return None };
            let mut range = range.into_iter();
            let mut number = || match range.next() {
                Some(Value::Int(number)) => u16::try_from(number).ok().filter(|&slot| slot < SLOTS),
                _ => None,
            };
            let (first, last) = (number()?, number()?);
            let node = |node: Value| {
                let Value::Array(node) = node else { return None };
                match &node[..] {
                    [host, Value::Int(port), ..] => {
                        let host = String::from_utf8(reply::bytes(host.clone())).ok()?;
                        Some(self.address(&host, u16::try_from(*port).ok()?))
                    }
                    _ => None,
                }
            };
            Some((first, last, range.map(node).collect::<Option<Vec<_>>>().filter(|nodes| !nodes.is_empty())?))
        };
        let ranges = match reply {
            Value::Array(ranges) => ranges.into_iter().map(range).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match ranges {
            Some(ranges) if !ranges.is_empty() => Ok(ranges),
            Some(_) => Err((ErrorKind::Client, "a node of the cluster knows no slots").into()),
            None => Err((ErrorKind::UnexpectedReturnType, "the reply to CLUSTER SLOTS cannot be read").into()),
        }
    }
}

/// Which node has which slot.
struct SlotMap {
    /// Counts the maps.
    number: u64,
    /// First slots, last slots, and their nodes.
    ranges: Vec<(u16, u16, Arc<Node>)>,
    /// The masters.
    masters: Vec<Arc<Node>>,
    /// Whether a node of this map failed, so that it has to be read anew.
    stale: AtomicBool,
    read_at: Instant,
}

impl SlotMap {
    /// All nodes that this map knows, some of them several times.
    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.ranges.iter().map(|(_, _, node)| node).chain(&self.masters)
    }

    /// The node that has the slot; without a slot, any.
    fn node(&self, slot: Option<u16>) -> Option<&Arc<Node>> {
        let Some(slot) = slot else { return self.masters.first() };
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, node)| node)
    }
}

/// A cluster, as its clients see it.
pub(super) struct Cluster {
    access: Access,
    seeds: Vec<Address>,
    /// The nodes in use, so that there is one connection to each.
    nodes: std::sync::Mutex<HashMap<Address, Arc<Node>>>,
    /// How long a call waits for a slot that has no node at the moment.
    patience: Duration,
    map: RwLock<Arc<SlotMap>>,
    /// Held by the task that reads the map anew. Has when that failed last, and why.
    reading: Mutex<Option<(Instant, RedisError)>>,
}

/// What became of a command.
enum Outcome {
    /// It was answered, or it is not known whether it was executed.
    Final,
    /// It was not executed, and the map says now where to send it.
    Moved,
    /// It was not executed. The key is at another node, while its slot moves there.
    Ask(Address),
    /// It was not executed, as the slot can't be used now.
    Wait,
}

/// The pauses of a call.
struct Pauses {
    until: Option<Instant>,
    next: Duration,
}

impl Cluster {
    /// Reads the first map, from any of the seeds.
    pub(super) async fn open(access: Access, seeds: Vec<Address>, patience: Duration) -> Result<Self, RedisError> {
        let map =
            SlotMap { number: 0, ranges: Vec::new(), masters: Vec::new(), stale: true.into(), read_at: Instant::now() };
        let cluster = Self {
            access,
            seeds,
            nodes: std::sync::Mutex::default(),
            patience,
            map: RwLock::new(Arc::new(map)),
            reading: Mutex::default(),
        };
        cluster.read(0).await?;
        Ok(cluster)
    }

    pub(super) fn asks_replicas(&self) -> bool {
        self.access.replicas
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The map for a request. If a node failed, it is read anew before; if that fails, too, the
    /// old one has to do.
    async fn current(&self) -> Arc<SlotMap> {
        let map = self.map();
        // No node says that a master has got a replica.
        let old = self.access.replicas && map.read_at.elapsed() > LONGEST;
        if !old && !map.stale.load(Ordering::Relaxed) {
            return map;
        }
        // The request finds out by itself, and names what is missing.
        let _ = self.read(map.number).await;
        self.map()
    }

    /// Reads the map anew from the node that answers first, unless that was done since the map with
    /// this number. If no node that the map knows answers, the seeds are asked.
    async fn read(&self, number: u64) -> Result<(), RedisError> {
        let asked_at = Instant::now();
        let mut failed = self.reading.lock().await;
        let old = self.map();
        if old.number != number {
            return Ok(());
        }
        // Of many tasks that wait for the same map, one asks.
        if let Some((at, error)) = &*failed
            && *at >= asked_at
        {
            return Err(error.clone());
        }
        match self.ask_for_map(&old).await {
            Ok(map) => {
                *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
                Ok(())
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn ask_for_map(&self, old: &SlotMap) -> Result<SlotMap, RedisError> {
        let mut known: Vec<Arc<Node>> = Vec::new();
        for node in old.nodes() {
            if known.iter().all(|other| other.address != node.address) {
                known.push(Arc::clone(node));
            }
        }
        let ranges = match first_answer(&known).await {
            Some(Ok(ranges)) => ranges,
            Some(Err(_)) | None => {
                let seeds = self.seeds.iter().map(|seed| self.node(seed)).collect::<Result<Vec<_>, _>>()?;
                let answer = first_answer(&seeds).await;
                answer.unwrap_or_else(|| Err((ErrorKind::Client, "a cluster was given no node").into()))?
            }
        };
        let mut map = SlotMap {
            number: old.number + 1,
            ranges: Vec::new(),
            masters: Vec::new(),
            stale: false.into(),
            read_at: Instant::now(),
        };
        for (first, last, addresses) in ranges {
            let [master, replicas @ ..] = &addresses[..] else { continue };
            let master = self.node(master)?;
            let asked = match replicas {
                // Ranges of one master are spread over its replicas.
                [_, ..] if self.access.replicas => self.node(&replicas[usize::from(first) % replicas.len()])?,
                _ => Arc::clone(&master),
            };
            map.ranges.push((first, last, asked));
            if map.masters.iter().all(|known| known.address != master.address) {
                map.masters.push(master);
            }
        }
        let in_use = |address: &Address| map.nodes().any(|node| node.address == *address);
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| in_use(address));
        Ok(map)
    }

    /// The node at an address.
    fn node(&self, address: &Address) -> Result<Arc<Node>, RedisError> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let node = self.access.node(address.clone())?;
        nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Notes that the slot is at this node.
    fn moved(&self, slot: u16, address: Address) -> Result<(), RedisError> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.node(Some(slot)).is_some_and(|node| node.address == address) {
            return Ok(());
        }
        let node = self.node(&address)?;
        let mut masters = map.masters.clone();
        if masters.iter().all(|master| master.address != node.address) {
            masters.push(Arc::clone(&node));
        }
        // The first range that has a slot counts.
        let mut ranges = vec![(slot, slot, node)];
        ranges.extend(map.ranges.iter().filter(|(first, last, _)| (*first, *last) != (slot, slot)).cloned());
        // Where one slot moved, others did, too.
        *map = Arc::new(SlotMap { number: map.number + 1, ranges, masters, stale: true.into(), read_at: map.read_at });
        Ok(())
    }

    /// Decides from the answer of a node how a command goes on.
    fn judge(&self, map: &SlotMap, node: &Node, answer: &Result<Value, RedisError>) -> Outcome {
        let Err(error) = answer else { return Outcome::Final };
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                let Some((to, slot)) = error.redirect_node() else { return Outcome::Final };
                let Some((host, port)) = to.rsplit_once(':') else { return Outcome::Final };
                let Ok(port) = port.parse() else { return Outcome::Final };
                let address = node.address(host, port);
                if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
                    return Outcome::Ask(address);
                }
                if self.moved(slot, address).is_ok() { Outcome::Moved } else { Outcome::Final }
            }
            ErrorKind::Server(ServerErrorKind::TryAgain) => Outcome::Wait,
            ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::BusyLoading) => {
                map.stale.store(true, Ordering::Relaxed);
                Outcome::Wait
            }
            // No connection could be made, so nothing was sent.
            _ if error.is_connection_refusal() => {
                map.stale.store(true, Ordering::Relaxed);
                Outcome::Wait
            }
            _ => {
                if error.is_io_error() || error.is_unrecoverable_error() {
                    map.stale.store(true, Ordering::Relaxed);
                }
                Outcome::Final
            }
        }
    }

    /// Sends one command. An error reply becomes an `Err`.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let slot = slot_of(command);
        let (mut pauses, mut moves) = (Pauses::new(), 0);
        loop {
            let map = self.current().await;
            let answer = match map.node(slot) {
                Some(node) => {
                    let answer = node.send(command).await.map_err(|error| node.named(error));
                    match self.judge(&map, node, &answer) {
                        Outcome::Final => return answer,
                        Outcome::Moved if moves < MOVES => {
                            moves += 1;
                            continue;
                        }
                        Outcome::Ask(address) if !is_script(command) => match self.ask(&map, address, command).await {
                            (answer, true) => return answer,
                            (answer, false) => answer,
                        },
                        Outcome::Moved | Outcome::Ask(_) | Outcome::Wait => answer,
                    }
                }
                None => Err(without_node(&map, slot)),
            };
            if !pauses.pause(self.patience).await {
                return answer;
            }
        }
    }

    /// Sends many commands at once, and returns one result for each.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let slots: Vec<Option<u16>> = commands.iter().map(|command| slot_of(command)).collect();
        let mut answers: Vec<Result<Value, RedisError>> = commands.iter().map(|_| Ok(Value::Nil)).collect();
        let mut left: Vec<usize> = (0..commands.len()).collect();
        let (mut pauses, mut moves) = (Pauses::new(), 0);
        while !left.is_empty() {
            let map = self.current().await;
            let mut groups: Vec<(&Arc<Node>, Vec<usize>)> = Vec::new();
            let mut waiting = Vec::new();
            for at in left {
                let Some(node) = map.node(slots[at]) else {
                    answers[at] = Err(without_node(&map, slots[at]));
                    waiting.push(at);
                    continue;
                };
                match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, node)) {
                    Some((_, group)) => group.push(at),
                    None => groups.push((node, vec![at])),
                }
            }
            let sent = groups.iter().map(async |(node, group)| {
                if group.len() == commands.len() {
                    return node.send_all(pipeline).await;
                }
                let mut part = Pipeline::with_capacity(group.len());
                group.iter().for_each(|&at| {
                    part.add_command(commands[at].clone());
                });
                node.send_all(&part).await
            });
            let (mut again, mut asked) = (Vec::new(), Vec::new());
            for ((node, group), replies) in groups.iter().zip(join_all(sent).await) {
                let replies = match replies {
                    Ok(replies) => replies,
                    Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
                };
                for (&at, reply) in group.iter().zip(replies) {
                    answers[at] = reply.map_err(|error| node.named(error));
                    match self.judge(&map, node, &answers[at]) {
                        Outcome::Final => {}
                        Outcome::Moved if moves < MOVES => again.push(at),
                        Outcome::Ask(address) if !is_script(commands[at]) => asked.push((at, address)),
                        Outcome::Moved | Outcome::Ask(_) | Outcome::Wait => waiting.push(at),
                    }
                }
            }
            for (at, address) in asked {
                let (answer, last) = self.ask(&map, address, commands[at]).await;
                answers[at] = answer;
                if !last {
                    waiting.push(at);
                }
            }
            moves += 1;
            // What is answered at once should not wait for the rest, but order is kept.
            if !waiting.is_empty() && !pauses.pause(self.patience).await {
                waiting.clear();
            }
            again.extend(waiting);
            again.sort_unstable();
            left = again;
        }
        Ok(answers)
    }

    /// Sends a command for a key that is at this node before its slot. Also returns whether the
    /// answer is final: it is not if the slot has gone elsewhere meanwhile.
    async fn ask(&self, map: &SlotMap, address: Address, command: &Cmd) -> (Result<Value, RedisError>, bool) {
        let node = match self.node(&address) {
            Ok(node) => node,
            Err(error) => return (Err(error), true),
        };
        let answer = node.ask(command).await.map_err(|error| node.named(error));
        let last = matches!(self.judge(map, &node, &answer), Outcome::Final);
        (answer, last)
    }

    /// The node that has the key, for commands that have to reach the same node one after the
    /// other.
    pub(super) async fn place(&self, key: &[u8]) -> Result<Arc<Node>, RedisError> {
        let slot = Some(slot(key));
        let mut pauses = Pauses::new();
        loop {
            let map = self.current().await;
            match map.node(slot) {
                Some(node) => return Ok(Arc::clone(node)),
                None if pauses.pause(self.patience).await => map.stale.store(true, Ordering::Relaxed),
                None => return Err(without_node(&map, slot)),
            }
        }
    }

    /// Asks each master whether it answers.
    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        let map = self.current().await;
        let ping = redis::cmd("PING");
        let answers =
            map.masters.iter().map(async |node| answered(node.send(&ping).await).map_err(|error| node.named(error)));
        join_all(answers).await.into_iter().collect()
    }
}

impl Node {
    /// Sends a command for a key that has moved here before its slot.
    async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(command.clone());
        let mut replies = self.send_all(&pipeline).await?.into_iter();
        match (replies.next(), replies.next()) {
            (Some(Ok(_)), Some(answer)) => answer,
            (Some(Err(error)), _) => Err(error),
            _ => Err((ErrorKind::UnexpectedReturnType, "a node answered too few commands").into()),
        }
    }

    /// The error, with the address of this node if no connection could be made to it.
    fn named(&self, error: RedisError) -> RedisError {
        if !error.is_connection_refusal() {
            return error;
        }
        let (host, port) = &self.address;
        let error = Unreachable { node: format!("{host}:{port}"), error };
        io::Error::new(io::ErrorKind::ConnectionRefused, error).into()
    }

    /// Sends a command that belongs to no key, after others on the same node. `None` if the slot
    /// of the key has left this node, or is about to: then what the node answered may lack some.
    pub(crate) async fn send_at(&self, command: &Cmd, key: &[u8]) -> Result<Option<Value>, RedisError> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(command.clone()).cmd("EXISTS").arg(key);
        let mut replies = self.send_all(&pipeline).await?.into_iter();
        let (Some(answer), Some(guard)) = (replies.next(), replies.next()) else {
            return Err((ErrorKind::UnexpectedReturnType, "a node answered too few commands").into());
        };
        match guard.as_ref().map_err(RedisError::kind) {
            Err(ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain)) => {
                Ok(None)
            }
            _ => guard.and(answer).map(Some),
        }
    }
}

impl Pauses {
    fn new() -> Self {
        Self { until: None, next: PAUSES.0 }
    }

    /// Waits a little, and less than `patience` in all; false if that time is over.
    async fn pause(&mut self, patience: Duration) -> bool {
        let until = *self.until.get_or_insert_with(|| Instant::now() + patience);
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (2 * self.next).min(PAUSES.1);
        true
    }
}

/// The error of a node to which no connection could be made.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {error}")]
struct Unreachable {
    node: String,
    error: RedisError,
}

/// The address of the node to which no connection could be made, if that is the error.
pub(crate) fn unreachable_node(error: &RedisError) -> Option<&str> {
    // redis-rs shares the error that it was made of.
    let error = error.source()?.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?;
    let error = error.downcast_ref::<io::Error>()?.get_ref()?;
    error.downcast_ref::<Unreachable>().map(|error| error.node.as_str())
}

/// The slots as the first node knows them that answers; `None` if there is no node.
async fn first_answer(nodes: &[Arc<Node>]) -> Option<Result<Ranges, RedisError>> {
    let asked: Vec<_> = nodes.iter().map(|node| node.ranges().boxed()).collect();
    if asked.is_empty() { None } else { Some(select_ok(asked).await.map(|(ranges, _)| ranges)) }
}

/// The slot of a command; `None` for a command without a key.
fn slot_of(command: &Cmd) -> Option<u16> {
    routing_key(command).map(slot)
}

fn is_script(command: &Cmd) -> bool {
    matches!(command.args_iter().next(), Some(redis::Arg::Simple(b"EVALSHA" | b"EVAL")))
}

/// The error for a slot that no node has.
fn without_node(map: &SlotMap, slot: Option<u16>) -> RedisError {
    map.stale.store(true, Ordering::Relaxed);
    let said = match slot {
        Some(slot) => format!("CLUSTERDOWN no node has the slot {slot}"),
        None => "CLUSTERDOWN there is no master".to_owned(),
    };
    reply::raised(said.as_bytes())
}
