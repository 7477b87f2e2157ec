use std::path::Path;

use redis::Value;

use super::{DELETE, QUERY, SAVE, SAVE_MANY, unpacked};

/// The head of a script, from which a reader learns how to call it.
fn head(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_script_says_what_it_takes_and_returns() {
    let mut called = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scripts")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let head = head(&text);
        assert!(head.starts_with(&format!("-- {name}: ")), "{name} does not begin with its name and what it does");
        let body = &text[head.len()..];
        for include in body.lines().filter_map(|line| line.trim().strip_prefix("-- include ")) {
            assert!(path.with_file_name(include).exists(), "{name} includes {include}");
        }
        let prose = head.replace("\n-- ", " ");
        if ["It is included in", "It comes ", "It is not called"].iter().any(|words| prose.contains(words)) {
            continue;
        }
        called += 1;
        for word in ["KEYS[1]", "ARGV[1]", "Returns"] {
            assert!(head.contains(word), "{name}: no {word} in its head");
        }
        // The greatest fixed argument that the code reads is described.
        let fixed = |text: &str| (1..=30).filter(|at| text.contains(&format!("ARGV[{at}]"))).max();
        assert!(fixed(&head) >= fixed(body), "{name} reads an argument that its head does not describe");
    }
    assert!(called >= 15, "{called}");
}

#[test]
fn what_a_script_includes_is_in_its_text() {
    for script in
        [&SAVE, &SAVE_MANY, &DELETE, &QUERY, &super::PATCH, &super::PURGE_EXPIRED, &super::BUILD, &super::CHECK_ROWS]
    {
        assert!(!script.text.contains("-- include "), "{}", script.text);
    }
}

#[test]
fn scripts_have_hashes_of_their_own() {
    assert_ne!(SAVE.hash, DELETE.hash);
    assert_ne!(SAVE.hash, QUERY.hash);
    assert_eq!(SAVE.hash.len(), 40);
}

#[test]
fn a_list_is_the_same_packed_or_not() {
    let text = |text: &str| Value::BulkString(text.into());
    let inner = Value::Array(vec![text("7"), Value::Nil, text("")]);
    let list = vec![Value::Int(7), Value::Int(-1), Value::Int(70_000), text("id"), inner, Value::Array(vec![])];
    let packed = b"\x96\x07\xff\xce\x00\x01\x11\x70\xa2id\x93\xa17\xc2\xa0\x90";
    assert_eq!(unpacked(Value::BulkString(packed.to_vec())), Ok(list.clone()));
    assert_eq!(unpacked(Value::Array(list.clone())), Ok(list));
    // Cut off, with a length that there is not, a text alone, and no list at all.
    for other in [&packed[..9], b"\xdd\xff\xff\xff\xff", b"\xa2id", b""] {
        let other = Value::BulkString(other.to_vec());
        assert_eq!(unpacked(other.clone()), Err(other));
    }
    assert_eq!(unpacked(Value::Int(1)), Err(Value::Int(1)));
}

/// Some managed services refuse a script that declares none, and a cluster would not know where to send it.
#[test]
fn what_asks_for_rights_declares_a_key() {
    let call = super::rights_to_write(b"{User}:t:0");
    assert_eq!(super::key_of(&call), b"{User}:t:0");
    let arguments: Vec<_> = call.args_iter().collect();
    assert!(matches!(arguments[..3], [redis::Arg::Simple(b"EVAL"), _, redis::Arg::Simple(b"1")]));
}
