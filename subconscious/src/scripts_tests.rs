use super::{DELETE, QUERY, SAVE};

/// The head of a script, from which a reader learns how to call it.
fn head(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_script_says_what_it_takes_and_returns() {
    for (name, text) in [
        ("save", include_str!("scripts/save.lua")),
        ("save_many", include_str!("scripts/save_many.lua")),
        ("patch", include_str!("scripts/patch.lua")),
        ("reap", include_str!("scripts/reap.lua")),
        ("delete", include_str!("scripts/delete.lua")),
        ("query", include_str!("scripts/query.lua")),
    ] {
        let head = head(text);
        for word in ["KEYS[1]", "ARGV[1]", "Returns", "Includes"] {
            assert!(head.contains(word), "{name}.lua: no {word} in its head");
        }
        // The greatest fixed argument that the code reads is described.
        let fixed = |text: &str| (1..=30).filter(|at| text.contains(&format!("ARGV[{at}]"))).max();
        let body = &text[head.len()..];
        assert!(fixed(&head) >= fixed(body), "{name}.lua reads an argument that its head does not describe");
    }
}

#[test]
fn scripts_have_hashes_of_their_own() {
    assert_ne!(SAVE.hash, DELETE.hash);
    assert_ne!(SAVE.hash, QUERY.hash);
    assert_eq!(SAVE.hash.len(), 40);
}
