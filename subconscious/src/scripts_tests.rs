use std::path::Path;

use super::{DELETE, QUERY, SAVE, SAVE_MANY};

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
    for script in [&SAVE, &SAVE_MANY, &DELETE, &QUERY, &super::PATCH, &super::REAP, &super::BUILD, &super::CHECK_ROWS] {
        assert!(!script.text.contains("-- include "), "{}", script.text);
    }
}

#[test]
fn scripts_have_hashes_of_their_own() {
    assert_ne!(SAVE.hash, DELETE.hash);
    assert_ne!(SAVE.hash, QUERY.hash);
    assert_eq!(SAVE.hash.len(), 40);
}
