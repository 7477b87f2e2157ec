//! The guide is whole: its table of contents names every chapter, the tests run every chapter's
//! code, and links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const CODE: &str = include_str!("../../src/guide.rs");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chapters() -> BTreeSet<String> {
    let files = fs::read_dir(repository().join("docs/src")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

/// The text outside of blocks of code.
fn prose(text: &str) -> String {
    let parts = text.split("```").enumerate();
    parts.filter(|(at, _)| at % 2 == 0).map(|(_, part)| part).collect()
}

/// What the links of a text lead to.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let links = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    links.map(|(link, _)| link.to_owned()).collect()
}

/// The name of a heading in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_table_of_contents_names_every_chapter_and_nothing_else() {
    let summary = fs::read_to_string(repository().join("docs/src/SUMMARY.md")).unwrap();
    assert_eq!(links(&summary).into_iter().collect::<BTreeSet<_>>(), chapters());
}

#[test]
fn the_code_of_every_chapter_is_tested() {
    for chapter in chapters() {
        assert!(CODE.contains(&format!("docs/src/{chapter}\"")), "{chapter} is not in tests/src/guide.rs");
        let text = fs::read_to_string(repository().join("docs/src").join(&chapter)).unwrap();
        for fence in text.lines().filter(|line| line.starts_with("```rust")) {
            assert!(!fence.contains("ignore"), "{chapter}: {fence}");
        }
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut files: Vec<String> = chapters().into_iter().map(|name| format!("docs/src/{name}")).collect();
    files.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/src/SUMMARY.md"].map(str::to_owned));
    for file in files {
        let path = repository().join(&file);
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.clone() } else { path.with_file_name(target) };
            assert!(target.exists(), "{file}: {link}");
            if !heading.is_empty() {
                let target = prose(&fs::read_to_string(&target).unwrap());
                let headings = target.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == heading);
                assert!(found, "{file}: {link}");
            }
        }
    }
}
