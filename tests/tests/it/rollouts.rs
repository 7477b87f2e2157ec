//! Random versions of a program: they have one column in all ways, write, migrate and drop indexes,
//! and are stopped in the middle. What each finds is compared with a plain map.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use subconscious::{Db, Error, RedisModel, Result};
use subconscious_tests::Fixture;

use crate::oracle::{cases, seed};
use crate::runtime;

/// Values that records have in `x`.
const VALUES: u8 = 6;
/// The default of versions that have one.
const DEFAULT: u8 = 3;
/// Ids that records have.
const IDS: u32 = 30;

/// A type of the column `x`: a digit, in some form.
trait Digit {
    fn of(digit: Option<u8>) -> Self;
    fn digit(&self) -> Option<u8>;
}

macro_rules! digits {
    ($($type:ty),*) => {$(
        impl Digit for $type {
            fn of(digit: Option<u8>) -> Self {
                digit.unwrap_or(DEFAULT).to_string().parse().unwrap()
            }
            fn digit(&self) -> Option<u8> {
                self.to_string().parse().ok()
            }
        }
        impl Digit for Option<$type> {
            fn of(digit: Option<u8>) -> Self {
                digit.map(|digit| Digit::of(Some(digit)))
            }
            fn digit(&self) -> Option<u8> {
                self.as_ref().and_then(Digit::digit)
            }
        }
    )*};
}
digits!(u8, i8, u16, i64, String);

/// A program with one version of the model.
trait Version: Sync {
    fn save<'a>(&'a self, db: &'a Db, id: u32, x: Option<u8>) -> BoxFuture<'a, Result<()>>;
    /// Saves records of successive ids with the same value. Returns how many were saved.
    fn save_many<'a>(&'a self, db: &'a Db, ids: Vec<u32>, x: Option<u8>) -> BoxFuture<'a, Result<Vec<u32>>>;
    fn patch<'a>(&'a self, db: &'a Db, id: u32, x: u8) -> BoxFuture<'a, Result<()>>;
    fn delete<'a>(&'a self, db: &'a Db, id: u32) -> BoxFuture<'a, Result<bool>>;
    fn expire<'a>(&'a self, db: &'a Db, id: u32, lifetime: Duration) -> BoxFuture<'a, Result<()>>;
    fn migrate<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>>;
    fn drop_unused_indexes<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>>;
    /// Loads all records.
    fn load<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<BTreeMap<u32, Option<u8>>>>;
    /// Asks all that the version's indexes can answer, and compares it with the records.
    fn verify<'a>(&'a self, db: &'a Db, records: &'a BTreeMap<u32, Option<u8>>) -> BoxFuture<'a, ()>;
    /// What `null` reads as.
    fn null(&self) -> Option<u8>;
}

fn count(records: &BTreeMap<u32, Option<u8>>, has: impl Fn(Option<u8>) -> bool) -> u64 {
    records.values().filter(|x| has(**x)).count() as u64
}

macro_rules! ask {
    (eq, $db:expr, $records:expr, $type:ty) => {
        for digit in 0..VALUES {
            let found = Thing::filter_by(|t| t.x.eq(<$type>::of(Some(digit)))).count($db).await.unwrap();
            assert_eq!(found, count($records, |x| x == Some(digit)), "eq {digit}");
        }
    };
    (none, $db:expr, $records:expr, $type:ty) => {
        let found = Thing::filter_by(|t| t.x.is_none()).count($db).await.unwrap();
        assert_eq!(found, count($records, |x| x.is_none()), "none");
    };
    (order, $db:expr, $records:expr, $type:ty) => {
        let found = Thing::filter_by(|t| t.x.ge(<$type>::of(Some(2)))).count($db).await.unwrap();
        assert_eq!(found, count($records, |x| x >= Some(2)), "range");
        let found = Thing::all().order_by(|t| t.x.asc()).fetch($db).await.unwrap();
        let found: Vec<_> = found.iter().map(|thing| thing.x.digit()).collect();
        let mut wanted: Vec<_> = $records.values().copied().collect();
        wanted.sort_by_key(|x| (x.is_none(), *x));
        assert_eq!(found, wanted, "order");
    };
}

