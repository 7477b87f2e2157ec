//! Loads and saves beside hand-written redis-rs code for the same job, as ratios.
//!
//! `cargo bench -p benches --bench records -- [records] [rounds] [part of a workload's name]`

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

use benches::{Duel, HEAD, Server, flight};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Script};
use subconscious::{ColumnEnum, Db, RedisModel};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Gender {
    Male,
    Female,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
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
    created_at: i64,
}

/// The same user always; countries are skewed.
fn user(at: u64) -> User {
    let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    let skewed = (mixed % 50) * (mixed / 50 % 50) / 50;
    User {
        uuid: Uuid::from_u64_pair(at.wrapping_mul(0xD129_0427_73A3_3C5D), at),
        name: format!("User number {at}"),
        age: (mixed % 100) as u8,
        gender: [Some(Gender::Male), Some(Gender::Female), None][(mixed % 21 / 10) as usize],
        country_code: Some(format!("C{skewed:02}")),
        created_at: 1_763_000_000_000 + (mixed % 1_000_000_000) as i64,
    }
}

/// What a careful programmer writes: one script that reads the old values, changes the sets and
/// sorted sets that differ, and writes the record.
const UPSERT: &str = r"
local key, id = KEYS[1], ARGV[1]
local old = redis.call('HMGET', key, 'age', 'gender', 'country_code', 'created_at')
for i, name in ipairs({ 'age', 'gender', 'country_code' }) do
  local new = ARGV[i + 2]
  if old[i] ~= new then
    if old[i] then redis.call('SREM', '{user}:' .. name .. ':' .. old[i], id) end
    redis.call('SADD', '{user}:' .. name .. ':' .. new, id)
  end
end
if old[1] ~= ARGV[3] then redis.call('ZADD', '{user}:age', ARGV[3], id) end
if old[4] ~= ARGV[6] then redis.call('ZADD', '{user}:created_at', ARGV[6], id) end
if not old[1] then redis.call('SADD', '{user}:all', id) end
redis.call('HSET', key, 'uuid', id, 'name', ARGV[2], 'age', ARGV[3], 'gender', ARGV[4], 'country_code', ARGV[5], 'created_at', ARGV[6])
return old[1] and 0 or 1
";

const GENDERS: [(&str, Option<Gender>); 3] =
    [("male", Some(Gender::Male)), ("female", Some(Gender::Female)), ("", None)];

struct ByHand {
    connection: ConnectionManager,
    upsert: Script,
}

impl ByHand {
    fn key(uuid: Uuid) -> String {
        format!("{{user}}:{uuid}")
    }

