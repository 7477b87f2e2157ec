//! After whatever happened, the indexes hold exactly what the records say.

use proptest::prelude::*;
use subconscious::{ColumnEnum, RedisModel};
use subconscious_tests::{Fixture, indexes};

use crate::runtime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
    Blue,
}

const COLOURS: [Colour; 3] = [Colour::Red, Colour::Green, Colour::Blue];

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Thing {
    #[column(primary_key)]
    id: u32,
    #[column(index, sort)]
    level: Option<u8>,
    #[column(index)]
    colour: Option<Colour>,
    #[column(sort)]
    amount: Option<i64>,
    #[column(index, sort)]
    name: String,
    #[column(index, sort)]
    weight: Option<f64>,
    note: Option<String>,
}

fn things() -> impl Strategy<Value = Thing> {
    let amounts =
        prop_oneof![-2i64..3, Just(i64::MAX), Just(i64::MAX - 1), Just((1 << 53) + 1), Just(1 << 53), any::<i64>()];
    let weights = prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(1.5), Just(-3.25)];
    (
        0u32..12,
        prop::option::of(0u8..4),
        prop::option::of(prop::sample::select(&COLOURS[..])),
        prop::option::of(amounts),
        "[a-b\\x00:]{0,2}",
        prop::option::of(weights),
        prop::option::of("[a-z]{0,3}"),
    )
        .prop_map(|(id, level, colour, amount, name, weight, note)| Thing {
            id,
            level,
            colour,
            amount,
            name,
            weight,
            note,
        })
}

#[derive(Debug, Clone)]
enum Step {
    Save(Thing),
    Insert(Thing),
    Update(Thing),
    SaveMany(Vec<Thing>),
    Delete(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => things().prop_map(Step::Save),
        1 => things().prop_map(Step::Insert),
        1 => things().prop_map(Step::Update),
        1 => prop::collection::vec(things(), 0..6).prop_map(Step::SaveMany),
        3 => (0u32..12).prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_writes_leaves_exact_indexes(steps in steps()) {
        runtime().block_on(async {
            let f = Fixture::new().await;
            let mut expected = std::collections::BTreeMap::new();
            for step in steps {
                match step {
                    Step::Save(mut thing) => {
                        thing.save(&f.db).await.unwrap();
                        expected.insert(thing.id, thing);
                    }
                    Step::Insert(mut thing) => match thing.insert(&f.db).await {
                        Ok(()) => assert!(expected.insert(thing.id, thing).is_none()),
                        Err(error) => assert!(error.is_already_exists() && expected.contains_key(&thing.id), "{error}"),
                    },
                    Step::Update(mut thing) => match thing.update(&f.db).await {
                        Ok(()) => assert!(expected.insert(thing.id, thing).is_some()),
                        Err(error) => assert!(error.is_not_found() && !expected.contains_key(&thing.id), "{error}"),
                    },
                    Step::SaveMany(mut things) => {
                        let saved = Thing::save_many(&f.db, &mut things).await.unwrap().into_result().unwrap();
                        assert_eq!(saved, things.len() as u64);
                        expected.extend(things.into_iter().map(|thing| (thing.id, thing)));
                    }
                    Step::Delete(id) => {
                        assert_eq!(Thing::delete_by_id(&f.db, id).await.unwrap(), expected.remove(&id).is_some());
                    }
                }
            }
            assert_eq!(indexes::assert_exact::<Thing>(&f).await.0, expected.len());
            for id in 0..12 {
                let loaded = Thing::load(&f.db, id).await.unwrap();
                assert_eq!(loaded.as_ref(), expected.get(&id));
                // -0.0 equals 0.0, so compare the bits as well.
                let sign = |thing: Option<&Thing>| thing.and_then(|thing| thing.weight).map(f64::is_sign_negative);
                assert_eq!(sign(loaded.as_ref()), sign(expected.get(&id)));
            }
            for id in expected.keys() {
                assert!(Thing::delete_by_id(&f.db, *id).await.unwrap());
            }
            let left = f.keys().await;
            assert!(left.is_empty() || left == [b"{Thing}:meta"], "{left:?}");
        });
    }
}

fn thing(id: u32, level: u8) -> Thing {
    Thing {
        id,
        level: Some(level),
        colour: None,
        amount: Some(i64::from(id)),
        name: "n".into(),
        weight: None,
        note: None,
    }
}

#[tokio::test]
async fn containers_turn_into_bitmaps_and_back_and_an_empty_model_leaves_its_meta() {
    let f = Fixture::new().await;
    let mut things: Vec<Thing> = (0..400).map(|id| thing(id, (id % 2) as u8)).collect();
    assert_eq!(Thing::save_many(&f.db, &mut things).await.unwrap().into_result().unwrap(), 400);
    // level 0 and 1, and of the others one value each, which all rows have.
    assert_eq!(indexes::assert_exact::<Thing>(&f).await, (400, 5));

    // A row at a time, so that each container passes through every size.
    for id in 0..400 {
        let mut moved = thing(id, 2);
        moved.save(&f.db).await.unwrap();
        if id % 50 == 0 {
            indexes::assert_exact::<Thing>(&f).await;
        }
    }
    assert_eq!(indexes::assert_exact::<Thing>(&f).await, (400, 4));
    for id in 0..399 {
        assert!(Thing::delete_by_id(&f.db, id).await.unwrap());
        if id % 50 == 0 {
            indexes::assert_exact::<Thing>(&f).await;
        }
    }
    assert_eq!(indexes::assert_exact::<Thing>(&f).await, (1, 0));
    assert!(thing(399, 2).delete(&f.db).await.unwrap());
    assert_eq!(f.keys().await, [b"{Thing}:meta"]);
}

#[tokio::test]
async fn rows_are_used_again() {
    let f = Fixture::new().await;
    for round in 0..3 {
        let mut things: Vec<Thing> = (0..50).map(|id| thing(id + 1000 * round, 0)).collect();
        Thing::save_many(&f.db, &mut things).await.unwrap().into_result().unwrap();
        for thing in &things[1..] {
            assert!(thing.delete(&f.db).await.unwrap());
        }
        indexes::assert_exact::<Thing>(&f).await;
    }
    let rows: u64 = f.run(redis::cmd("HGET").arg(f.key("{Thing}:meta")).arg("rows")).await;
    assert!(rows <= 53, "{rows} rows for at most 52 records at a time");
}

#[tokio::test]
async fn writers_at_the_same_time_leave_exact_indexes() {
    let f = Fixture::new().await;
    let tasks = (0..8u32).map(|task| {
        let db = f.db.clone();
        tokio::spawn(async move {
            for round in 0..60u32 {
                let id = (task * 7 + round * 3) % 10;
                if round % 5 == 4 {
                    Thing::delete_by_id(&db, id).await.unwrap();
                } else {
                    let mut changed = thing(id, ((task + round) % 5) as u8);
                    changed.amount = (round % 3 > 0).then_some(i64::from(round));
                    changed.save(&db).await.unwrap();
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    indexes::assert_exact::<Thing>(&f).await;
}
