//! Compares every key of a model with what its records demand.

use std::collections::{BTreeMap, BTreeSet};

use subconscious::RedisModel;

use crate::Fixture;

/// Rows of a segment, and of a string of the row directory.
pub const SEGMENT: u64 = 261_888;
const DIRECTORY: u64 = 65_472;

/// Rows of a part of scores.
const PART: u64 = 8184;

/// The rows of each value of a column; `None` is null.
type Rows = BTreeMap<(String, Option<Vec<u8>>), BTreeSet<u64>>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(bytes: &[u8]) -> u64 {
    text(bytes).parse().unwrap_or_else(|_| panic!("{} is no number", bytes.escape_ascii()))
}

fn bits(bitmap: &[u8]) -> BTreeSet<u64> {
    (0..bitmap.len() as u64 * 8).filter(|at| bitmap[(at / 8) as usize] & (0x80 >> (at % 8)) != 0).collect()
}

/// Panics unless the model's keys are exactly those that its records demand: every index entry has
/// its record and every record its index entries. Returns the number of records and of containers
/// that are bitmaps.
pub async fn assert_exact<M: RedisModel>(f: &Fixture) -> (usize, usize) {
    let schema = M::schema();
    let prefix = format!("{{{}}}:", schema.name());
    let keys: Vec<Vec<u8>> = f.keys().await.into_iter().filter(|key| key.starts_with(prefix.as_bytes())).collect();
    let namespace = f.key("").into_bytes();
    let whole = |key: &[u8]| [namespace.as_slice(), key].concat();
    let rest = |key: &[u8]| key[prefix.len()..].to_vec();

    // What the records demand.
    let (mut live, mut ids) = (BTreeSet::new(), BTreeMap::new());
    let (mut values, mut sorted) = (Rows::new(), BTreeMap::<String, BTreeSet<u64>>::new());
    let mut owners = BTreeMap::<String, BTreeMap<Vec<u8>, u64>>::new();
    let mut deadlines = BTreeMap::new();
    let few = |column: &subconscious::schema::ColumnSchema| {
        column.has_sort() && ["u8", "i8", "bool", "enum"].contains(&column.type_name())
    };
    for key in keys.iter().filter(|key| rest(key).starts_with(b"r:")) {
        let command = &mut redis::cmd("HGETALL");
        let fields: BTreeMap<String, Vec<u8>> = f.run(command.arg(whole(key))).await;
        let row = number(&fields["#"]);
        assert!(live.insert(row), "row {row} is used twice");
        ids.insert(row, rest(key)[2..].to_vec());
        let deadline: i64 = f.run(redis::cmd("PEXPIRETIME").arg(whole(key))).await;
        if deadline >= 0 {
            deadlines.insert(row, deadline);
        }
        for column in schema.columns() {
            let mut value = fields.get(column.name()).cloned();
            if value.as_deref() == Some(b"-0.0") {
                value = Some(b"0.0".to_vec());
            }
            // And equal decimals.
            if let ("decimal", Some(number)) = (column.type_name(), &mut value) {
                while number.contains(&b'.') && number.pop_if(|digit| matches!(digit, b'0' | b'.')).is_some() {}
                if number == b"-0" {
                    number.remove(0);
                }
            }
            if let (true, Some(value)) = (column.is_unique(), &value) {
                let other = owners.entry(column.name().into()).or_default().insert(value.clone(), row);
                assert_eq!(other, None, "{} is there twice", value.escape_ascii());
            }
            if let (true, true, Some(list)) = (column.is_list(), column.has_index(), &value) {
                let mut element = Vec::new();
                let mut bytes = list.iter();
                while let Some(&byte) = bytes.next() {
                    match byte {
                        b'\\' if bytes.next() == Some(&b'c') => element.push(b','),
                        b',' => {
                            let place = (column.name().into(), Some(std::mem::take(&mut element)));
                            values.entry(place).or_default().insert(row);
                        }
                        byte => element.push(byte),
                    }
                }
                continue;
            }
            let in_order = column.has_sort() && !few(column);
            if column.has_index() || few(column) || (column.has_sort() && value.is_none()) {
                values.entry((column.name().into(), value.clone())).or_default().insert(row);
            }
            if in_order && value.is_some() {
                sorted.entry(column.name().into()).or_default().insert(row);
            }
        }
    }

    // What is there.
    let (mut found, mut found_sorted, mut found_live) = (Rows::new(), BTreeMap::new(), BTreeSet::new());
    let (mut found_ids, mut found_values, mut free, mut bitmaps) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::<u64, u64>::new(), 0);
    let (mut found_owners, mut found_deadlines, mut kept) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut meta: BTreeMap<String, String> = BTreeMap::new();
    let (mut scores, mut found_scores) = (BTreeMap::new(), BTreeMap::new());
    let (mut divided, mut containers, mut divided_rows) = (BTreeMap::new(), BTreeMap::new(), Rows::new());
    for key in &keys {
        let whole = whole(key);
        let parts: Vec<Vec<u8>> = rest(key).splitn(4, |&byte| byte == b':').map(<[u8]>::to_vec).collect();
        match parts[0].as_slice() {
            b"r" => {}
            b"l" => {
                let parts: Vec<Vec<u8>> = rest(key).splitn(3, |&byte| byte == b':').map(<[u8]>::to_vec).collect();
                let rows: BTreeSet<u64> = f.run(redis::cmd("SMEMBERS").arg(&whole)).await;
                assert!(rows.len() <= 512, "{} is a posting list of many rows", key.escape_ascii());
                assert!(found.insert((text(&parts[1]), parts.get(2).cloned()), rows).is_none());
            }
            kind @ (b"i" | b"b") => {
                let offsets: BTreeSet<u64> = if kind == b"b" {
                    bitmaps += 1;
                    let bitmap: Vec<u8> = f.run(redis::cmd("GET").arg(&whole)).await;
                    assert!(bits(&bitmap).len() > 64, "{} is a bitmap of few rows", key.escape_ascii());
                    bits(&bitmap)
                } else {
                    f.run(redis::cmd("SMEMBERS").arg(&whole)).await
                };
                let (place, segment) = ((text(&parts[1]), parts.get(3).cloned()), number(&parts[2]));
                *containers.entry(place.clone()).or_insert(0) += 1;
                for offset in offsets {
                    let new = divided_rows.entry(place.clone()).or_default().insert(segment * SEGMENT + offset);
                    assert!(new, "{} is both a set and a bitmap", key.escape_ascii());
                }
            }
            b"n" => {
                let counts: BTreeMap<Vec<u8>, u64> = f.run(redis::cmd("HGETALL").arg(&whole)).await;
                for (field, count) in counts {
                    divided.insert((text(&parts[1]), field.get(1..).map(<[u8]>::to_vec)), count);
                }
            }
            b"s" => {
                let members: Vec<(Vec<u8>, f64)> =
                    f.run(redis::cmd("ZRANGE").arg(&whole).arg(0).arg(-1).arg("WITHSCORES")).await;
                let row = |member: &[u8]| u64::from(u32::from_be_bytes(member[member.len() - 4..].try_into().unwrap()));
                let rows: Vec<u64> = members.iter().map(|(member, _)| row(member)).collect();
                let column = schema.columns().iter().find(|column| column.name() == text(&parts[1])).unwrap();
                if !["text", "bytes", "uuid", "char"].contains(&column.type_name()) {
                    scores.extend(members.iter().map(|(member, score)| ((text(&parts[1]), row(member)), *score)));
                }
                let set: BTreeSet<u64> = rows.iter().copied().collect();
                assert_eq!(set.len(), rows.len(), "{} has a row twice", key.escape_ascii());
                found_sorted.insert(text(&parts[1]), set);
            }
            b"c" => {
                let bytes: Vec<u8> = f.run(redis::cmd("GET").arg(&whole)).await;
                let double = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
                let (zones, scores) = bytes.split_at(32);
                let part = number(&parts[2]);
                let first =
                    [namespace.as_slice(), format!("{prefix}c:{}:{}", text(&parts[1]), part - part % 32).as_bytes()]
                        .concat();
                let of_segment: Vec<u8> = f.run(redis::cmd("GETRANGE").arg(first).arg(16).arg(31)).await;
                for (at, score) in scores.chunks_exact(8).enumerate().filter(|(_, score)| **score != [0; 8]) {
                    for zone in [&zones[..16], &of_segment] {
                        let within = double(&zone[..8]) <= double(score) && double(score) <= double(&zone[8..]);
                        assert!(within, "{} has a score beyond its zone", key.escape_ascii());
                    }
                    found_scores.insert((text(&parts[1]), part * PART + at as u64), double(score));
                }
            }
            b"v" => {
                let ordered: BTreeSet<Vec<u8>> = f.run(redis::cmd("ZRANGE").arg(&whole).arg(0).arg(-1)).await;
                found_values.insert(text(&parts[1]), ordered);
            }
            b"live" => {
                let bitmap: Vec<u8> = f.run(redis::cmd("GET").arg(&whole)).await;
                found_live.extend(bits(&bitmap).into_iter().map(|offset| number(&parts[1]) * SEGMENT + offset));
            }
            b"d" | b"e" => {
                let kind: String = f.run(redis::cmd("TYPE").arg(&whole)).await;
                if kind == "hash" {
                    let entries: BTreeMap<u64, Vec<u8>> = f.run(redis::cmd("HGETALL").arg(&whole)).await;
                    found_ids.extend(entries.into_iter().map(|(offset, id)| (number(&parts[1]) * 128 + offset, id)));
                } else {
                    let entries: Vec<u8> = f.run(redis::cmd("GET").arg(&whole)).await;
                    let [key] = schema.columns().iter().filter(|column| column.is_key()).collect::<Vec<_>>()[..] else {
                        panic!("{} is a string, and the key is composite", key.escape_ascii())
                    };
                    let width = match key.type_name() {
                        "uuid" => 16,
                        "u16" | "i16" => 3,
                        "u32" | "i32" => 6,
                        "u64" | "i64" => 10,
                        other => panic!("an id of {other} has no width"),
                    };
                    for (offset, id) in entries.chunks_exact(width).enumerate() {
                        let row = number(&parts[1]) * DIRECTORY + offset as u64;
                        // Entries of rows that are not in use are left as they are.
                        if live.contains(&row) {
                            let id = match uuid::Uuid::from_slice(id) {
                                Ok(id) => id.to_string(),
                                // Digits in halves of bytes, `a` for the minus sign.
                                Err(_) => {
                                    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                                    digits.replace('a', "-").trim_start_matches('0').to_owned()
                                }
                            };
                            found_ids.insert(row, if id.is_empty() { b"0".to_vec() } else { id.into_bytes() });
                        }
                    }
                }
            }
            b"u" => {
                let values: BTreeMap<Vec<u8>, u64> = f.run(redis::cmd("HGETALL").arg(&whole)).await;
                found_owners.insert(text(&parts[1]), values);
            }
            b"ttl" => {
                let entries: Vec<(u64, i64)> =
                    f.run(redis::cmd("ZRANGE").arg(&whole).arg(0).arg(-1).arg("WITHSCORES")).await;
                found_deadlines = entries.into_iter().collect();
            }
            b"x" => {
                let rows: Vec<u64> = f.run(redis::cmd("HKEYS").arg(&whole)).await;
                kept.extend(rows.into_iter().map(|row| number(&parts[1]) * 128 + row));
            }
            b"free" => free = f.run(redis::cmd("ZRANGE").arg(&whole).arg(0).arg(-1).arg("WITHSCORES")).await,
            b"meta" => meta = f.run(redis::cmd("HGETALL").arg(&whole)).await,
            _ => panic!("{} is no key of a model", key.escape_ascii()),
        }
    }
    assert_eq!(divided, containers, "numbers of containers of divided values");
    for (place, rows) in divided_rows {
        assert!(found.insert(place.clone(), rows).is_none(), "{place:?} has a posting list and containers");
    }
    assert_eq!(found, values, "rows of values");
    assert_eq!(found_sorted, sorted, "sorted sets");
    assert_eq!(found_scores, scores, "scores by row");
    assert_eq!(found_owners, owners, "owners of unique values");
    assert_eq!(found_deadlines, deadlines, "times to live");
    assert_eq!(kept, deadlines.keys().copied().collect(), "what is kept of records that expire");
    assert_eq!(found_live, live, "rows in use");
    assert_eq!(found_ids, ids, "row directory");
    let mut ordered = BTreeMap::<String, BTreeSet<Vec<u8>>>::new();
    for (name, value) in values.into_keys() {
        let column = schema.columns().iter().find(|column| column.name() == name).unwrap();
        if let (true, Some(value)) = (few(column), value) {
            ordered.entry(name).or_default().insert(value);
        }
    }
    assert_eq!(found_values, ordered, "values in order");
    let rows: u64 = meta.get("rows").map_or(0, |rows| rows.parse().unwrap());
    assert_eq!(meta.get("count").map_or("0", String::as_str), live.len().to_string(), "count in meta");
    assert!(live.iter().all(|&row| row < rows), "a row beyond those handed out");
    let mut expected_free = BTreeMap::<u64, u64>::new();
    for row in (0..rows).filter(|row| !live.contains(row)) {
        *expected_free.entry(row / SEGMENT).or_default() += 1;
    }
    assert_eq!(free, expected_free, "rows to be used again");
    // The library's own check has to agree.
    let report = M::check(&f.db).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.records, live.len() as u64, "{report:?}");
    (live.len(), bitmaps)
}
