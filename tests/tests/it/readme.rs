//! What the README says to paste compiles in an empty project.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace, which the project takes the library and the versions of all crates from.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The first block of code whose fence begins so.
fn block<'a>(text: &'a str, fence: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n```{fence}")).unwrap_or_else(|| panic!("no block of {fence}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n```").unwrap().0
}

/// The dependency lines, with the library taken from this repository.
fn dependencies(lines: &str) -> String {
    let library = format!("path = \"{}\"", repository().join("subconscious").display());
    let lines = lines.lines().map(|line| match line.strip_prefix("subconscious = { ") {
        Some(rest) => {
            let (_, others) =
                rest.split_once("\", ").unwrap_or_else(|| panic!("a path or a version, then features: {line}"));
            format!("subconscious = {{ {library}, {others}\n")
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Compiles a program in a project that has these dependencies alone; an error is what cargo says.
fn check(dependencies: &str, program: &str) -> Result<(), String> {
    // Always the same folder, as cargo keeps what it compiled for each path of a project for ever.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let project = folder.join("project");
    let manifest = "[package]\nname = \"pasted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n";
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("Cargo.toml"), format!("{manifest}{dependencies}")).unwrap();
    fs::write(project.join("src/main.rs"), program).unwrap();
    // The same versions as here, so that no registry is asked.
    fs::copy(repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["check", "--offline", "--quiet", "--color", "never"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_example_compiles_with_the_dependencies_that_are_named_and_needs_each() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (lines, program) = (block(&readme, "toml"), block(&readme, "rust"));
    let dependencies = dependencies(lines);
    if let Err(said) = check(&dependencies, program) {
        panic!("{said}");
    }
    for crate_name in ["chrono", "tokio", "uuid"] {
        let line = dependencies.lines().find(|line| line.starts_with(&format!("{crate_name} = "))).unwrap();
        let said = check(&dependencies.replace(line, ""), program).expect_err(crate_name);
        assert!(said.contains(crate_name), "without {crate_name}: {said}");
    }
}
