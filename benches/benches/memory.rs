//! Bytes of a record, by the formula of `docs/src/production.md` and as a server counts them:
//! `cargo bench -p benches --bench memory` prints the table of that page. `-- 1000000` makes so
//! many records of each model instead of 100,000.

// A measurement may end with a panic.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use subconscious::testing::TestServer;
use subconscious::{ColumnEnum, Db, RedisModel};
use uuid::Uuid;

/// A column in a record: the bytes of its name, those of its value as a field, and how many of the
/// records have one.
struct Field(f64, f64, f64);

/// What a text takes as a field of a compact hash.
fn short(bytes: f64) -> f64 {
    bytes + 2.0
}

/// The server's allocator, by the least difference of two sizes: 8 where Redis or Valkey brought
/// it, 16 where the system did.
struct Allocator(f64);

impl Allocator {
    /// What so many bytes take: there are four sizes for each doubling.
    fn up(&self, bytes: f64) -> f64 {
        let step = (bytes.log2().ceil() - 3.0).exp2().max(if bytes > 8.0 { self.0 } else { 8.0 });
        (bytes / step).ceil() * step
    }

    /// A text of its own: its bytes, and a head.
    fn text(&self, bytes: f64) -> f64 {
        self.up(bytes + if bytes < 32.0 { 2.0 } else { 4.0 })
    }

    /// An entry of a hash table: its node, and about 10 bytes for its place.
    fn entry(&self) -> f64 {
        self.up(24.0) + 10.0
    }

    /// A key of the database: an entry, an object, and the name.
    fn key(&self, name: f64) -> f64 {
        self.entry() + 16.0 + self.text(name)
    }

    /// A record whose values have at most 64 bytes each.
    fn compact(&self, key: f64, fields: &[Field]) -> f64 {
        let fields: f64 = fields.iter().map(|Field(name, value, share)| share * (name + 2.0 + value)).sum();
        self.key(key) + self.up(15.0 + fields)
    }

    /// A record with a longer value; the values are texts.
    fn large(&self, key: f64, fields: &[Field]) -> f64 {
        let field = |Field(name, value, share): &Field| share * (self.entry() + self.text(*name) + self.text(*value));
        self.key(key) + self.up(56.0) + field(&Field(1.0, 5.0, 1.0)) + fields.iter().map(field).sum::<f64>()
    }

    /// An index whose values have so few records each.
    fn rare(&self, key: f64, records: f64) -> f64 {
        (self.key(key) + self.up(8.0 + 4.0 * records)) / records
    }

    fn unique(&self, value: f64) -> f64 {
        self.entry() + self.text(value) + 8.0
    }

    /// An entry of a sorted set: that of a hash table, a node of one to five levels, and the
    /// member.
    fn sorted(&self, member: f64) -> f64 {
        let nodes = [(40.0, 0.75), (56.0, 0.1875), (72.0, 0.0469), (88.0, 0.0117), (104.0, 0.0039)];
        let node: f64 = nodes.iter().map(|(bytes, share)| self.up(*bytes) * share).sum();
        self.entry() + node + self.text(member)
    }

    /// The same, of a number or a time, which also has its score by row.
    fn sorted_number(&self, member: f64) -> f64 {
        self.sorted(member) + 8.0
    }

    /// A deadline: Redis' own, the sorted set, and a copy of what is indexed.
    fn deadline(&self, copy: f64) -> f64 {
        self.entry() + self.sorted(5.0) + self.entry() + self.text(3.0) + self.text(copy)
    }
}

/// The row of an id that is an integer of 64 bits.
const ROW: f64 = 10.0;

/// An index whose values are common: a bit a record for each, and room to grow.
fn common(values: f64) -> f64 {
    values * 0.2
}

/// Nothing but an id and a text.
#[derive(RedisModel)]
struct Note {
    #[column(primary_key)]
    id: u64,
    text: String,
}

fn note(id: u64) -> Note {
    Note { id: 1_000_000 + id, text: format!("a text of 24 bytes {:05}", id % 100_000) }
}

#[derive(Clone, Copy, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Gender {
    Male,
    Female,
}

/// That of the README.
#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    uuid: Uuid,
    name: String,
    #[column(index, sort)]
    age: u8,
    #[column(index)]
    gender: Option<Gender>,
    #[column(index)]
    country_code: Option<String>,
    #[column(sort)]
    created_at: SystemTime,
}

fn user(id: u64) -> User {
    User {
        uuid: Uuid::new_v4(),
        name: format!("John Doe {:05}", id % 100_000),
        age: (id % 90) as u8,
        gender: [Some(Gender::Male), Some(Gender::Female), None][(id % 3) as usize],
        country_code: (!id.is_multiple_of(10)).then(|| format!("C{:02}", id % 50)),
        created_at: UNIX_EPOCH + Duration::from_nanos(1_763_700_000_123_456_789 + id * 1_000_003),
    }
}

#[derive(RedisModel)]
#[model(ttl = "1d")]
struct Session {
    #[column(primary_key)]
    token: Uuid,
    #[column(index)]
    user: u64,
    #[column(unique)]
    device: String,
    requests: u32,
}

