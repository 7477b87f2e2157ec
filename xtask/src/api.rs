//! Compares the public interface of the library with the file that lists it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::say;

const FILE: &str = "subconscious/public-api.txt";

/// Lists the interface anew, and compares it with [`FILE`] or writes it there.
pub(crate) fn run(write: bool) -> Result<(), String> {
    let folder = Path::new("target/public-api");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // rustdoc's JSON is not stable: it may be had from a stable compiler if one says so.
    let done = Command::new(cargo)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["rustdoc", "--quiet", "--package", "subconscious", "--lib", "--all-features", "--target-dir"])
        .arg(folder)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .status()
        .map_err(|error| format!("cargo can't be run: {error}"))?;
    if !done.success() {
        return Err("rustdoc failed".into());
    }
    let listed = public_api::Builder::from_rustdoc_json(folder.join("doc/subconscious.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| format!("{error}; a newer compiler may need a newer `public-api` in xtask/Cargo.toml"))?;
    let listed = format!("{listed}");
    if write {
        return fs::write(FILE, listed).map_err(|error| format!("{FILE}: {error}"));
    }
    let known = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (known, listed) = (lines(&known), lines(&listed));
    for line in known.iter().filter(|line| !listed.contains(line)) {
        say(&format!("- {line}"));
    }
    for line in listed.iter().filter(|line| !known.contains(line)) {
        say(&format!("+ {line}"));
    }
    if known == listed {
        say("the public interface is as listed");
        return Ok(());
    }
    Err(format!("the public interface is not as {FILE} lists it; if that is meant: cargo xtask public-api --write"))
}
