//! Many writers on few records, with everything at once; in the end all adds up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use subconscious_tests::{Fixture, indexes, with_protocol};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Account {
    #[column(primary_key)]
    id: u32,
    /// Given to a record by each insert and save: one life of it, which only patches continue.
    life: u64,
    #[column(unique)]
    handle: Option<String>,
    #[column(index, sort)]
    level: u8,
    #[column(sort)]
    balance: i64,
    #[column(version)]
    version: u64,
    #[column(index)]
    tags: Vec<String>,
}

const RECORDS: u64 = 100;
const TASKS: u64 = 16;
const CONNECTIONS: u64 = 4;

/// What the writers know they did.
#[derive(Default)]
struct Ledger {
    lives: BTreeMap<(u32, u64), Life>,
    last_life: u64,
    operations: u64,
}

/// What is known of one life of a record.
#[derive(Default)]
struct Life {
    /// Its versions, in the order in which their writers heard of them.
    versions: Vec<u64>,
    /// The balance it began with, and all that was added.
    balance: i64,
}

impl Ledger {
    fn next_life(&mut self) -> u64 {
        self.last_life += 1;
        self.last_life
    }

    fn note(&mut self, id: u32, life: u64, version: u64, balance: i64) {
        let life = self.lives.entry((id, life)).or_default();
        life.versions.push(version);
        life.balance += balance;
    }

    /// The record's balance is what was added to it, as far as its writers have noted all that down
    /// already.
    fn check(&self, account: &Account) {
        let Some(life) = self.lives.get(&(account.id, account.life)) else { return };
        let first = life.versions.iter().min().unwrap();
        if life.versions.len() as u64 == account.version + 1 - first {
            assert_eq!(account.balance, life.balance, "{account:?}");
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

async fn hammer(db: Db, mut random: Random, ledger: Arc<Mutex<Ledger>>, end: Instant) {
    while Instant::now() < end {
        let id = random.below(RECORDS) as u32;
        let handle = (random.below(3) > 0).then(|| format!("h{}", random.below(60)));
        ledger.lock().unwrap().operations += 1;
        match random.below(12) {
            0..=2 => {
                let life = ledger.lock().unwrap().next_life();
                let level = random.below(5) as u8;
                let tags = (0..random.below(4)).map(|_| format!("t{}", random.below(5))).collect();
                let mut account = Account { id, life, handle, level, balance: 0, version: 0, tags };
                match account.insert(&db).await {
                    Ok(()) => ledger.lock().unwrap().note(id, life, account.version, 0),
                    Err(error) => assert!(error.is_already_exists() || error.is_duplicate(), "{error}"),
                }
            }
            3 | 4 => {
                let Some(mut account) = Account::load(&db, id).await.unwrap() else { continue };
                account.life = ledger.lock().unwrap().next_life();
                account.handle = handle;
                account.level = random.below(5) as u8;
                account.tags = vec![format!("t{}", random.below(5))];
                match account.save(&db).await {
                    Ok(()) => ledger.lock().unwrap().note(id, account.life, account.version, account.balance),
                    Err(error) => assert!(error.is_conflict() || error.is_duplicate(), "{error}"),
                }
            }
            5..=7 => {
                let Some(account) = Account::load(&db, id).await.unwrap() else { continue };
                let by = random.below(100) as i64 - 50;
                // A record that was deleted and inserted again may have the same version: it says
                // which life was patched.
                let patch = Account::patch(&db, id, |a| {
                    [a.version.expected(account.version), a.balance.incr(by), a.life.incr(0)]
                });
                match patch.await {
                    Ok(patched) => {
                        let (life, version) = (patched.get(|a| a.life).unwrap(), patched.get(|a| a.version).unwrap());
                        ledger.lock().unwrap().note(id, life, version, by);
                    }
                    Err(error) => assert!(error.is_conflict() || error.is_not_found(), "{error}"),
                }
            }
            8 => {
                let Some(account) = Account::load(&db, id).await.unwrap() else { continue };
                if let Err(error) = account.expire(&db, Duration::from_millis(random.below(30))).await {
                    assert!(error.is_not_found(), "{error}");
                }
            }
            9 => {
                let Some(account) = Account::load(&db, id).await.unwrap() else { continue };
                match account.delete(&db).await {
                    Ok(_) => {}
                    Err(error) => assert!(error.is_conflict(), "{error}"),
                }
            }
            10 => {
                if let Some(account) = Account::take(&db, id).await.unwrap() {
                    ledger.lock().unwrap().check(&account);
                }
            }
            _ => {
                let level = random.below(5) as u8;
                for account in Account::filter_by(|a| a.level.eq(level)).fetch(&db).await.unwrap() {
                    assert_eq!(account.level, level);
                }
            }
        }
    }
}

/// For two seconds, or as many as `HAMMER_SECONDS` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once_adds_up() {
    let seconds = std::env::var("HAMMER_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(2);
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let db = Db::builder().namespace(f.db.namespace()).open(&with_protocol(server.url())).await.unwrap();
        for task in 0..TASKS / CONNECTIONS {
            let random = Random(0x9E37_79B9_7F4A_7C15 ^ (connection << 32 | task << 8 | 1));
            tasks.push(tokio::spawn(hammer(db.clone(), random, ledger.clone(), end)));
        }
    }
    // What others write meanwhile is never taken for a damage, and a repair leaves it alone.
    let mut checks = 0;
    while Instant::now() < end {
        let report = if checks % 2 == 0 { Account::check(&f.db).await } else { Account::repair(&f.db).await };
        let report = report.unwrap();
        assert!(report.is_clean(), "{report}");
        checks += 1;
    }
    for task in tasks {
        task.await.unwrap();
    }
    while f.run::<u64>(redis::cmd("ZCARD").arg(f.key("{Account}:ttl"))).await > 0 {
        Account::purge_expired(&f.db).await.unwrap();
    }
    let (records, _) = indexes::assert_exact::<Account>(&f).await;
    let left = Account::all().fetch(&f.db).await.unwrap();
    let ledger = ledger.lock().unwrap();
    // By id and version: lives that ended with it, less those that went on from it.
    let mut ends: BTreeMap<(u32, u64), i64> = BTreeMap::new();
    for ((id, life), Life { versions, .. }) in &ledger.lives {
        let mut sorted = versions.clone();
        sorted.sort_unstable();
        let first = sorted[0];
        assert!(sorted.iter().copied().eq(first..first + sorted.len() as u64), "{id} in life {life}: {versions:?}");
        *ends.entry((*id, sorted[sorted.len() - 1])).or_default() += 1;
        if first > 1 {
            *ends.entry((*id, first - 1)).or_default() -= 1;
        }
    }
    assert!(ends.values().all(|left| *left >= 0), "{ends:?}");
    for account in left {
        let versions = &ledger.lives[&(account.id, account.life)].versions;
        assert_eq!(versions.iter().max(), Some(&account.version));
        ledger.check(&account);
    }
    let (operations, lives) = (ledger.operations, ledger.lives.len());
    println!("{operations} operations, {lives} lives, {checks} checks, {records} records in the end");
}
