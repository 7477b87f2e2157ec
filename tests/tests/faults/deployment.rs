//! Rolling updates: processes of an old and of a new version of a program start, stop and are
//! killed in any order. Each calls `migrate` when it starts, and writes and queries all the time.
//!
//! `DEPLOYMENT_RECORDS` says how many records there are; a schedule is one of `FAULT_ROUNDS`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{ColumnEnum, Db, Error, RedisModel, Result};
use subconscious_tests::child::{child, told};
use subconscious_tests::{Fixture, indexes};

use super::{Random, rounds, seed};

/// Processes at a time. Each owns the records whose ids have its number as the rest.
const SLOTS: u32 = 4;
/// Customers of a slot.
const CUSTOMERS: u32 = 25;

const TOWNS: [&str; 4] = ["Bern", "Basel", "Genf", "Chur"];

fn records() -> u32 {
    std::env::var("DEPLOYMENT_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(2_000)
}

/// The customer of a record.
fn customer(id: u32) -> u32 {
    id % SLOTS + SLOTS * (id / SLOTS % CUSTOMERS)
}

fn some<T: Copy>(among: &[T], random: &mut Random) -> T {
    among[random.below(among.len() as u64) as usize]
}

/// Some of three tags.
fn tags(random: &mut Random) -> Vec<String> {
    let chosen = random.below(8);
    (0..3).filter(|tag| chosen & 1 << tag != 0).map(|tag| format!("tag {tag}")).collect()
}

/// A version of the program.
trait Version: RedisModel<Id = u32> + Clone + PartialEq + Debug + 'static {
    fn new(id: u32, random: &mut Random) -> Self;
    fn customer(&self) -> u32;
    fn code(&mut self) -> &mut String;
    /// Whether what the older version does not know is as this one wrote it.
    fn is_kept(&self) -> bool;
    /// Patches a record, here and there.
    fn change(&mut self, db: &Db, random: &mut Random) -> impl Future<Output = Result<()>> + Send;
    /// Asks about a customer, and compares the answer with the customer's records.
    fn ask(db: &Db, customer: u32, known: &[&Self], random: &mut Random) -> impl Future<Output = ()> + Send;
}

mod old {
    use super::*;

    #[derive(Debug, Clone, PartialEq, ColumnEnum)]
    pub(super) enum Status {
        Open,
        Sent,
        #[column(other)]
        Other(String),
    }

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Parcel {
        #[column(primary_key)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) customer: u32,
        #[column(index)]
        pub(super) status: Status,
        #[column(index)]
        pub(super) town: String,
        #[column(sort)]
        pub(super) weight: u16,
        #[column(index)]
        pub(super) at: i64,
        pub(super) code: String,
        pub(super) tags: Vec<String>,
        /// Never null, as the new version can't have that.
        pub(super) grade: Option<u8>,
        pub(super) rank: u8,
    }

    impl Version for Parcel {
        fn new(id: u32, random: &mut Random) -> Self {
            Self {
                id,
                customer: customer(id),
                status: if random.below(2) == 0 { Status::Open } else { Status::Sent },
                town: some(&TOWNS, random).into(),
                weight: random.below(1_000) as u16,
                at: random.below(50) as i64 - 10,
                code: format!("{id}-{}", random.below(100)),
                tags: tags(random),
                grade: Some(random.below(10) as u8),
                rank: random.below(200) as u8,
            }
        }

        fn customer(&self) -> u32 {
            self.customer
        }

        fn code(&mut self) -> &mut String {
            &mut self.code
        }

        fn is_kept(&self) -> bool {
            true
        }