    fn invocation<'a>(&'a self, user: &User) -> redis::ScriptInvocation<'a> {
        let gender = GENDERS.iter().find(|(_, gender)| *gender == user.gender).map_or("", |(name, _)| name);
        let mut call = self.upsert.prepare_invoke();
        call.key(Self::key(user.uuid))
            .arg(user.uuid.to_string())
            .arg(&user.name)
            .arg(user.age)
            .arg(gender)
            .arg(user.country_code.as_deref().unwrap_or(""))
            .arg(user.created_at);
        call
    }

    async fn save(&self, user: &User) {
        let _: i64 = self.invocation(user).invoke_async(&mut self.connection.clone()).await.unwrap();
    }

    fn parse(uuid: Uuid, fields: (String, u8, String, String, i64)) -> User {
        let (name, age, gender, country, created_at) = fields;
        let gender = GENDERS.iter().find(|(known, _)| *known == gender).and_then(|(_, gender)| *gender);
        User { uuid, name, age, gender, country_code: (!country.is_empty()).then_some(country), created_at }
    }

    /// HMGET into a tuple, the fastest way that redis-rs offers to a typed record.
    async fn load(&self, uuid: Uuid) -> User {
        let mut connection = self.connection.clone();
        let fields = connection.hmget(Self::key(uuid), &["name", "age", "gender", "country_code", "created_at"]);
        Self::parse(uuid, fields.await.unwrap())
    }

    /// HGETALL into a map, the usual way.
    async fn load_all_fields(&self, uuid: Uuid) -> User {
        let mut fields: std::collections::HashMap<String, String> =
            self.connection.clone().hgetall(Self::key(uuid)).await.unwrap();
        let mut take = |name: &str| fields.remove(name).unwrap();
        let fields = (
            take("name"),
            take("age").parse().unwrap(),
            take("gender"),
            take("country_code"),
            take("created_at").parse().unwrap(),
        );
        Self::parse(uuid, fields)
    }

    async fn load_many(&self, uuids: &[Uuid]) -> Vec<User> {
        let mut pipeline = redis::pipe();
        for uuid in uuids {
            pipeline.hmget(Self::key(*uuid), &["name", "age", "gender", "country_code", "created_at"]);
        }
        let rows: Vec<(String, u8, String, String, i64)> =
            pipeline.query_async(&mut self.connection.clone()).await.unwrap();
        uuids.iter().zip(rows).map(|(uuid, row)| Self::parse(*uuid, row)).collect()
    }

    async fn save_many(&self, users: &[User]) {
        let mut pipeline = redis::pipe();
        pipeline.load_script(&self.upsert).ignore();
        for user in users {
            pipeline.invoke_script(&self.invocation(user));
        }
        let _: Vec<i64> = pipeline.query_async(&mut self.connection.clone()).await.unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let records = arguments.next().unwrap_or(100_000);
    let rounds = arguments.next().unwrap_or(7) as usize;
    let server = Server::start().await;
    let client = redis::Client::open(server.url.as_str()).unwrap();
    let mut connection = client.get_connection_manager().await.unwrap();
    let db = &Db::from_connection_manager(connection.clone()).await.unwrap();
    let by_hand = &ByHand { connection: connection.clone(), upsert: Script::new(UPSERT) };

    let memory = async || {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection.clone()).await.unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().to_owned();
        used.parse::<f64>().unwrap()
    };
    let before = memory().await;
    for first in (0..records).step_by(1000) {
        let mut users: Vec<User> = (first..(first + 1000).min(records)).map(user).collect();
        User::save_many(db, &mut users).await.unwrap().into_result().unwrap();
    }
    let ours = memory().await;
    for first in (0..records).step_by(1000) {
        by_hand.save_many(&(first..(first + 1000).min(records)).map(user).collect::<Vec<_>>()).await;
    }
    let theirs = memory().await;
    for at in [0, records / 2, records - 1] {
        let expected = Some(user(at));
        assert_eq!(User::load(db, user(at).uuid).await.unwrap(), expected);
        assert_eq!(Some(by_hand.load(user(at).uuid).await), expected);
        assert_eq!(Some(by_hand.load_all_fields(user(at).uuid).await), expected);
    }
    println!(
        "{records} records, {rounds} rounds; {}; bytes a record: ours {:.0}, by hand {:.0}\n\n{HEAD}",
        server.note,
        (ours - before) / records as f64,
        (theirs - ours) / records as f64
    );

    let some = |round: usize, count: u64| (0..count).map(move |at| (at * 7919 + round as u64 * 104_729) % records);
    for width in [1, 50] {
        let count = if width == 1 { 2_000 } else { 20_000 };
        Duel::run(
            &format!("load, {width} in flight; by hand HMGET"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, async |at| {
                    assert!(User::load(db, user(at).uuid).await.unwrap().is_some())
                })
            },
            |round| flight(some(round, count), width, async |at| assert!(by_hand.load(user(at).uuid).await.age < 100)),
        )
        .await;
        Duel::run(
            &format!("load, {width} in flight; by hand HGETALL"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, async |at| {
                    assert!(User::load(db, user(at).uuid).await.unwrap().is_some())
                })
            },
            |round| {
                flight(some(round, count), width, async |at| {
                    assert!(by_hand.load_all_fields(user(at).uuid).await.age < 100)
                })
            },
        )
        .await;
    }
    Duel::run(
        "load_many of 100",
        rounds,
        20_000,
        &mut connection,
        |round| {
            flight((0..200).map(move |at| at + round as u64), 1, async |at| {
                let ids = some(at as usize, 100).map(|at| user(at).uuid);
                assert_eq!(User::load_many(db, ids).await.unwrap().len(), 100);
            })
        },
        |round| {
            flight((0..200).map(move |at| at + round as u64), 1, async |at| {
                let ids: Vec<_> = some(at as usize, 100).map(|at| user(at).uuid).collect();
                assert_eq!(by_hand.load_many(&ids).await.len(), 100);
            })
        },
    )
    .await;

    let changed = |at: u64, round: usize| {
        let mut changed = user(at);
        changed.age = ((at + round as u64 * 13) % 100) as u8;
        changed.country_code = Some(format!("C{:02}", (at + round as u64) % 40));
        changed
    };
    for width in [1, 50] {
        let count = if width == 1 { 2_000 } else { 20_000 };
        // Numbers beyond those there are: each round its own.
        let fresh = |round: usize| (0..count).map(move |at| records * (2 + width as u64) + round as u64 * count + at);
        Duel::run(
            &format!("save of a new record, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| flight(fresh(round), width, async |at| user(at).save(db).await.unwrap()),
            |round| flight(fresh(round), width, async |at| by_hand.save(&user(at)).await),
        )
        .await;
        Duel::run(
            &format!("save with age and country changed, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, move |at| async move { changed(at, round).save(db).await.unwrap() })
            },
            |round| flight(some(round, count), width, move |at| async move { by_hand.save(&changed(at, round)).await }),
        )
        .await;
        Duel::run(
            &format!("save of what is there already, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |_| flight(some(rounds, count), width, async |at| changed(at, rounds).save(db).await.unwrap()),
            |_| flight(some(rounds, count), width, async |at| by_hand.save(&changed(at, rounds)).await),
        )
        .await;
    }
    let base = records * 100;
    Duel::run(
        "save_many of 1,000 new records",
        rounds,
        10_000,
        &mut connection,
        |round| {
            flight((0..10).map(move |at| base + round as u64 * 10_000 + at * 1000), 1, async |first| {
                let mut users: Vec<_> = (first..first + 1000).map(user).collect();
                User::save_many(db, &mut users).await.unwrap().into_result().unwrap();
            })
        },
        |round| {
            flight((0..10).map(move |at| base + round as u64 * 10_000 + at * 1000), 1, async |first| {
                by_hand.save_many(&(first..first + 1000).map(user).collect::<Vec<_>>()).await;
            })
        },
    )
    .await;
}
