//! Ids and values that look like something else: separators, patterns, protocol, scripts, numbers,
//! markup.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use subconscious::{Cursor, Error, Json, RedisModel};
use subconscious_tests::{Fixture, indexes};

use crate::{Random, rounds, seed};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Hostile {
    #[column(primary_key)]
    id: Vec<u8>,
    #[column(unique)]
    handle: String,
    #[column(index, sort)]
    text: String,
    #[column(index)]
    bytes: Option<Vec<u8>>,
    #[column(index)]
    tags: Vec<String>,
    json: Json<serde_json::Value>,
    body: Vec<u8>,
}

const TEXTS: [&str; 44] = [
    "",
    "a",
    "A",
    "\0",
    "\0\0",
    ":",
    "::",
    "{",
    "}",
    "{}",
    "{a}",
    "*",
    "?",
    "[a-z]",
    "\\",
    "\\c",
    ",",
    "\r\n",
    "\n",
    " ",
    "\t",
    "$5\r\nhello\r\n",
    "*2\r\n$3\r\nDEL\r\n",
    "+OK\r\n",
    "-ERR no\r\n",
    ":1\r\n",
    "_\r\n",
    "%1\r\n",
    "#",
    "nil",
    "0",
    "-0",
    "1e5",
    "9007199254740993",
    "' .. KEYS[1] .. '",
    "]] redis.call('FLUSHALL') --",
    "return redis.call('FLUSHALL')",
    "%d%s%n",
    "é",
    "e\u{301}",
    "\u{FFFF}",
    "😀",
    "\u{202E}אב",
    "<script>alert(1)</script>",
];

fn text(random: &mut Random) -> String {
    let pieces = random.below(4);
    (0..=pieces).map(|_| TEXTS[random.below(TEXTS.len() as u64) as usize]).collect()
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let mut bytes = text(random).into_bytes();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        bytes.insert(at, [0, 0xFF, 0x80, b':', b'{', b'\r', 0xC3][random.below(7) as usize]);
    }
    bytes
}

/// One with an id and a handle that no other number has, wherever the number stands.
fn hostile(number: u64, random: &mut Random) -> Hostile {
    let mut id = bytes(random);
    match random.below(20) {
        // As long as an id may be.
        0 => id.resize(1024 - 12, b':'),
        1 => id.clear(),
        _ => {}
    }
    let number = format!("<{number}>");
    id.splice(0..0, number.bytes());
    let mut handle = text(random);
    if random.below(2) == 0 {
        handle.push_str(&number)
    } else {
        handle.insert_str(0, &number)
    };
    let length = if random.below(200) == 0 { 1 << 20 } else { random.below(100) as usize };
    Hostile {
        id,
        handle,
        text: text(random),
        bytes: (random.below(5) > 0).then(|| bytes(random)),
        tags: (0..random.below(4)).map(|_| text(random)).collect(),
        json: Json(json!({ text(random): [text(random), 0.1, u64::MAX, null_or(text(random), random)] })),
        body: bytes(random).into_iter().cycle().take(length).collect(),
    }
}

fn null_or(text: String, random: &mut Random) -> Option<String> {
    (random.below(2) == 0).then_some(text)
}

