//! Posting lists and containers: values that get many rows and lose them again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::try_join_all;
use subconscious::{ColumnEnum, RedisModel};
use subconscious_tests::Fixture;
use subconscious_tests::indexes::{self, SEGMENT};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Waiting,
    Sent,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Parcel {
    #[column(primary_key)]
    id: u32,
    /// One value has many rows or few, null has the others or some, and other values are rare.
    #[column(index)]
    depot: Option<u16>,
    #[column(index, sort)]
    state: Option<State>,
    #[column(index)]
    marks: Vec<u16>,
    #[column(index, sort)]
    weight: Option<i64>,
}

const PARCELS: u32 = 1_600;

/// A parcel that has the values in question, or does not.
fn parcel(id: u32, chosen: bool) -> Parcel {
    Parcel {
        id,
        depot: if chosen { Some(1) } else { (!id.is_multiple_of(3)).then_some(100 + id as u16 / 20) },
        state: if chosen { Some(State::Sent) } else { (id % 50 == 1).then_some(State::Waiting) },
        marks: if chosen { vec![1, id as u16 % 7 + 10] } else { vec![id as u16 % 7 + 10] },
        weight: (!chosen).then(|| i64::from(id)),
    }
}

/// Writes the parcels of one writer, each in another way.
async fn write(db: &subconscious::Db, mine: &[Parcel], turn: usize) -> subconscious::Result<()> {
    for (at, parcel) in mine.iter().enumerate() {
        match (at + turn) % 5 {
            0 => {
                Parcel::delete_by_id(db, parcel.id).await?;
                parcel.clone().insert(db).await?;
            }
            1 => parcel.clone().save(db).await?,
            2 => drop(Parcel::save_many(db, &mut [parcel.clone()]).await?.into_result()?),
            3 => {
                // It expires, and comes back.
                parcel
                    .expire(db, Duration::from_millis(1))
                    .await
                    .or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })?;
                while Parcel::exists(db, parcel.id).await? {
                    tokio::task::yield_now().await;
                }
                parcel.clone().save(db).await?;
            }
            _ => {
                let changes = Parcel::patch(db, parcel.id, |p| {
                    [
                        p.depot.set_or_clear(parcel.depot),
                        p.state.set_or_clear(parcel.state),
                        p.marks.set(parcel.marks.clone()),
                        p.weight.set_or_clear(parcel.weight),
                    ]
                });
                changes.await?;
            }
        }
    }
    Ok(())
}

async fn exists(f: &Fixture, keys: &[&str]) -> bool {
    let keys: Vec<String> = keys.iter().map(|key| f.key(&format!("{{Parcel}}:{key}"))).collect();
    f.run::<u8>(redis::cmd("EXISTS").arg(keys)).await > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_divided_and_united_while_others_write() {
    let f = Fixture::replicated().await;
    // In three segments.
    let mut all: Vec<Parcel> = (0..PARCELS).map(|id| parcel(id, false)).collect();
    for (parcels, row) in all.chunks_mut(550).zip([0, SEGMENT - 300, 2 * SEGMENT]) {
        let () = f.run(redis::cmd("HSET").arg(f.key("{Parcel}:meta")).arg("rows").arg(row)).await;
        Parcel::save_many(&f.db, parcels).await.unwrap().into_result().unwrap();
    }
    let free = [(SEGMENT - 850, 0u64), (SEGMENT - 250, 1)];
    let () = f.run(redis::cmd("ZADD").arg(f.key("{Parcel}:free")).arg(&free[..])).await;
    indexes::assert_exact::<Parcel>(&f).await;

    for (turn, count) in [1_500, 513, 512, 40, 600, 0, 300, 20].into_iter().enumerate() {
        // A prime number of parcels apart, so that all segments have some.
        let all: Vec<Parcel> = (0..PARCELS).map(|id| parcel(id, id * 7_919 % PARCELS < count)).collect();
        let parts = all.chunks(PARCELS as usize / 4).map(async |mine| write(&f.db, mine, turn).await);
        try_join_all(parts).await.unwrap();
        indexes::assert_exact::<Parcel>(&f).await;
        let divided = exists(&f, &["i:depot:0:1", "b:depot:0:1"]).await;
        assert!(count == 0 || divided != exists(&f, &["l:depot:1"]).await, "{count}");
        if count > 512 {
            assert!(divided, "{count}");
        } else if count <= 40 {
            assert!(!divided, "{count}");
        }
        // The replica answers from both, and the primary counts the same.
        f.replicate().await;
        let counted = [
            Parcel::filter_by(|p| p.depot.eq(1)).count(&f.db).await.unwrap(),
            Parcel::filter_by(|p| p.state.eq(State::Sent)).count(&f.db).await.unwrap(),
            Parcel::filter_by(|p| p.marks.contains(1)).count(&f.db).await.unwrap(),
            Parcel::filter_by(|p| p.weight.is_none()).count(&f.db).await.unwrap(),
            Parcel::filter_by(|p| p.depot.eq(1) & p.marks.contains(1)).count(&f.db).await.unwrap(),
            Parcel::filter_by(|p| p.state.ge(State::Sent) & !p.depot.is_none()).count(&f.db).await.unwrap(),
        ];
        assert_eq!(counted, [u64::from(count); 6]);
        let wanted =
            |parcel: &&Parcel| parcel.depot == Some(1) && parcel.marks.contains(&12) || parcel.depot == Some(133);
        let mut expected: Vec<u32> = all.iter().filter(wanted).map(|parcel| parcel.id).collect();
        let query = Parcel::filter_by(|p| (p.depot.eq(1) & p.marks.contains(12)) | p.depot.eq(133));
        let mut found: Vec<u32> = query.ids(&f.db).try_collect().await.unwrap();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        let mut groups = BTreeMap::<Option<u16>, u64>::new();
        for parcel in &all {
            *groups.entry(parcel.depot).or_default() += 1;
        }
        let found: BTreeMap<_, _> = Parcel::all().count_by(&f.db, |p| p.depot).await.unwrap().into_iter().collect();
        assert_eq!(found, groups);
    }
}