        async fn change(&mut self, db: &Db, random: &mut Random) -> Result<()> {
            match random.below(4) {
                0 => {
                    self.weight += 1;
                    Self::patch(db, self.id, |p| p.weight.incr(1)).await?;
                }
                1 => {
                    self.code = format!("{}-{}", self.id, random.below(100));
                    (self.grade, self.rank) = (Some(random.below(10) as u8), random.below(200) as u8);
                    Self::patch(db, self.id, |p| {
                        [p.code.set(&self.code), p.grade.set_or_clear(self.grade), p.rank.set(self.rank)]
                    })
                    .await?;
                }
                2 => {
                    (self.status, self.at) = (Status::Sent, random.below(50) as i64);
                    Self::patch(db, self.id, |p| [p.status.set(Status::Sent), p.at.set(self.at)]).await?;
                }
                _ => {
                    (self.town, self.tags) = (some(&TOWNS, random).into(), tags(random));
                    Self::patch(db, self.id, |p| [p.town.set(&self.town), p.tags.set(self.tags.clone())]).await?;
                }
            }
            Ok(())
        }

        async fn ask(db: &Db, customer: u32, known: &[&Self], random: &mut Random) {
            let all = Self::filter_by(|p| p.customer.eq(customer));
            match random.below(4) {
                0 => {
                    let town = some(&TOWNS, random);
                    let count = all.filter(|p| p.town.eq(town)).count(db).await.unwrap();
                    assert_eq!(count, known.iter().filter(|p| p.town == town).count() as u64, "{town}");
                }
                1 => {
                    let heaviest = all.order_by(|p| p.weight.desc()).limit(5).fetch(db).await.unwrap();
                    let mut weights: Vec<u16> = known.iter().map(|p| p.weight).collect();
                    weights.sort_unstable_by(|one, two| two.cmp(one));
                    assert_eq!(heaviest.iter().map(|p| p.weight).collect::<Vec<_>>(), weights[..weights.len().min(5)]);
                }
                2 => {
                    let at = random.below(50) as i64 - 10;
                    let mut found = all.filter(|p| p.at.eq(at)).fetch(db).await.unwrap();
                    found.sort_by_key(|p| p.id);
                    assert_eq!(
                        found.iter().collect::<Vec<_>>(),
                        known.iter().filter(|p| p.at == at).copied().collect::<Vec<_>>()
                    );
                }
                _ => {
                    let count = all.filter(|p| p.status.ne(Status::Open)).count(db).await.unwrap();
                    assert_eq!(count, known.iter().filter(|p| p.status != Status::Open).count() as u64);
                }
            }
        }
    }
}

/// A column, an index, a `sort`, a `unique`, a list and a variant are added; two types are wider, of
/// which one is in another order, a default takes the place of null, and an index is gone.
mod new {
    use super::*;

    #[derive(Debug, Clone, PartialEq, ColumnEnum)]
    pub(super) enum Status {
        Open,
        Sent,
        Lost,
        #[column(other)]
        Other(String),
    }

    #[derive(Debug, Clone, PartialEq, RedisModel)]
    pub(super) struct Parcel {
        #[column(primary_key, sort)]
        pub(super) id: u32,
        #[column(index)]
        pub(super) customer: u32,
        #[column(index)]
        pub(super) status: Status,
        pub(super) town: String,
        #[column(sort)]
        pub(super) weight: u64,
        #[column(index, sort)]
        pub(super) at: i64,
        #[column(unique)]
        pub(super) code: String,
        #[column(index)]
        pub(super) tags: Vec<String>,
        #[column(index, default = "basic".to_owned())]
        pub(super) tariff: String,
        #[column(index)]
        pub(super) region: Option<u8>,
        #[column(index, sort, default = 7)]
        pub(super) grade: u8,
        #[column(sort)]
        pub(super) rank: u32,
        /// Says what the two columns before are, in which versions may lose each other's values.
        pub(super) note: Option<String>,
    }

    impl Parcel {
        fn noted(self) -> Self {
            Self { note: Some(format!("{} {:?}", self.tariff, self.region)), ..self }
        }
    }

    impl Version for Parcel {
        fn new(id: u32, random: &mut Random) -> Self {
            let old::Parcel { customer, town, weight, at, code, tags, grade, rank, .. } = old::Parcel::new(id, random);
            Self {
                id,
                customer,
                status: some(&[0, 1, 2], random).into(),
                town,
                weight: weight.into(),
                at,
                code,
                tags,
                tariff: some(&["basic", "gold"], random).into(),
                region: some(&[None, Some(1), Some(2)], random),
                grade: grade.unwrap_or(7),
                rank: rank.into(),
                note: None,
            }
            .noted()
        }

