//! Writes whose outcome is known from their number, and what the records may be after some of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subconscious::{Db, Error, RedisModel};
use subconscious_tests::{Fixture, indexes};
use tokio::task::JoinHandle;

use crate::Random;

#[derive(Debug, Clone, PartialEq, RedisModel)]
pub(crate) struct Account {
    #[column(primary_key)]
    pub(crate) id: u32,
    #[column(unique)]
    pub(crate) handle: Option<String>,
    #[column(index)]
    pub(crate) writer: u32,
    #[column(index, sort)]
    pub(crate) level: u8,
    #[column(sort)]
    pub(crate) balance: i64,
    #[column(index)]
    pub(crate) tags: Vec<String>,
    pub(crate) text: String,
}

/// Records of a writer.
const RECORDS: u32 = 40;

/// A write.
#[derive(Debug)]
pub(crate) enum Step {
    Save(Account),
    SaveMany(Vec<Account>),
    SetLevel(u32, u8),
    Add(u32, i64),
    Clear(u32),
    Delete(u32),
    Take(u32),
    DeleteFrom(u8),
}

impl Step {
    /// The write of this number.
    pub(crate) fn new(writer: u32, seed: u64, number: u64) -> Self {
        let mut random = Random(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ u64::from(writer) << 32);
        let random = &mut |end: u64| random.below(end);
        let id = writer * 1000 + random(u64::from(RECORDS)) as u32;
        let account = |id: u32, random: &mut dyn FnMut(u64) -> u64| Account {
            id,
            // A handle is used again by the same record alone, which makes none a duplicate.
            handle: (random(3) > 0).then(|| format!("{id}/{}", random(3))),
            writer,
            level: random(9) as u8,
            balance: random(1000) as i64 - 500,
            tags: (0..random(4)).map(|_| format!("t{}", random(6))).collect(),
            text: "x".repeat(random(300) as usize),
        };
        match random(20) {
            0..=5 => Self::Save(account(id, random)),
            6..=7 => Self::SaveMany((0..RECORDS / 2).map(|at| account(writer * 1000 + 2 * at, random)).collect()),
            8..=10 => Self::SetLevel(id, random(9) as u8),
            11..=13 => Self::Add(id, random(100) as i64 - 50),
            14 => Self::Clear(id),
            15..=16 => Self::Delete(id),
            17 => Self::Take(id),
            _ => Self::DeleteFrom(5 + random(4) as u8),
        }
    }

    pub(crate) async fn run(&self, db: &Db, writer: u32) -> Result<(), Error> {
        let found = |patched: Result<_, Error>| match patched {
            Err(error) if error.is_not_found() => Ok(()),
            patched => patched.map(drop),
        };
        match self {
            Self::Save(account) => account.clone().save(db).await,
            Self::SaveMany(accounts) => Account::save_many(db, &mut accounts.clone()).await?.into_result().map(drop),
            Self::SetLevel(id, level) => found(Account::patch(db, *id, |a| [a.level.set(*level)]).await),
            Self::Add(id, by) => found(Account::patch(db, *id, |a| [a.balance.incr(*by)]).await),
            Self::Clear(id) => {
                found(Account::patch(db, *id, |a| [a.handle.clear(), a.tags.set(vec!["t0".into()])]).await)
            }
            Self::Delete(id) => Account::delete_by_id(db, *id).await.map(drop),
            Self::Take(id) => Account::take(db, *id).await.map(drop),
            Self::DeleteFrom(level) => {
                Account::filter_by(|a| a.writer.eq(writer) & a.level.ge(*level)).delete(db).await.map(drop)
            }
        }
    }

    /// What it makes of a record.
    fn after(&self, id: u32, before: Option<Account>) -> Option<Account> {
        let changed = |change: &dyn Fn(&mut Account)| {
            let mut account = before.clone()?;
            change(&mut account);
            Some(account)
        };
        match self {
            Self::Save(account) if account.id == id => Some(account.clone()),
            Self::SaveMany(accounts) => accounts.iter().find(|account| account.id == id).cloned().or(before),
            Self::SetLevel(patched, level) if *patched == id => changed(&|account| account.level = *level),
            Self::Add(patched, by) if *patched == id => changed(&|account| account.balance += by),
            Self::Clear(patched) if *patched == id => changed(&|account| {
                account.handle = None;
                account.tags = vec!["t0".into()];
            }),
            Self::Delete(gone) | Self::Take(gone) if *gone == id => None,
            Self::DeleteFrom(level) => before.filter(|account| account.level < *level),
            _ => before,
        }
    }
}

