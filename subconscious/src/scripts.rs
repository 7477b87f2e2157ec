//! The scripts: their texts, and the commands that call them. `server/script.rs` makes the calls.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use redis::{Arg, Cmd};

use crate::model::keys::{self, guard};
use crate::model::{index, layout, stored};
use crate::query::plan::cost;
use crate::value::Kind;

/// A line that begins a stage: see [`Script::of_text`].
const STAGE: &str = "-- stage\n";

/// Begins a line that includes a file; the name of the file follows.
const INCLUDE: &str = "-- include ";

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("scripts/", $name)))),*] };
}

/// The names and texts of all files.
const FILES: &[(&str, &str)] = files![
    "query/begin.lua",
    "query/bitmaps.lua",
    "query/budget.lua",
    "query/cost.lua",
    "query/count.lua",
    "query/deliver.lua",
    "query/estimate.lua",
    "query/evaluate.lua",
    "query/filter.lua",
    "query/groups.lua",
    "query/leaves.lua",
    "query/nodes.lua",
    "query/offsets.lua",
    "query/one_value.lua",
    "query/order.lua",
    "query/ordered_scan.lua",
    "query/owner.lua",
    "query/parts.lua",
    "query/query.lua",
    "query/read_bitmaps.lua",
    "query/ready.lua",
    "query/row_scan.lua",
    "query/scan.lua",
    "query/scratch.lua",
    "query/sets.lua",
    "query/share.lua",
    "query/sorted_set.lua",
    "query/split.lua",
    "query/tester.lua",
    "shared/clock.lua",
    "shared/decimal.lua",
    "shared/elements.lua",
    "shared/entry.lua",
    "shared/ids.lua",
    "shared/plain.lua",
    "shared/rights.lua",
    "shared/rows.lua",
    "shared/stored.lua",
    "upkeep/build.lua",
    "upkeep/check_counts.lua",
    "upkeep/check_entries.lua",
    "upkeep/check_records.lua",
    "upkeep/check_rows.lua",
    "upkeep/check_values.lua",
    "upkeep/drop.lua",
    "upkeep/inspect.lua",
    "upkeep/migrate.lua",
    "upkeep/purge_expired.lua",
    "write/apply.lua",
    "write/counter.lua",
    "write/delete.lua",
    "write/describe.lua",
    "write/divide.lua",
    "write/due.lua",
    "write/enter.lua",
    "write/expire.lua",
    "write/index.lua",
    "write/patch.lua",
    "write/put.lua",
    "write/register.lua",
    "write/remove.lua",
    "write/save.lua",
    "write/save_many.lua",
    "write/scores.lua",
    "write/switch.lua",
    "write/unite.lua",
    "write/widen.lua",
];

/// A text in which each line that includes a file is replaced by the text of the file, and so on
/// for the lines of that text. `within` lists the files that this text is included by.
fn expand(text: &str, within: &[&str]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let Some(name) = line.trim().strip_prefix(INCLUDE) else {
            out.push_str(line);
            continue;
        };
        let on_the_way = [within, &[name]].concat().join(" includes ");
        if within.contains(&name) {
            return Err(format!("{on_the_way}: that never ends"));
        }
        let Some((_, text)) = FILES.iter().find(|(file, _)| *file == name) else {
            return Err(format!("{on_the_way}, which is no file"));
        };
        out.push_str(&expand(text, &[within, &[name]].concat())?);
    }
    Ok(out)
}