        fn customer(&self) -> u32 {
            self.customer
        }

        fn code(&mut self) -> &mut String {
            &mut self.code
        }

        fn is_kept(&self) -> bool {
            match &self.note {
                Some(_) => *self == self.clone().noted(),
                // The older version has saved it anew.
                None => self.tariff == "basic" && self.region.is_none(),
            }
        }

        async fn change(&mut self, db: &Db, random: &mut Random) -> Result<()> {
            match random.below(4) {
                0 => {
                    self.weight += 1;
                    Self::patch(db, self.id, |p| p.weight.incr(1)).await?;
                }
                1 => {
                    self.code = format!("{}-{}", self.id, random.below(100));
                    (self.grade, self.rank) = (random.below(10) as u8, random.below(200) as u32);
                    Self::patch(db, self.id, |p| {
                        [p.code.set(&self.code), p.grade.set(self.grade), p.rank.set(self.rank)]
                    })
                    .await?;
                }
                2 => {
                    (self.status, self.at) = (Status::Lost, random.below(50) as i64);
                    Self::patch(db, self.id, |p| [p.status.set(Status::Lost), p.at.set(self.at)]).await?;
                }
                _ => {
                    (self.tariff, self.region) = (some(&["basic", "gold"], random).into(), Some(random.below(3) as u8));
                    *self = self.clone().noted();
                    let Self { id, tariff, region, note, .. } = self;
                    Self::patch(db, *id, |p| {
                        [p.tariff.set(&*tariff), p.region.set_or_clear(*region), p.note.set_or_clear(note.clone())]
                    })
                    .await?;
                }
            }
            Ok(())
        }

        async fn ask(db: &Db, customer: u32, known: &[&Self], random: &mut Random) {
            let all = Self::filter_by(|p| p.customer.eq(customer));
            match random.below(8) {
                0 => {
                    let from = random.below(50) as i64 - 10;
                    let count = all.filter(|p| p.at.ge(from)).count(db).await.unwrap();
                    assert_eq!(count, known.iter().filter(|p| p.at >= from).count() as u64, "{from}");
                }
                1 => {
                    let newest = all.order_by(|p| p.at.desc()).limit(5).fetch(db).await.unwrap();
                    let mut times: Vec<i64> = known.iter().map(|p| p.at).collect();
                    times.sort_unstable_by(|one, two| two.cmp(one));
                    assert_eq!(newest.iter().map(|p| p.at).collect::<Vec<_>>(), times[..times.len().min(5)]);
                }
                2 => {
                    let mut found = all.filter(|p| p.tags.contains("tag 1")).fetch(db).await.unwrap();
                    found.sort_by_key(|p| p.id);
                    let known = known.iter().filter(|p| p.tags.contains(&"tag 1".to_owned())).copied();
                    assert_eq!(found.iter().collect::<Vec<_>>(), known.collect::<Vec<_>>());
                }
                3 => {
                    let count = all
                        .filter(|p| p.tariff.eq("gold") | p.region.is_some() | p.status.eq(Status::Lost))
                        .count(db)
                        .await
                        .unwrap();
                    let matches = |p: &&&Self| p.tariff == "gold" || p.region.is_some() || p.status == Status::Lost;
                    assert_eq!(count, known.iter().filter(matches).count() as u64);
                }
                4 => {
                    let Some(one) = known.first() else { return };
                    let found = Self::filter_by(|p| p.code.eq(&one.code)).fetch(db).await.unwrap();
                    assert_eq!(found, [(*one).clone()]);
                    let mut other = Self::new(one.id + SLOTS * 1_000_000, random);
                    other.code = one.code.clone();
                    assert!(other.save(db).await.unwrap_err().is_duplicate());
                }
                5 => {
                    let grade = random.below(10) as u8;
                    let count = all.filter(|p| p.grade.ge(grade)).count(db).await.unwrap();
                    assert_eq!(count, known.iter().filter(|p| p.grade >= grade).count() as u64, "{grade}");
                }
                6 => {
                    let found =
                        all.order_by(|p| p.grade.asc()).order_by(|p| p.rank.desc()).limit(5).fetch(db).await.unwrap();
                    let mut wanted: Vec<_> = known.iter().map(|p| (p.grade, std::cmp::Reverse(p.rank))).collect();
                    wanted.sort_unstable();
                    let found: Vec<_> = found.iter().map(|p| (p.grade, std::cmp::Reverse(p.rank))).collect();
                    assert_eq!(found, wanted[..wanted.len().min(5)]);
                }
                _ => {
                    let first = all.order_by(|p| p.id.asc()).limit(3).ids(db);
                    let ids: Vec<u32> = futures::TryStreamExt::try_collect(first).await.unwrap();
                    assert_eq!(ids, known.iter().map(|p| p.id).take(3).collect::<Vec<_>>());
                }
            }
        }
    }

