use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use redis::Value;

use super::{DELETE, FILES, INCLUDE, QUERY, SAVE, SCRIPTS, Script, constants, expand};
use crate::server::reply::{Answer, Refusal};
use crate::upkeep::check::Fault;

/// The comment at the head of a script, which tells how to call it.
fn head(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

/// Every file is in the table, says at its head what it is for, and is a script or a part of one.
#[test]
fn every_file_says_what_it_is_for() {
    let mut included = BTreeSet::new();
    for (name, text) in FILES {
        let head = head(text);
        let file = name.rsplit('/').next().unwrap();
        assert!(head.starts_with(&format!("-- {file}: ")), "{name} does not begin with its name and what it does");
        let body = &text[head.len()..];
        included.extend(body.lines().filter_map(|line| line.trim().strip_prefix(INCLUDE)));
        // A part uses the arguments of the script that includes it.
        let words: &[&str] =
            if SCRIPTS.contains(name) { &["KEYS[1]", "ARGV[1]", "Returns"] } else { &["KEYS", "ARGV"] };
        for word in words {
            assert!(head.contains(word), "{name}: no {word} in its head");
        }
        // The head describes the greatest fixed argument that the code reads.
        let fixed = |text: &str| (1..=30).filter(|at| text.contains(&format!("ARGV[{at}]"))).max();
        if SCRIPTS.contains(name) {
            assert!(fixed(&head) >= fixed(body), "{name} reads an argument that its head does not describe");
        }
    }
    let files: BTreeSet<&str> = FILES.iter().map(|(name, _)| *name).collect();
    let parts = files.iter().filter(|name| !SCRIPTS.contains(name)).copied();
    assert_eq!(included, parts.collect(), "what is included, and what is no script");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scripts");
    let mut found = BTreeSet::new();
    for part in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(part.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            found.insert(file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(found, files.into_iter().map(String::from).collect());
}

#[test]
fn what_a_script_includes_is_in_its_text() {
    for file in SCRIPTS {
        let text = expand(&format!("{INCLUDE}{file}\n"), &[]).unwrap();
        assert!(!text.contains(INCLUDE), "{file}");
    }
    let unknown = expand("-- include nothing.lua\n", &["write/save.lua"]).unwrap_err();
    assert_eq!(unknown, "write/save.lua includes nothing.lua, which is no file");
    assert!(expand("-- include write/put.lua\n", &["write/put.lua"]).unwrap_err().contains("never ends"));
}

/// Every constant is used by a script, and its value stands in the place of its name.
#[test]
fn names_of_constants_are_replaced_by_their_values() {
    let constants = constants();
    let mut unused: BTreeSet<&str> = constants.keys().copied().collect();
    for (name, text) in FILES {
        let code = text.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join("\n");
        let words = code.split(|char: char| char != '_' && !char.is_ascii_alphanumeric());
        for word in words {
            unused.remove(word);
        }
        // A command with the name of a constant would be replaced too.
        for name_of in constants.keys() {
            assert!(!code.contains(&format!("'{name_of}'")), "{name}: {name_of}");
        }
    }
    assert_eq!(unused, BTreeSet::new());
    let text = Script::new("query/order.lua").text;
    assert!(!text.contains("SEGMENT") && text.contains("261888"));
    assert_eq!(super::substitute("CHUNK + CHUNKS + 'CHUNK'", &constants), "128 + CHUNKS + '128'");
}

#[test]
fn scripts_have_hashes_of_their_own() {
    assert_ne!(SAVE.hash, DELETE.hash);
    assert_ne!(SAVE.hash, QUERY.hash);
    assert_eq!(SAVE.hash.len(), 40);
}

/// Some managed services refuse a script that declares no key, and a cluster would not know which
/// node to send it to.
#[test]
fn what_asks_for_rights_declares_a_key() {
    let call = super::rights_to_write(b"{User}:t:0");
    assert_eq!(super::key_of(&call), b"{User}:t:0");
    let arguments: Vec<_> = call.args_iter().collect();
    assert!(matches!(arguments[..3], [redis::Arg::Simple(b"EVAL"), _, redis::Arg::Simple(b"1")]));
}

/// No script uses a global that nothing defines. Unused locals are allowed, since not every script
/// uses all of a part. `luacheck` does it, if it is installed; with `LUACHECK=required` it has to
/// be.
#[test]
fn the_linter_has_nothing_to_say() {
    let settings = [
        "--std=lua51",
        "--codes",
        "--no-color",
        "--no-max-line-length",
        "--ignore",
        "4..",
        "211",
        "311",
        "--read-globals",
        "redis",
        "KEYS",
        "cjson",
        "cmsgpack",
        "struct",
        "bit",
        "--globals",
        "ARGV",
        "--",
        "-",
    ];
    for file in SCRIPTS {
        let started = Command::new("luacheck").args(settings).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut linter = match started {
            Err(error) if std::env::var("LUACHECK").is_ok_and(|required| required == "required") => {
                panic!("luacheck: {error}")
            }
            Err(_) => return,
            Ok(linter) => linter,
        };
        let text = Script::new(file).text;
        linter.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = linter.wait_with_output().unwrap();
        assert!(done.status.success(), "{file}:\n{}", String::from_utf8_lossy(&done.stdout));
    }
}

/// The words that follow this text in the files.
fn words_after(before: &str) -> BTreeSet<&'static str> {
    let texts = FILES.iter().flat_map(|(_, text)| text.split(before).skip(1));
    texts.filter_map(|rest| rest.split('\'').next()).collect()
}

#[test]
fn rust_knows_each_word_that_a_script_refuses_by_or_reports() {
    let refused = words_after("refuse('");
    assert!(refused.len() > 12, "{refused:?}");
    for word in refused {
        let is_known = |details: usize| {
            let words = [word].into_iter().chain(std::iter::repeat_n("1", details));
            let words = words.map(|word| Value::BulkString(word.into()));
            let reply = Value::Array([Value::Nil].into_iter().chain(words).collect());
            !matches!(Answer::of(reply), Answer::Refused(Refusal::Unknown(_)))
        };
        assert!((0..5).any(is_known), "{word}");
    }
    for word in words_after("report('") {
        assert!(Fault::of(word.as_bytes()).is_some(), "{word}");
    }
}
