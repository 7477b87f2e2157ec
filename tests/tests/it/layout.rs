//! The change from layout 2: what older versions of this library stored becomes what this one
//! reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use subconscious::{ColumnEnum, Error, RedisModel};
use subconscious_tests::Fixture;
use subconscious_tests::indexes::{self, SEGMENT};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Open,
    Done,
    Lost,
}

/// Its ids were text in the row directory. Of `group`, one value is common, one has some 500 rows,
/// and the others are rare.
#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Ticket {
    #[column(primary_key)]
    id: i64,
    #[column(index)]
    group: Option<u32>,
    #[column(index, sort)]
    state: State,
    #[column(sort)]
    price: Option<i64>,
    #[column(unique, sort)]
    code: Option<String>,
    #[column(index)]
    tags: Vec<String>,
    note: String,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Device {
    #[column(primary_key)]
    id: Uuid,
    #[column(index)]
    owner: u32,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Word {
    #[column(primary_key)]
    id: String,
}

fn ticket(id: i64) -> Ticket {
    let group = match id.rem_euclid(10) {
        0..6 => Some(0),
        6 | 7 => Some(1),
        8 => None,
        _ => Some(id.unsigned_abs() as u32 / 30 + 10),
    };
    Ticket {
        id,
        group,
        state: [State::Open, State::Done, State::Done, State::Done][id.rem_euclid(4) as usize],
        price: (id % 7 != 0).then(|| id * 1_000_000_007),
        code: (id % 3 == 0).then(|| format!("c{id}")),
        tags: (0..id.rem_euclid(3)).map(|at| format!("t{}", at * id.rem_euclid(50))).collect(),
        note: format!("note {id}"),
    }
}

fn fingerprint(text: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, mix))
}