/// The values of the names in capitals that the scripts use but do not define: numbers, parts of
/// keys and names of fields that Rust also uses.
fn constants() -> HashMap<&'static str, String> {
    let layout = [
        ("SEGMENT", layout::SEGMENT.into()),
        ("PROMOTE", layout::PROMOTE.into()),
        ("PROMOTE_EARLY", layout::PROMOTE_EARLY.into()),
        ("DEMOTE", layout::DEMOTE.into()),
        ("UNITE", layout::UNITE.into()),
        ("PART", layout::PART.into()),
        ("PARTS", layout::PARTS.into()),
        ("SCORE", layout::SCORE.into()),
        ("ZONE", layout::ZONE.into()),
        ("ZONES", layout::ZONES.into()),
        ("DIRECTORY", layout::DIRECTORY.into()),
        ("CHUNK", layout::CHUNK.into()),
        ("LAST_ROW", layout::LAST_ROW.into()),
        ("LAST_DEADLINE", layout::LAST_DEADLINE),
        ("LONGEST_INDEXED", layout::LONGEST_INDEXED as u64),
    ];
    let kinds = [
        ("KIND_BYTES", Kind::Bytes),
        ("KIND_DECIMAL", Kind::Decimal),
        ("KIND_FLOAT", Kind::Float),
        ("KIND_INTEGER", Kind::Integer),
        ("KIND_LIST", Kind::List),
        ("KIND_NANOSECONDS", Kind::Nanoseconds),
    ];
    let codes = kinds.into_iter().map(|(name, kind)| (name, kind.code())).chain(index::CODES);
    let numbers = layout.into_iter().chain(index::PLAN).map(|(name, number): (_, u64)| (name, number.to_string()));
    // The scripts compare codes as bytes.
    let codes = codes.map(|(name, code)| (name, u32::from(code).to_string()));
    let keys = keys::PARTS.into_iter().map(|(name, part)| (name, format!("'{part}'")));
    // Numbers that are always arguments of a command are texts: see `shared/rows.lua`.
    let zones = [
        ("PART_ZONE", 0),
        ("PART_ZONE_END", layout::ZONE - 1),
        ("SEGMENT_ZONE", layout::ZONE),
        ("SEGMENT_ZONE_END", layout::ZONES - 1),
    ];
    let zones = zones.map(|(name, byte)| (name, format!("'{byte}'")));
    let quoted = |fields: &[&str]| fields.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
    let fields =
        [("STORED_FIELDS", quoted(&stored::FIELDS)), ("SWITCHED_FIELDS", quoted(&stored::FIELDS[..stored::SWITCHED]))];
    let costs = cost::SCRIPTS.into_iter().map(|(name, cost)| (name, cost.to_string()));
    numbers.chain(codes).chain(keys).chain(zones).chain(fields).chain(costs).collect()
}

/// A text in which the names of constants are replaced by their values.
fn substitute(text: &str, constants: &HashMap<&str, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let is_word = |char: char| char == '_' || char.is_ascii_alphanumeric();
        let length = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        // Most words begin with a small letter, and are not looked up.
        let constant =
            if word.starts_with(|char: char| char.is_ascii_uppercase()) { constants.get(word) } else { None };
        out.push_str(constant.map_or(word, String::as_str));
        let length = after.find(is_word).unwrap_or(after.len());
        out.push_str(&after[..length]);
        rest = &after[length..];
    }
    out
}