/// Versions with the column `x`: the name, the type that it is compared as, its own type, its
/// attributes, and what its indexes can be asked.
macro_rules! versions {
    ($($name:ident: $compared:ty, $type:ty, [$(#[$attribute:meta])*], [$($what:ident)*];)*) => {
        $(
            mod $name {
                use super::*;

                #[derive(Debug, Clone, PartialEq, RedisModel)]
                pub(super) struct Thing {
                    #[column(primary_key)]
                    id: u32,
                    $(#[$attribute])*
                    x: $type,
                }

                pub(super) struct Program;

                impl Version for Program {
                    fn save<'a>(&'a self, db: &'a Db, id: u32, x: Option<u8>) -> BoxFuture<'a, Result<()>> {
                        Box::pin(async move { Thing { id, x: Digit::of(x) }.save(db).await })
                    }
                    fn save_many<'a>(&'a self, db: &'a Db, ids: Vec<u32>, x: Option<u8>) -> BoxFuture<'a, Result<Vec<u32>>> {
                        Box::pin(async move {
                            let mut things: Vec<_> = ids.iter().map(|&id| Thing { id, x: Digit::of(x) }).collect();
                            let report = Thing::save_many(db, &mut things).await?;
                            for (_, error) in &report.failed {
                                assert!(is_refused(error), "{error}");
                            }
                            let failed = |number: usize| report.failed.iter().any(|(failed, _)| *failed == number);
                            Ok(ids.into_iter().enumerate().filter(|(number, _)| !failed(*number)).map(|(_, id)| id).collect())
                        })
                    }
                    fn patch<'a>(&'a self, db: &'a Db, id: u32, x: u8) -> BoxFuture<'a, Result<()>> {
                        Box::pin(async move { Thing::patch(db, id, |t| t.x.set(<$compared>::of(Some(x)))).await.map(drop) })
                    }
                    fn delete<'a>(&'a self, db: &'a Db, id: u32) -> BoxFuture<'a, Result<bool>> {
                        Box::pin(async move { Thing::delete_by_id(db, id).await })
                    }
                    fn expire<'a>(&'a self, db: &'a Db, id: u32, lifetime: Duration) -> BoxFuture<'a, Result<()>> {
                        Box::pin(async move { Thing { id, x: Digit::of(None) }.expire(db, lifetime).await })
                    }
                    fn migrate<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
                        Box::pin(async move { Thing::migrate(db).await.map(drop) })
                    }
                    fn drop_unused_indexes<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
                        Box::pin(async move { Thing::drop_unused_indexes(db).await.map(drop) })
                    }
                    fn load<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<BTreeMap<u32, Option<u8>>>> {
                        Box::pin(async move {
                            let found = Thing::load_many(db, 0..IDS).await?;
                            Ok(found.into_iter().flatten().map(|thing| (thing.id, thing.x.digit())).collect())
                        })
                    }
                    #[allow(unused_variables)]
                    fn verify<'a>(&'a self, db: &'a Db, records: &'a BTreeMap<u32, Option<u8>>) -> BoxFuture<'a, ()> {
                        Box::pin(async move {
                            assert_eq!(Thing::all().count(db).await.unwrap(), records.len() as u64);
                            $(ask!($what, db, records, $compared);)*
                            match Thing::check(db).await {
                                Ok(report) => assert!(report.is_clean(), "{report}"),
                                Err(error) => {
                                    let error = error.to_string();
                                    let left = ["which this program does not need", "unused indexes are still being dropped"];
                                    assert!(left.iter().any(|left| error.contains(left)), "{error}");
                                }
                            }
                        })
                    }
                    fn null(&self) -> Option<u8> {
                        <$type>::of(None).digit()
                    }
                }
            }
        )*

        const VERSIONS: &[&dyn Version] = &[$(&$name::Program),*];
    };
}