    impl From<u8> for Status {
        fn from(number: u8) -> Self {
            [Self::Open, Self::Sent, Self::Lost][usize::from(number)].clone()
        }
    }
}

/// What a process does: so many steps, or until it is killed. Nothing it asks for may be refused,
/// and each answer has to be right.
async fn work<V: Version>(db: &Db, slot: u32, steps: u64, mut random: Random) {
    V::migrate(db).await.unwrap();
    let ids: Vec<u32> = (0..records() * 11 / 10).filter(|id| id % SLOTS == slot).collect();
    let stored = V::load_many(db, ids.iter().copied()).await.unwrap();
    let mut known: BTreeMap<u32, V> =
        ids.iter().copied().zip(stored).filter_map(|(id, one)| Some((id, one?))).collect();
    for record in known.values() {
        assert!(record.is_kept(), "{record:?}");
    }
    println!("\n>");
    for _ in 0..steps {
        let id = some(&ids, &mut random);
        match random.below(8) {
            0 => {
                let mut record = V::new(id, &mut random);
                record.save(db).await.unwrap();
                known.insert(id, record);
            }
            1 => {
                let mut some: Vec<V> = (0..20).map(|_| V::new(some(&ids, &mut random), &mut random)).collect();
                V::save_many(db, &mut some).await.unwrap().into_result().unwrap();
                known.extend(some.into_iter().map(|record| (record.id(), record)));
            }
            2 => {
                assert_eq!(V::delete_by_id(db, id).await.unwrap(), known.remove(&id).is_some());
            }
            3 | 4 => {
                if let Some(record) = known.get_mut(&id) {
                    record.change(db, &mut random).await.unwrap();
                    match random.below(8) {
                        0 => record.expire(db, Duration::from_secs(3_600)).await.unwrap(),
                        1 => record.persist(db).await.unwrap(),
                        _ => {}
                    }
                }
            }
            5 => {
                if let Some(record) = known.get_mut(&id) {
                    *record.code() = format!("{id}-{}", random.below(100));
                    record.save(db).await.unwrap();
                }
            }
            _ => {
                let wanted = customer(id);
                let of_customer: Vec<&V> = known.values().filter(|record| record.customer() == wanted).collect();
                V::ask(db, wanted, &of_customer, &mut random).await;
            }
        }
    }
}

#[tokio::test]
#[ignore = "run by another test, which may kill it"]
async fn a_process() {
    let Some(told) = told() else { return };
    let told: Vec<&str> = told.split(' ').collect();
    let [url, namespace, version, slot, steps, seed] = told[..] else { panic!("{told:?}") };
    let (slot, steps, random) = (slot.parse().unwrap(), steps.parse().unwrap(), Random(seed.parse().unwrap()));
    let db = Db::builder().namespace(namespace).open(&format!("{url}?user=slot{slot}&pass=x")).await.unwrap();
    match version {
        "old" => work::<old::Parcel>(&db, slot, steps, random).await,
        _ => work::<new::Parcel>(&db, slot, steps, random).await,
    }
    println!("\n<");
}