/// Turns the keys of a model into those of layout 2.
async fn to_layout_2<M: RedisModel>(f: &Fixture) {
    let schema = M::schema();
    let key = |rest: &str| f.key(&format!("{{{}}}:{rest}", schema.name()));
    let prefix = format!("{{{}}}:", schema.name());
    let keys: Vec<String> = f.keys().await.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect();
    let rests: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix(&prefix)).collect();
    let mut segments = BTreeMap::<(String, String), BTreeSet<u64>>::new();
    let place = |column: &str, segment: u64, value: Option<&str>| match value {
        Some(value) => format!("{column}:{segment}:{value}"),
        None => format!("{column}:{segment}"),
    };
    for rest in &rests {
        let (part, rest) = rest.split_once(':').unwrap_or((rest, ""));
        match part {
            "l" => {
                let (column, value) = rest.split_once(':').map_or((rest, None), |(name, value)| (name, Some(value)));
                let rows: Vec<u64> = f.run(redis::cmd("SMEMBERS").arg(key(&format!("l:{rest}")))).await;
                for row in rows {
                    let set = key(&format!("i:{}", place(column, row / SEGMENT, value)));
                    let () = f.run(redis::cmd("SADD").arg(set).arg(row % SEGMENT)).await;
                    let of_value = segments.entry((column.into(), value.unwrap_or_default().into())).or_default();
                    of_value.insert(row / SEGMENT);
                }
                let () = f.run(redis::cmd("DEL").arg(key(&format!("l:{rest}")))).await;
            }
            "i" | "b" => {
                let mut parts = rest.splitn(3, ':');
                let (column, segment) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
                let of_value = (column.to_owned(), parts.next().unwrap_or_default().to_owned());
                segments.entry(of_value).or_default().insert(segment);
            }
            "n" | "c" => f.run(redis::cmd("DEL").arg(key(&format!("{part}:{rest}")))).await,
            "e" => {
                let part: u64 = rest.parse().unwrap();
                if let Some(at) = schema.columns().iter().find(|column| column.is_key())
                    && at.type_name() == "uuid"
                {
                    let () =
                        f.run(redis::cmd("RENAME").arg(key(&format!("e:{part}"))).arg(key(&format!("d:{part}")))).await;
                } else {
                    let () = f.run(redis::cmd("DEL").arg(key(&format!("e:{part}")))).await;
                }
            }
            "r" if schema.columns().iter().any(|column| column.is_key() && column.type_name() != "uuid") => {
                let row: u64 = f.run(redis::cmd("HGET").arg(key(&format!("r:{rest}"))).arg("#")).await;
                let chunk = key(&format!("d:{}", row / 128));
                let () = f.run(redis::cmd("HSET").arg(chunk).arg(row % 128).arg(rest)).await;
            }
            _ => {}
        }
    }
    for column in rests.iter().filter_map(|rest| rest.strip_prefix("v:")) {
        let values = key(&format!("v:{column}"));
        let ordinals: Vec<(String, u64)> =
            f.run(redis::cmd("ZRANGE").arg(&values).arg(0).arg(-1).arg("WITHSCORES")).await;
        for (value, ordinal) in ordinals {
            let count = segments[&(column.to_owned(), value.clone())].len() as u64;
            let () = f.run(redis::cmd("ZADD").arg(&values).arg(ordinal * 65_536 + count).arg(value)).await;
        }
    }
    let meta: BTreeMap<String, String> = f.run(redis::cmd("HGETALL").arg(key("meta"))).await;
    let columns = meta["columns"].replace("layout 3", "layout 2");
    assert_ne!(columns, meta["columns"]);
    let program = format!("{}:{}", fingerprint(&columns), fingerprint(&meta["types"]));
    let () = f.run(redis::cmd("HDEL").arg(key("meta")).arg(&meta["programs"])).await;
    let mut command = redis::cmd("HSET");
    command.arg(key("meta")).arg("columns").arg(&columns).arg("schema").arg(fingerprint(&columns));
    let () = f.run(command.arg("programs").arg(&program).arg(&program).arg("1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layout_2_becomes_this_one_while_others_write() {
    let f = Fixture::new().await;
    let mut all: Vec<Ticket> = (-1_200..1_300).map(ticket).collect();
    // In two segments.
    let (first, second) = all.split_at_mut(1_900);
    Ticket::save_many(&f.db, first).await.unwrap().into_result().unwrap();
    let () = f.run(redis::cmd("HSET").arg(f.key("{Ticket}:meta")).arg("rows").arg(SEGMENT + 70_000)).await;
    Ticket::save_many(&f.db, second).await.unwrap().into_result().unwrap();
    // The rows between them are free.
    let free = [(SEGMENT - 1_900, 0u64), (70_000, 1)];
    let () = f.run(redis::cmd("ZADD").arg(f.key("{Ticket}:free")).arg(&free[..])).await;
    ticket(5).expire(&f.db, Duration::from_secs(1_000)).await.unwrap();
    to_layout_2::<Ticket>(&f).await;

    // An older layout is refused, and a record can be loaded.
    for error in [
        Ticket::all().count(&f.db).await.unwrap_err(),
        Ticket::filter_by(|t| t.code.eq("c3")).first(&f.db).await.unwrap_err(),
        ticket(5_000).save(&f.db).await.unwrap_err(),
        Ticket::delete_by_id(&f.db, 7).await.unwrap_err(),
        Ticket::check(&f.db).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(matches!(error, Error::Schema { .. }), "{text}");
        assert!(text.contains("the records have layout 2, this program has layout 3"), "{text}");
        assert!(text.contains("`Ticket::migrate`"), "{text}");
    }
    assert_eq!(Ticket::load(&f.db, 7).await.unwrap(), Some(ticket(7)));

    // The migration stops after each step until a few writes are made, and is ended some times.
    let mut expected: BTreeMap<i64, Ticket> = all.into_iter().map(|ticket| (ticket.id, ticket)).collect();
    let (mut ended, mut steps, mut next) = (0, 0u32, 2_000i64);
    let migrated = loop {
        let (told, stopped) = std::sync::mpsc::channel();
        let (go_on, gone_on) = std::sync::mpsc::channel();
        let db = f.db.clone();
        let migration = tokio::spawn(async move {
            let step = move |_: &subconscious::Migration| {
                let _ = told.send(());
                let _: Result<(), _> = tokio::task::block_in_place(|| gone_on.recv());
            };
            Ticket::migrate_with(&db, step).await
        });
        while let Ok(()) = tokio::task::block_in_place(|| stopped.recv()) {
            steps += 1;
            assert_eq!(Ticket::load(&f.db, -1_000).await.unwrap(), Some(expected[&-1_000].clone()));
            if steps % 7 == 1 {
                // Values stay unique all the time.
                let mut other = Ticket { code: Some("c3".into()), ..ticket(next) };
                let refused = other.insert(&f.db).await.unwrap_err();
                assert!(matches!(refused, Error::Duplicate { column: "code", .. }), "{refused}");
                other.code = Some(format!("c{next}"));
                other.insert(&f.db).await.unwrap();
                expected.insert(next, other);
                next += 1;
                let changed = i64::from(steps) * 11 % 1_000 + 10;
                if let Some(ticket) = expected.get_mut(&changed) {
                    (ticket.group, ticket.state) = (Some(1), State::Lost);
                    Ticket::patch(&f.db, changed, |t| [t.group.set(1), t.state.set(State::Lost)]).await.unwrap();
                }
                let gone = -i64::from(steps) * 13 % 900 - 20;
                assert_eq!(Ticket::delete_by_id(&f.db, gone).await.unwrap(), expected.remove(&gone).is_some());
            }
            if matches!(steps, 2 | 90 | 200) {
                migration.abort();
            }
            let _ = go_on.send(());
        }
        match migration.await {
            Ok(done) => break done.unwrap(),
            Err(error) => assert!(error.is_cancelled()),
        }
        ended += 1;
        let building = Ticket::all().count(&f.db).await.unwrap_err();
        assert!(building.to_string().contains("its layout is still being changed"), "{building}");
    };
    assert!(ended == 3 && steps > 210, "{ended} {steps}");
    assert!(migrated.built.contains(&"group".to_owned()) && !migrated.built.contains(&"#".to_owned()));
    assert_eq!(indexes::assert_exact::<Ticket>(&f).await.0, expected.len());
    let mut found = Ticket::all().fetch(&f.db).await.unwrap();
    found.sort_by_key(|ticket| ticket.id);
    assert_eq!(found, expected.into_values().collect::<Vec<_>>());
    // There is nothing more to do.
    assert!(Ticket::migrate(&f.db).await.unwrap().built.is_empty());
}

#[tokio::test]
async fn row_directories_of_layout_2_are_kept_where_they_can_be() {
    let f = Fixture::new().await;
    let mut devices: Vec<_> = (0..300).map(|at| Device { id: Uuid::from_u128(at), owner: at as u32 / 20 }).collect();
    Device::save_many(&f.db, &mut devices).await.unwrap().into_result().unwrap();
    let mut words: Vec<_> = (0..300).map(|at| Word { id: format!("word {at}") }).collect();
    Word::save_many(&f.db, &mut words).await.unwrap().into_result().unwrap();
    to_layout_2::<Device>(&f).await;
    to_layout_2::<Word>(&f).await;
    Device::migrate(&f.db).await.unwrap();
    Word::migrate(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<Device>(&f).await.0, 300);
    assert_eq!(indexes::assert_exact::<Word>(&f).await.0, 300);
    assert_eq!(Device::filter_by(|d| d.owner.eq(3)).fetch(&f.db).await.unwrap(), devices[60..80]);
}

#[tokio::test]
async fn a_layout_and_indexes_do_not_change_at_once() {
    mod other {
        use super::*;
        #[derive(Debug, RedisModel)]
        pub(super) struct Device {
            #[column(primary_key)]
            pub(super) id: Uuid,
            #[column(index, sort)]
            pub(super) owner: u32,
        }
    }
    let f = Fixture::new().await;
    Device { id: Uuid::from_u128(1), owner: 1 }.save(&f.db).await.unwrap();
    to_layout_2::<Device>(&f).await;
    let refused = other::Device::migrate(&f.db).await.unwrap_err().to_string();
    assert!(refused.contains("layout 2") && refused.contains("and other indexes"), "{refused}");
    assert!(refused.contains("`owner:u32:i index`"), "{refused}");
    Device::migrate(&f.db).await.unwrap();
    other::Device::migrate(&f.db).await.unwrap();
    assert_eq!(indexes::assert_exact::<other::Device>(&f).await.0, 1);
}
