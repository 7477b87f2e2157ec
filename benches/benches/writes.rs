//! Patches, counters, unique columns and many saves beside hand-written redis-rs code for the same
//! job, as ratios.
//!
//! `cargo bench -p benches --bench writes -- [records] [rounds] [part of a workload's name]`

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

use benches::{Duel, HEAD, Server, flight};
use redis::Script;
use redis::aio::ConnectionManager;
use subconscious::{Db, RedisModel};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Account {
    #[column(primary_key)]
    id: u64,
    #[column(unique)]
    email: String,
    name: String,
    #[column(index, sort)]
    level: u8,
    visits: u64,
}

fn account(id: u64) -> Account {
    let level = (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as u8 % 100;
    Account { id, email: format!("{id}@example.org"), name: format!("Account number {id}"), level, visits: 0 }
}

/// One script that reads, checks and writes, as one would write it for this model alone.
const SAVE: &str = r"
local key, id, email, level = KEYS[1], ARGV[1], ARGV[2], ARGV[4]
local old = redis.call('HMGET', key, 'email', 'level')
if old[1] ~= email then
  local owner = redis.call('HGET', '{account}:email', email)
  if owner and owner ~= id then return redis.error_reply('DUPLICATE email') end
  if old[1] then redis.call('HDEL', '{account}:email', old[1]) end
  redis.call('HSET', '{account}:email', email, id)
end
if old[2] ~= level then
  if old[2] then redis.call('SREM', '{account}:level:' .. old[2], id) end
  redis.call('SADD', '{account}:level:' .. level, id)
  redis.call('ZADD', '{account}:level', level, id)
end
if not old[1] then redis.call('SADD', '{account}:all', id) end
redis.call('HSET', key, 'email', email, 'name', ARGV[3], 'level', level, 'visits', ARGV[5])
return old[1] and 0 or 1
";

/// Sets the level alone.
const PATCH: &str = r"
local key, id, level = KEYS[1], ARGV[1], ARGV[2]
local old = redis.call('HGET', key, 'level')
if not old then return redis.error_reply('MISSING') end
if old ~= level then
  redis.call('SREM', '{account}:level:' .. old, id)
  redis.call('SADD', '{account}:level:' .. level, id)
  redis.call('ZADD', '{account}:level', level, id)
  redis.call('HSET', key, 'level', level)
end
return 1
";

/// Adds to a counter of a record that is there.
const INCR: &str = r"
if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('MISSING') end
return redis.call('HINCRBY', KEYS[1], 'visits', ARGV[1])
";

struct ByHand {
    connection: ConnectionManager,
    save: Script,
    patch: Script,
    incr: Script,
}

impl ByHand {
    fn key(id: u64) -> String {
        format!("{{account}}:{id}")
    }

    fn saving<'a>(&'a self, account: &Account) -> redis::ScriptInvocation<'a> {
        let mut call = self.save.prepare_invoke();
        call.key(Self::key(account.id)).arg(account.id).arg(&account.email).arg(&account.name).arg(account.level);
        call.arg(account.visits);
        call
    }

    async fn save(&self, account: &Account) {
        let _: i64 = self.saving(account).invoke_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn save_many(&self, accounts: &[Account]) {
        let mut pipeline = redis::pipe();
        pipeline.load_script(&self.save).ignore();
        for account in accounts {
            pipeline.invoke_script(&self.saving(account));
        }
        let _: Vec<i64> = pipeline.query_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn patch(&self, id: u64, level: u8) {
        let mut call = self.patch.prepare_invoke();
        let _: i64 =
            call.key(Self::key(id)).arg(id).arg(level).invoke_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn incr(&self, id: u64) -> u64 {
        let mut call = self.incr.prepare_invoke();
        call.key(Self::key(id)).arg(1).invoke_async(&mut self.connection.clone()).await.unwrap()
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
    let (save, patch, incr) = (Script::new(SAVE), Script::new(PATCH), Script::new(INCR));
    let by_hand = &ByHand { connection: connection.clone(), save, patch, incr };
    for first in (0..records).step_by(1000) {
        let mut accounts: Vec<_> = (first..(first + 1000).min(records)).map(account).collect();
        Account::save_many(db, &mut accounts).await.unwrap().into_result().unwrap();
        by_hand.save_many(&accounts).await;
    }
    println!("{records} records, {rounds} rounds; {}\n\n{HEAD}", server.note);

    let some = |round: usize, count: u64| (0..count).map(move |at| (at * 7919 + round as u64 * 104_729) % records);
    for width in [1, 50] {
        let count = if width == 1 { 2_000 } else { 20_000 };
        let fresh = |round: usize| (0..count).map(move |at| records * (2 + width as u64) + round as u64 * count + at);
        let level = |id: u64, round: usize| ((id + round as u64 * 13) % 100) as u8;
        Duel::run(
            &format!("save of a new record with a unique column, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| flight(fresh(round), width, async |id| account(id).save(db).await.unwrap()),
            |round| flight(fresh(round), width, async |id| by_hand.save(&account(id)).await),
        )
        .await;
        let moved = |id: u64, round: usize| Account { email: format!("{id}@{round}.example.org"), ..account(id) };
        Duel::run(
            &format!("save with the unique column changed, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, move |id| async move { moved(id, round).save(db).await.unwrap() })
            },
            |round| flight(some(round, count), width, move |id| async move { by_hand.save(&moved(id, round)).await }),
        )
        .await;
        Duel::run(
            &format!("patch of an indexed column, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, move |id| async move {
                    Account::patch(db, id, |a| [a.level.set(level(id, round))]).await.unwrap();
                })
            },
            |round| flight(some(round, count), width, move |id| by_hand.patch(id, level(id, round))),
        )
        .await;
        Duel::run(
            &format!("patch that adds to a counter, {width} in flight"),
            rounds,
            count as usize,
            &mut connection,
            |round| {
                flight(some(round, count), width, async |id| {
                    let patched = Account::patch(db, id, |a| [a.visits.incr(1)]).await.unwrap();
                    assert!(patched.get(|a| a.visits).unwrap() > 0);
                })
            },
            |round| flight(some(round, count), width, async |id| assert!(by_hand.incr(id).await > 0)),
        )
        .await;
    }
    let new = |round: usize, side: u64| {
        let base = records * 100 + (round as u64 * 2 + side) * 10_000;
        (0..10).map(move |at| base + at * 1000)
    };
    let save_many = async |first| {
        let mut accounts: Vec<_> = (first..first + 1000).map(account).collect();
        Account::save_many(db, &mut accounts).await.unwrap().into_result().unwrap();
    };
    Duel::run(
        "save_many of 1,000 new records",
        rounds,
        10_000,
        &mut connection,
        |round| flight(new(round, 0), 1, save_many),
        |round| {
            flight(new(round, 0), 1, async |first| {
                by_hand.save_many(&(first..first + 1000).map(account).collect::<Vec<_>>()).await;
            })
        },
    )
    .await;
    Duel::run(
        "save_many of 1,000 new records; instead of by hand: save, 1 in flight",
        rounds,
        10_000,
        &mut connection,
        |round| flight(new(round + 1000, 0), 1, save_many),
        |round| {
            flight(new(round + 1000, 1), 1, async |first| {
                for id in first..first + 1000 {
                    account(id).save(db).await.unwrap();
                }
            })
        },
    )
    .await;
}