/// What each record of a writer may be: several things where it is not known whether a write was
/// done.
#[derive(Debug)]
pub(crate) struct Ledger {
    writer: u32,
    records: BTreeMap<u32, Vec<Option<Account>>>,
    pub(crate) steps: u64,
}

impl Ledger {
    /// Of so many writers that have written nothing.
    pub(crate) fn some(writers: u32) -> Vec<Self> {
        let records = |writer| (0..RECORDS).map(|at| (writer * 1000 + at, vec![None])).collect();
        (0..writers).map(|writer| Self { writer, records: records(writer), steps: 0 }).collect()
    }

    /// Notes a write that was done, or one of which that is not known.
    pub(crate) fn note(&mut self, step: &Step, known: bool) {
        self.steps += 1;
        for (&id, states) in &mut self.records {
            let after = states.iter().map(|before| step.after(id, before.clone())).collect::<Vec<_>>();
            if known {
                *states = after;
            } else {
                states.extend(after);
            }
            let mut seen = Vec::new();
            states.retain(|state| {
                let fresh = !seen.contains(state);
                if fresh {
                    seen.push(state.clone());
                }
                fresh
            });
        }
    }

    /// Compares with what is there, which is what is known from now on.
    pub(crate) async fn compare(&mut self, db: &Db) {
        let ids: Vec<u32> = self.records.keys().copied().collect();
        let found = Account::load_many(db, ids).await.unwrap();
        for ((id, states), found) in self.records.iter_mut().zip(found) {
            assert!(states.contains(&found), "record {id} is {found:?}, and should be one of {states:#?}");
            *states = vec![found];
        }
        // The indexes say the same.
        let mut expected: Vec<Account> = self.records.values().flat_map(|states| states[0].clone()).collect();
        let mut listed = Account::filter_by(|a| a.writer.eq(self.writer)).fetch(db).await.unwrap();
        listed.sort_by_key(|account| account.id);
        expected.sort_by_key(|account| account.id);
        assert_eq!(listed, expected);
    }
}

/// Errors that writers met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) writes: u64,
    /// Writes that were not done.
    pub(crate) refused: u64,
    /// Writes of which it is not known whether they were done.
    pub(crate) unknown: u64,
}

/// Writers at work.
pub(crate) struct Load {
    writers: Vec<JoinHandle<(Ledger, Met)>>,
    ended: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn start(db: &Db, ledgers: Vec<Ledger>, random: &mut Random) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let start = |ledger| tokio::spawn(write(db.clone(), ledger, random.below(u64::MAX), Arc::clone(&ended)));
        Self { writers: ledgers.into_iter().map(start).collect(), ended }
    }

    /// Waits until each writer has ended its write.
    pub(crate) async fn end(self, met: &mut Met) -> Vec<Ledger> {
        self.ended.store(true, Ordering::Relaxed);
        let mut ledgers = Vec::new();
        for writer in self.writers {
            let (ledger, its) = writer.await.unwrap();
            ledgers.push(ledger);
            met.writes += its.writes;
            met.refused += its.refused;
            met.unknown += its.unknown;
        }
        ledgers
    }
}

/// Writes until it is told to stop, whatever happens to the server and the connection.
async fn write(db: Db, mut ledger: Ledger, seed: u64, ended: Arc<AtomicBool>) -> (Ledger, Met) {
    let mut met = Met::default();
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let step = Step::new(ledger.writer, seed, number);
        met.writes += 1;
        match step.run(&db, ledger.writer).await {
            Ok(()) => ledger.note(&step, true),
            Err(error) => {
                let code = if let Error::Redis(failure) = &error { failure.code() } else { None };
                assert!(error.is_connection() || matches!(code, Some("LOADING" | "OOM")), "{error:?}");
                // Of what takes several calls, some may be done in any case.
                if error.is_outcome_unknown() || matches!(step, Step::SaveMany(_) | Step::DeleteFrom(_)) {
                    ledger.note(&step, false);
                }
                *(if error.is_outcome_unknown() { &mut met.unknown } else { &mut met.refused }) += 1;
            }
        }
    }
    (ledger, met)
}

/// Compares all records with what they may be, and all keys with what the records demand.
pub(crate) async fn compare(f: &Fixture, ledgers: &mut [Ledger]) {
    for ledger in ledgers {
        ledger.compare(&f.db).await;
    }
    let report = Account::check(&f.db).await.unwrap();
    assert!(report.is_clean(), "{report}");
    indexes::assert_exact::<Account>(f).await;
}