/// A script's text and the hash that the server knows it by.
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    /// The script in a file.
    fn new(file: &str) -> Self {
        Self::of_text(&format!("{INCLUDE}{file}\n"))
    }

    fn of_text(text: &str) -> Self {
        // A test expands all scripts. If one can't be expanded, the server answers why.
        let text = expand(text, &[]).unwrap_or_else(|why| format!("error('{why}')"));
        let text = substitute(&text, &constants());
        // The text after a stage line becomes a function of its own. When Lua makes a function, it
        // looks up each local variable of the enclosing function that the new one uses, in a list
        // of all variables that functions use so far, one after the other. A variable from further
        // out is found at once. With three stage lines, the 50 functions of a query are made in 15
        // us instead of 27 us.
        let stages = text.matches(STAGE).count();
        let text = text.replace(STAGE, "return (function()\n") + &"end)()\n".repeat(stages);
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    /// A command that calls the script on one key, and on the key that never exists: see
    /// [`guard`]. Its arguments are added later.
    pub(crate) fn call(&self, key: &[u8]) -> Cmd {
        self.call_on([key].into_iter(), 0, 0)
    }

    /// A call on several keys, with room for this number of arguments, and for this number of bytes
    /// in all of them.
    pub(crate) fn call_on<'a>(
        &self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        arguments: usize,
        bytes: usize,
    ) -> Cmd {
        let count = keys.len();
        let mut keys = keys.peekable();
        let guard = keys.peek().and_then(|key| guard(key));
        let mut call = Cmd::with_capacity(arguments + count + 4, bytes + 64 * count + 96);
        call.arg("EVALSHA").arg(&self.hash).arg(count + usize::from(guard.is_some()));
        for key in keys {
            call.arg(key);
        }
        // Last, so that it is not taken for a key of the call.
        call.arg(guard);
        call
    }

    /// The call that [`Script::call`] began, with the text of the script instead of its hash.
    pub(crate) fn whole(&self, call: &Cmd) -> Cmd {
        let mut whole = Cmd::new();
        whole.arg("EVAL").arg(&self.text);
        for argument in call.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                whole.arg(bytes);
            }
        }
        whole
    }

    /// The commands that the script may call.
    fn commands(&self) -> impl Iterator<Item = &str> {
        self.text.split('\'').filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()))
    }
}

/// The first key of a call.
pub(crate) fn key_of(call: &Cmd) -> &[u8] {
    // It comes after the command, the script and the number of keys.
    if let Some(Arg::Simple(key)) = call.args_iter().nth(3) { key } else { &[] }
}

/// A call that asks which commands of these scripts the user may not run: see
/// [`lacking`](crate::server::reply::lacking). The script does not use the key, but the user needs
/// a right to it: some servers refuse scripts that declare no key.
pub(crate) fn rights(scripts: &[&Script], key: &[u8]) -> Cmd {
    let commands: BTreeSet<&str> = scripts.iter().flat_map(|script| script.commands()).collect();
    let mut call = RIGHTS.call_on([key].into_iter(), commands.len(), 0);
    for command in commands {
        call.arg(command);
    }
    RIGHTS.whole(&call)
}

/// A call that asks which commands for writing records the user may not run: see
/// [`lacking`](crate::server::reply::lacking).
pub(crate) fn rights_to_write(key: &[u8]) -> Cmd {
    rights(&[&SAVE, &SAVE_MANY, &PATCH, &COUNTER, &DELETE, &PURGE_EXPIRED, &DESCRIBE, &REGISTER], key)
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new($file));)*

        /// The files that are scripts, not parts of scripts.
        #[cfg(test)]
        const SCRIPTS: &[&str] = &[$($file),*];
    };
}
scripts! {
    SAVE = "write/save.lua";
    SAVE_MANY = "write/save_many.lua";
    PATCH = "write/patch.lua";
    COUNTER = "write/counter.lua";
    DELETE = "write/delete.lua";
    PURGE_EXPIRED = "upkeep/purge_expired.lua";
    DROP = "upkeep/drop.lua";
    BUILD = "upkeep/build.lua";
    DESCRIBE = "write/describe.lua";
    MIGRATE = "upkeep/migrate.lua";
    REGISTER = "write/register.lua";
    CHECK_RECORDS = "upkeep/check_records.lua";
    CHECK_ENTRIES = "upkeep/check_entries.lua";
    CHECK_ROWS = "upkeep/check_rows.lua";
    CHECK_VALUES = "upkeep/check_values.lua";
    CHECK_COUNTS = "upkeep/check_counts.lua";
    QUERY = "query/query.lua";
    BITMAPS = "query/bitmaps.lua";
    ORDER = "query/order.lua";
    OWNER = "query/owner.lua";
    COUNT = "query/count.lua";
    ESTIMATE = "query/estimate.lua";
    LEAVES = "query/leaves.lua";
    GROUPS = "query/groups.lua";
    RIGHTS = "shared/rights.lua";
}

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;

#[cfg(test)]
#[cfg(all(unix, feature = "testing"))]
#[path = "scripts_agree_tests.rs"]
mod agree_tests;