/// `cargo xtask faults` does it with a hundred and fifty thousand records, each of which is saved,
/// loaded and found in six ways: a million checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_id_or_a_value_looks_like_it_comes_back_and_is_found() {
    const RECORDS: u64 = 500;
    let f = Fixture::new().await;
    let mut random = Random(seed());
    let mut checks = 0;
    for round in 0..rounds(3) {
        let mut all: Vec<Hostile> = (0..RECORDS).map(|at| hostile(round * RECORDS + at, &mut random)).collect();
        Hostile::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
        let loaded = Hostile::load_many(&f.db, all.iter().map(|one| one.id.clone())).await.unwrap();
        assert!(loaded.into_iter().eq(all.iter().cloned().map(Some)));
        let ids = |matches: &dyn Fn(&Hostile) -> bool| -> BTreeSet<Vec<u8>> {
            all.iter().filter(|one| matches(one)).map(|one| one.id.clone()).collect()
        };
        let (f, ids) = (&f, &ids);
        let each = stream::iter(&all).map(|one| async move {
            let found = async |query: subconscious::Query<Hostile>| -> BTreeSet<Vec<u8>> {
                query.ids(&f.db).try_collect().await.unwrap()
            };
            let by_handle = found(Hostile::filter_by(|h| h.handle.eq(&*one.handle))).await;
            assert_eq!(by_handle, BTreeSet::from([one.id.clone()]), "{:?}", one.handle);
            let by_text = found(Hostile::filter_by(|h| h.text.eq(&*one.text))).await;
            assert_eq!(by_text, ids(&|other| other.text == one.text), "{:?}", one.text);
            let end = one.text.char_indices().nth(2).map_or(one.text.len(), |(at, _)| at);
            let beginning = &one.text[..end];
            let by_beginning =
                found(Hostile::filter_by(|h| h.text.starts_with(beginning)).order_by(|h| h.text.desc())).await;
            assert_eq!(by_beginning, ids(&|other| other.text.starts_with(beginning)), "{beginning:?}");
            let by_bytes = found(Hostile::filter_by(|h| match one.bytes.clone() {
                Some(bytes) => h.bytes.eq(bytes),
                None => h.bytes.is_none(),
            }));
            assert_eq!(by_bytes.await, ids(&|other| other.bytes == one.bytes), "{:?}", one.bytes);
            if let Some(tag) = one.tags.first() {
                let by_tag = found(Hostile::filter_by(|h| h.tags.contains(&**tag) & h.text.le(&*one.text))).await;
                assert_eq!(by_tag, ids(&|other| other.tags.contains(tag) && other.text <= one.text), "{tag:?}");
            }
            assert_eq!(Hostile::load(&f.db, one.id.clone()).await.unwrap().as_ref(), Some(one));
        });
        each.buffer_unordered(16).collect::<Vec<()>>().await;
        checks += 7 * RECORDS;
        // Page by page: ids and texts travel in the cursors.
        let (mut turned, mut cursor) = (Vec::new(), None);
        loop {
            let page = Hostile::all().order_by(|h| h.text.asc()).limit(70).after(cursor).page(&f.db).await.unwrap();
            turned.extend(page.items);
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse::<Cursor>().unwrap());
        }
        assert!(turned.is_sorted_by(|one, two| one.text <= two.text));
        assert_eq!(turned.len(), all.len());
        if round == 0 {
            assert!(Hostile::check(&f.db).await.unwrap().is_clean());
            indexes::assert_exact::<Hostile>(f).await;
        }
        let report = Hostile::delete_many(&f.db, all.into_iter().map(|one| one.id)).await.unwrap();
        assert_eq!(report.into_result().unwrap(), RECORDS);
    }
    assert_eq!(Hostile::all().count(&f.db).await.unwrap(), 0);
    indexes::assert_exact::<Hostile>(&f).await;
    println!("{checks} checks");
}

/// What no `String` can hold may well be in a hash that something else wrote.
#[tokio::test]
async fn a_lone_surrogate_in_stored_json_is_an_error_of_its_record() {
    let f = Fixture::new().await;
    let mut all: Vec<Hostile> = (0..3).map(|number| hostile(number, &mut Random(7))).collect();
    Hostile::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    let key = [f.key("{Hostile}:r:").as_bytes(), &all[1].id].concat();
    let () = f.run(redis::cmd("HSET").arg(&key).arg("json").arg(r#"{"a":"\ud800"}"#)).await;
    let error = Hostile::load(&f.db, all[1].id.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { column: Some("json"), .. }), "{error}");
    let found: Vec<_> = Hostile::all().stream(&f.db).collect().await;
    assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 2);
}