versions! {
    bytes: u8, Option<u8>, [], [];
    listed_bytes: u8, Option<u8>, [#[column(index)]], [eq none];
    ordered_bytes: u8, Option<u8>, [#[column(sort)]], [eq none order];
    both_bytes: u8, Option<u8>, [#[column(index, sort)]], [eq none order];
    default_bytes: u8, u8, [#[column(default = DEFAULT)]], [];
    listed_default_bytes: u8, u8, [#[column(index, default = DEFAULT)]], [eq];
    ordered_default_bytes: u8, u8, [#[column(sort, default = DEFAULT)]], [eq order];
    ordered_signed_bytes: i8, Option<i8>, [#[column(sort)]], [eq none order];
    shorts: u16, Option<u16>, [], [];
    listed_shorts: u16, Option<u16>, [#[column(index)]], [eq none];
    ordered_default_shorts: u16, u16, [#[column(sort, default = u16::from(DEFAULT))]], [eq order];
    longs: i64, Option<i64>, [], [];
    both_longs: i64, Option<i64>, [#[column(index, sort)]], [eq none order];
    listed_texts: String, Option<String>, [#[column(index)]], [eq none];
    ordered_texts: String, Option<String>, [#[column(sort)]], [eq none order];
}

/// The column is not known.
mod none {
    #[derive(Debug, Clone, PartialEq, subconscious::RedisModel)]
    pub(super) struct Thing {
        #[column(primary_key)]
        pub(super) id: u32,
    }
}

/// Whether a call was refused for a reason that versions side by side may have.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Schema { .. } | Error::NotFound { .. })
        || error.to_string().contains("null is no value any more")
}

/// Polls a future so often, and then drops it. `None` if it was not ready by then.
async fn poll_often<T>(times: u32, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), times);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[derive(Debug, Clone)]
enum Step {
    Save {
        id: u32,
        x: Option<u8>,
    },
    SaveMany {
        ids: Vec<u32>,
        x: Option<u8>,
    },
    /// A save of a program without the column.
    SaveNone {
        id: u32,
    },
    Patch {
        id: u32,
        x: u8,
    },
    Delete {
        id: u32,
    },
    Expire {
        id: u32,
        soon: bool,
    },
    Migrate {
        polls: Option<u32>,
    },
    Drop {
        polls: Option<u32>,
    },
    Restart,
    Verify,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let id = || 0..IDS;
    let x = || prop_oneof![1 => Just(None), 3 => (0..VALUES).prop_map(Some)];
    let polls = || prop_oneof![Just(None), (0..12u32).prop_map(Some)];
    let step = prop_oneof![
        8 => (id(), x()).prop_map(|(id, x)| Step::Save { id, x }),
        2 => (proptest::collection::btree_set(id(), 1..8), x())
            .prop_map(|(ids, x)| Step::SaveMany { ids: ids.into_iter().collect(), x }),
        2 => id().prop_map(|id| Step::SaveNone { id }),
        2 => (id(), 0..VALUES).prop_map(|(id, x)| Step::Patch { id, x }),
        1 => id().prop_map(|id| Step::Delete { id }),
        1 => (id(), any::<bool>()).prop_map(|(id, soon)| Step::Expire { id, soon }),
        3 => polls().prop_map(|polls| Step::Migrate { polls }),
        2 => polls().prop_map(|polls| Step::Drop { polls }),
        1 => Just(Step::Restart),
        2 => Just(Step::Verify),
    ];
    (0..VERSIONS.len(), step)
}

/// The database as each program sees it, and what the records are to be.
struct World {
    fixture: Fixture,
    /// Opened when the version makes its first call.
    dbs: Vec<Option<Db>>,
    of_none: Db,
    records: BTreeMap<u32, Option<u8>>,
    verified: u32,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let of_none = Self::open(&fixture).await;
        Self { fixture, dbs: VERSIONS.iter().map(|_| None).collect(), of_none, records: BTreeMap::new(), verified: 0 }
    }

    /// A version, and its database.
    async fn program(&mut self, number: usize) -> (&'static dyn Version, Db) {
        if self.dbs[number].is_none() {
            self.dbs[number] = Some(Self::open(&self.fixture).await);
        }
        (VERSIONS[number], self.dbs[number].clone().unwrap())
    }

    async fn open(fixture: &Fixture) -> Db {
        let url = subconscious_tests::with_protocol(subconscious_tests::server_url().await);
        Db::builder().namespace(fixture.db.namespace()).open(&url).await.unwrap()
    }

    /// Returns whether a call was made, or that it was refused.
    fn done<T>(outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| assert!(is_refused(&error), "{error}")).ok()
    }

    async fn run(&mut self, number: usize, step: Step) {
        let (version, db) = self.program(number).await;
        let db = &db;
        match step {
            Step::Save { id, x } => {
                if Self::done(version.save(db, id, x).await).is_some() {
                    self.records.insert(id, x.or(version.null()));
                }
            }
            Step::SaveMany { ids, x } => {
                for id in Self::done(version.save_many(db, ids, x).await).unwrap_or_default() {
                    self.records.insert(id, x.or(version.null()));
                }
            }
            Step::SaveNone { id } => {
                if Self::done(none::Thing { id }.save(&self.of_none).await).is_some() {
                    self.records.entry(id).or_insert(None);
                }
            }
            Step::Patch { id, x } => {
                if Self::done(version.patch(db, id, x).await).is_some() {
                    self.records.insert(id, Some(x));
                }
            }
            Step::Delete { id } => {
                if let Some(deleted) = Self::done(version.delete(db, id).await) {
                    assert_eq!(self.records.remove(&id).is_some(), deleted);
                }
            }
            Step::Expire { id, soon } => {
                let lifetime = if soon { Duration::ZERO } else { Duration::from_secs(1_000) };
                if Self::done(version.expire(db, id, lifetime).await).is_some() && soon {
                    self.records.remove(&id);
                }
            }
            Step::Migrate { polls } => {
                if let Some(outcome) = poll_often(polls.unwrap_or(u32::MAX), version.migrate(db)).await {
                    Self::done(outcome);
                }
            }
            Step::Drop { polls } => {
                if let Some(outcome) = poll_often(polls.unwrap_or(u32::MAX), version.drop_unused_indexes(db)).await {
                    Self::done(outcome);
                }
            }
            Step::Restart => self.dbs[number] = None,
            Step::Verify => self.verify(number).await,
        }
    }

    /// Lets a version migrate, and compares what it finds with what was saved.
    async fn verify(&mut self, number: usize) {
        let (version, db) = self.program(number).await;
        let db = &db;
        if Self::done(version.migrate(db).await).is_none() {
            return;
        }
        let found = version.load(db).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), self.records.keys().collect::<Vec<_>>());
        for (id, x) in &found {
            let saved = self.records[id];
            // A version with a default may have given it to records without the column.
            assert!(*x == saved || saved.is_none() && *x == Some(DEFAULT), "{id} has {x:?} instead of {saved:?}");
        }
        version.verify(db, &found).await;
        self.verified += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 2, rng_seed: RngSeed::Fixed(seed()), ..ProptestConfig::default() })]

    #[test]
    fn versions_find_what_was_saved(steps in proptest::collection::vec(step(), 1..80)) {
        runtime().block_on(async {
            let (mut world, count) = (World::new().await, steps.len());
            for (number, step) in steps {
                world.run(number, step).await;
            }
            for number in 0..VERSIONS.len() {
                // One that is not refused is enough.
                if number % 4 == count % 4 || world.verified == 0 {
                    world.verify(number).await;
                }
            }
            assert!(world.verified > 0, "each version was refused");
            // Scans go over the keys of all cases.
            let prefix = world.fixture.key("");
            let keys: Vec<_> = world.fixture.keys().await.into_iter().map(|key| [prefix.as_bytes(), &key].concat()).collect();
            world.fixture.run::<u64>(redis::cmd("UNLINK").arg(keys).arg(prefix + "{Thing}:none")).await;
        });
    }
}
