//! Rust and the scripts must derive the same from a stored value, even if another program stored
//! something that is no value of the column's kind. Both are given the same values. A server runs
//! the scripts' own text.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Value;

use super::Script;
use crate::server::Db;
use crate::server::reply::bytes;
use crate::testing::TestServer;
use crate::value::{Kind, SortKey, index_form, list, parse};

/// For each kind and value, this answers its form in an index, the score and the tail of its sort
/// key, the score that a sorted set stores, the tail of the index form, and the elements that it
/// has as a list.
const ASK: &str = "
-- include shared/rows.lua
-- include shared/plain.lua
-- include shared/elements.lua
local place, replies = places(), {}
for at = 1, #ARGV, 2 do
  local kind, value = byte(ARGV[at]), ARGV[at + 1]
  local score, tail = place(kind, value)
  local added = redis.pcall('ZADD', KEYS[1], score, tail)
  local reply = { plain(kind, value), score, tail, type(added) == 'table' and added.err or call('ZSCORE', KEYS[1], tail) }
  local _, again = place(kind, plain(kind, value))
  reply[5] = again
  local found = elements(nil, value)
  for i = 1, #found, 2 do reply[#reply + 1] = found[i] end
  replies[#replies + 1] = reply
  call('DEL', KEYS[1])
end
return replies
";

const KINDS: [Kind; 8] =
    [Kind::Bytes, Kind::Uuid, Kind::Integer, Kind::Float, Kind::Nanoseconds, Kind::List, Kind::Decimal, Kind::Ordinal];

/// Values that our programs never store, and some that they do store.
fn strange() -> Vec<Vec<u8>> {
    let digits = |count: usize| "1234567890".repeat(count / 10 + 1)[..count].to_owned();
    let mut texts: Vec<String> = [
        "",
        "0",
        "-0",
        "+1",
        "007",
        "-007",
        "-",
        ".",
        "-.",
        "-.0",
        ".5",
        "5.",
        "-5.",
        "1..",
        "1.2.3",
        "--1",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "-0.0",
        "0.0",
        "00.00",
        "-00",
        "1.50",
        "-1.50",
        "0x10",
        "-0x10",
        "0x1p4",
        " 1",
        "1 ",
        "\t1",
        "1\n",
        "inf",
        "-inf",
        "+inf",
        "infinity",
        "INF",
        "nan",
        "-nan",
        "NaN",
        "1e400",
        "-1e400",
        "1e-400",
        "1e99999999999999999999",
        "0e400",
        "5e-324",
        "1e",
        "e5",
        "1_000",
        "1,5",
        "a,b",
        "a,",
        ",",
        ",,",
        "a\\",
        "a\\,",
        "\\c,",
        "\\\\,",
        "\\x,",
        "\\,",
        "a\\cb,a\\cb,",
        "true",
        "\u{e9}",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "00009007199254740993",
        "9007199254740991999999",
        "9007199254740992000000",
        "9007199254740992000001",
        "-9007199254740992000001",
        "-9007199254740993999999",
        "-9007199254740994000001",
        "-1",
        "-999999",
        "-1000000",
        "-1000001",
        "1000001",
        "999999999999999999999999999999999999999999999999",
    ]
    .map(str::to_owned)
    .into();
    for count in [15, 16, 17, 63, 64, 126, 127, 128, 129, 200, 255, 256, 308, 309, 400, 5000] {
        let long = digits(count);
        texts.extend([
            format!("-{long}"),
            format!("{long}.5"),
            format!("-{long}.50"),
            format!("0.{}1", "0".repeat(count)),
            format!("1.{}", "0".repeat(count)),
            format!("{}1", "0".repeat(count)),
            format!("{}x", "0".repeat(count)),
            format!("{long}e5"),
            long,
        ]);
    }
    let mut values: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    values.extend(
        [&b"\0"[..], b"\0\0", b"1\0", b"\x001", b"12\x003", b"\xFF", b"-\xFF", b"1\xFF", b"1.\xFF0", b"a\0,b\\\0,"]
            .map(<[u8]>::to_vec),
    );
    values
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    let text = |pattern| proptest::string::string_regex(pattern).unwrap().prop_map(String::into_bytes);
    prop_oneof![
        text("-?[0-9]{1,40}"),
        text("-?0{0,3}[0-9]{0,30}\\.[0-9]{0,20}0{0,3}"),
        text("[-+]?[0-9]{0,20}\\.?[0-9]{0,20}([eE][-+]?[0-9]{1,4})?"),
        any::<f64>().prop_map(|number| format!("{number:?}").into_bytes()),
        any::<i128>().prop_map(|number| number.to_string().into_bytes()),
        text("[-+.0-9eExaif, \\\\]{0,12}"),
        text("-?[0-9]{120,420}"),
        text("([ab,\\\\c]{0,4},)*"),
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(&b"\0\xFF-.01,\\"[..]), 0..8),
    ]
}

/// A server, and the script that asks its Lua.
struct Lua {
    runtime: tokio::runtime::Runtime,
    _server: TestServer,
    db: Db,
    script: Script,
}

impl Lua {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(TestServer::start()).unwrap();
        let db = runtime.block_on(Db::open(server.url())).unwrap();
        Self { runtime, _server: server, db, script: Script::of_text(ASK) }
    }

    fn agrees(&self, values: &[(Kind, Vec<u8>)]) {
        let mut call = self.script.call(b"place");
        for (kind, value) in values {
            call.arg(kind.code().to_string()).arg(value);
        }
        let Value::Array(replies) = self.runtime.block_on(self.script.run(&self.db, &call)).unwrap() else { panic!() };
        for ((kind, value), reply) in values.iter().zip(replies) {
            let shown = format!("{kind:?} \"{}\"", value[..value.len().min(500)].escape_ascii());
            let Value::Array(reply) = reply else { panic!("{shown}") };
            let mut reply = reply.into_iter().map(bytes);
            let mut next = || reply.next().unwrap();
            let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
            assert_eq!(escaped(&next()), escaped(index_form(*kind, value)), "index form of {shown}");
            let key = SortKey::of(*kind, value);
            let (score, tail, taken) = (next(), next(), next());
            let number = |text: &[u8]| parse::<f64>(text).unwrap_or_else(|| panic!("{} for {shown}", escaped(text)));
            // 0.0 and -0.0 are the same score.
            assert_eq!(number(&score), number(&key.score), "score of {shown}");
            assert_eq!(number(&taken), number(&key.score), "score of {shown} in a sorted set");
            assert_eq!(escaped(&tail), escaped(&key.tail), "tail of {shown}");
            assert_eq!(escaped(&next()), escaped(&key.tail), "tail of the index form of {shown}");
            assert!(key.compare(&SortKey::of(*kind, index_form(*kind, value))).is_eq(), "{shown} and its index form");
            let elements: BTreeSet<Vec<u8>> = reply.collect();
            let ours: BTreeSet<Vec<u8>> =
                list::entries(value).into_iter().map(|element| element.into_owned()).collect();
            assert_eq!(elements, ours, "elements of {shown}");
        }
    }
}

#[test]
fn rust_and_lua_derive_the_same_from_what_others_stored() {
    let lua = Lua::start();
    let all: Vec<_> = KINDS.iter().flat_map(|&kind| strange().into_iter().map(move |value| (kind, value))).collect();
    lua.agrees(&all);
    let some = prop::collection::vec((prop::sample::select(&KINDS[..]), values()), 40);
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&some, |values| {
            lua.agrees(&values);
            Ok(())
        })
        .unwrap();
}