fn session(id: u64) -> Session {
    Session { token: Uuid::new_v4(), user: 100_000 + id / 10, device: format!("device-{id:09}"), requests: 12 }
}

#[derive(RedisModel)]
struct Article {
    #[column(primary_key)]
    id: u64,
    #[column(sort)]
    title: String,
    body: String,
    #[column(index)]
    tags: Vec<String>,
}

fn article(id: u64) -> Article {
    Article {
        id: 1_000_000 + id,
        title: format!("{:05} is a title of 27 byte", id % 100_000),
        body: "b".repeat(500),
        tags: (0..3).map(|tag| format!("tag{:02}", (id + 7 * tag) % 20)).collect(),
    }
}

#[derive(RedisModel)]
struct Event {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(index)]
    source: String,
    #[column(sort)]
    at: i64,
}

fn event(id: u64) -> Event {
    Event { id: 0, source: format!("host-{:04}", id % 2_000), at: 1_763_700_000_000 + id as i64 }
}

#[derive(RedisModel)]
struct Link {
    #[column(primary_key)]
    code: String,
    #[column(index)]
    target: String,
}

fn link(id: u64) -> Link {
    Link { code: format!("{id:08}"), target: format!("https://example.com/a/{id:08}") }
}

async fn used_memory(redis: &mut MultiplexedConnection) -> f64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await.unwrap();
    let number =
        |name: &str| -> f64 { info.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap() };
    // What the connections hold is none of the records'.
    number("used_memory:") - number("mem_clients_normal:")
}

async fn measure<M: RedisModel>(records: u64, make: fn(u64) -> M) -> f64 {
    let server = TestServer::start().await.unwrap();
    let db = Db::open(server.url()).await.unwrap();
    let mut redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    // The scripts are there before.
    let mut first = [make(0)];
    let _ = M::save_many(&db, &mut first).await.unwrap();
    M::delete(&first[0], &db).await.unwrap();
    let before = used_memory(&mut redis).await;
    let all = futures::stream::iter((0..records).map(make));
    assert_eq!(M::save_stream(&db, all, |_| ()).await.unwrap().into_result().unwrap(), records);
    // A table that grows has an old part until it has moved.
    tokio::time::sleep(Duration::from_millis(500)).await;
    (used_memory(&mut redis).await - before) / records as f64
}

fn row(model: &str, predicted: f64, measured: f64) {
    let off = 100.0 * (predicted / measured - 1.0);
    println!("| {model} | {predicted:.0} | {measured:.0} | {off:+.0} % |");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let records = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let server = TestServer::start().await.unwrap();
    let mut redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let told: String = redis::cmd("MEMORY").arg("MALLOC-STATS").query_async(&mut redis).await.unwrap();
    let quantum = told.lines().find_map(|line| line.strip_prefix("Quantum size:")).unwrap().trim().parse().unwrap();
    let at = Allocator(quantum);
    println!("{records} records of each model, sizes {quantum} bytes apart\n");
    println!("| model | formula | measured | off by |\n| --- | ---: | ---: | ---: |");

    let predicted = at.compact(16.0, &[Field(4.0, short(24.0), 1.0)]) + ROW;
    row("`Note`", predicted, measure(records, note).await);

    let fields = [
        Field(4.0, short(14.0), 1.0),
        Field(3.0, 2.0, 1.0),
        Field(6.0, short(5.0), 2.0 / 3.0),
        Field(12.0, short(3.0), 0.9),
        Field(10.0, 10.0, 1.0),
    ];
    let indexes = common(90.0) + common(3.0) + common(51.0) + at.sorted_number(7.0);
    row("`User`", at.compact(45.0, &fields) + 16.0 + indexes, measure(records, user).await);

    let fields = [Field(4.0, 5.0, 1.0), Field(6.0, short(16.0), 1.0), Field(8.0, 2.0, 1.0)];
    let indexes = at.rare(23.0, 10.0) + at.unique(16.0) + at.deadline(1.0 + 5.0 + 7.0 + 7.0 + 17.0 + 1.0 + 39.0);
    row("`Session`", at.compact(48.0, &fields) + 16.0 + indexes, measure(records, session).await);

    let fields = [Field(5.0, 27.0, 1.0), Field(4.0, 500.0, 1.0), Field(4.0, 18.0, 1.0)];
    let predicted = at.large(19.0, &fields) + ROW + at.sorted(27.0 + 6.0) + common(20.0);
    row("`Article`", predicted, measure(records, article).await);

    let fields = [Field(6.0, short(9.0), 1.0), Field(2.0, 10.0, 1.0)];
    let predicted = at.compact(16.0, &fields) + ROW + at.rare(24.0, records as f64 / 2_000.0) + at.sorted_number(4.0);
    row("`Event`", predicted, measure(records, event).await);

    let fields = [Field(6.0, short(30.0), 1.0)];
    row("`Link`", at.compact(17.0, &fields) + 3.0 + 10.0 + at.rare(46.0, 1.0), measure(records, link).await);
}