/// The processes of a slot, one after the other, until it has had so many of the last phase. In
/// phase 0 they are old, in phase 1 of either version, in phase 2 new.
async fn lives(f: &Fixture, url: &str, slot: u32, phase: &AtomicU32, ended: &AtomicU32, mut random: Random) {
    loop {
        let now = phase.load(Ordering::Relaxed);
        if now > 2 {
            return;
        }
        let old = now == 0 || now == 1 && random.below(2) == 0;
        let (version, steps) = (if old { "old" } else { "new" }, 20 + random.below(300));
        let what = format!("{url} {} {version} {slot} {steps} {}", f.db.namespace(), random.below(u64::MAX));
        let mut process = child("deployment::a_process", &what).spawn().unwrap();
        if random.below(3) == 0 {
            tokio::time::sleep(Duration::from_millis(random.below(600))).await;
            process.kill().await.unwrap();
            // The server may still do what it was sent.
            loop {
                let list: String = f.run(redis::cmd("CLIENT").arg("LIST")).await;
                if !list.contains(&format!(" user=slot{slot} ")) {
                    break;
                }
            }
        } else {
            let output = process.wait_with_output().await.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("\n<"), "{what}:\n{said}");
        }
        ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Checks by both versions, if the schema has what they need, and no index is unfinished.
async fn check(db: &Db) -> u32 {
    let mut checked = 0;
    for report in [old::Parcel::check(db).await, new::Parcel::check(db).await] {
        match report {
            Ok(report) => {
                assert!(report.is_clean(), "{report}");
                checked += 1;
            }
            Err(Error::Schema { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    checked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_work_side_by_side_in_every_order_of_starts_stops_and_kills() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    for slot in 0..SLOTS {
        let () = f
            .run(redis::cmd("ACL").arg("SETUSER").arg(format!("slot{slot}")).arg(&["on", ">x", "~*", "&*", "+@all"]))
            .await;
    }
    let (mut random, mut checked, mut processes) = (Random(seed()), 0, 0);
    let parcels: Vec<_> = (0..records()).map(|id| old::Parcel::new(id, &mut random)).collect();
    old::Parcel::save_stream(&f.db, futures::stream::iter(parcels), |_| ()).await.unwrap().into_result().unwrap();
    for _ in 0..rounds(1) {
        let (phase, ended) = (AtomicU32::new(0), AtomicU32::new(0));
        let slots =
            (0..SLOTS).map(|slot| lives(&f, server.url(), slot, &phase, &ended, Random(random.below(u64::MAX))));
        let slots: Vec<_> = slots.collect();
        let phases = async {
            for (next, wanted) in [(1, SLOTS), (2, 5 * SLOTS), (3, 2 * SLOTS)] {
                let until = ended.load(Ordering::Relaxed) + wanted;
                while ended.load(Ordering::Relaxed) < until {
                    checked += check(&f.db).await;
                }
                phase.store(next, Ordering::Relaxed);
            }
        };
        futures::future::join(futures::future::join_all(slots), phases).await;
        processes += ended.load(Ordering::Relaxed);

        // No old program runs any more.
        new::Parcel::migrate(&f.db).await.unwrap();
        assert_eq!(check(&f.db).await, 2);
        let dropped = new::Parcel::drop_unused_indexes(&f.db).await.unwrap().dropped;
        assert_eq!(dropped, ["town"]);
        assert!(old::Parcel::all().count(&f.db).await.is_err());
        indexes::assert_exact::<new::Parcel>(&f).await;
        let all = new::Parcel::all().fetch(&f.db).await.unwrap();
        assert!(all.iter().all(Version::is_kept));
        // Back to the old version, for the next schedule.
        old::Parcel::migrate(&f.db).await.unwrap();
        old::Parcel::drop_unused_indexes(&f.db).await.unwrap();
        indexes::assert_exact::<old::Parcel>(&f).await;
    }
    println!("{processes} processes, {checked} checks");
}
