//! The pastebin beside two other ways to build it: by hand, with the same pages on plain keys, and
//! its Python original.
//!
//! `cargo bench -p benches --bench pastebin -- [--records 1000,100000,1000000] [--rounds 3]
//! [--seconds 5] [--cores 0] [--only part of a page's name] [--markdown FILE]`
//!
//! It builds the pastebin, and fetches into the target folder what it lacks: `wrk`, which asks for
//! the pages, and a virtual environment of Python with what the original needs. The programs'
//! processes are pinned by `taskset`.

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

mod by_hand;
mod contender;
mod data;
mod http;
#[path = "../../../examples/pastebin/src/layers.rs"]
mod layers;
mod original;
mod pages;
// The program's own schema, of which not all is used here.
#[allow(dead_code)]
#[path = "../../../examples/pastebin/src/paste.rs"]
mod paste;
mod program;
mod report;
#[path = "../../../examples/pastebin/src/serve.rs"]
mod serve;
// As of the schema, not all is used.
#[allow(dead_code)]
#[path = "../../../examples/pastebin/src/view.rs"]
mod view;
mod wrk;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Run;
use clap::Parser;
use tokio::runtime;

use crate::contender::{Contender, Side};
use crate::original::Original;
use crate::report::{Report, Row};
use crate::wrk::Wrk;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "pastebin", about = "The pastebin beside other ways to build it")]
struct Arguments {
    /// Numbers of pastes, which grow.
    #[arg(long, value_delimiter = ',', default_value = "1000,100000,1000000")]
    records: Vec<u64>,
    /// The original takes part up to so many: its first page sorts all of them.
    #[arg(long, default_value_t = 100_000)]
    python_up_to: u64,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Of a round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Those of the web servers, as `taskset` takes them. Redis is on core 0, and wrk on core 1.
    #[arg(long, default_value = "0")]
    cores: String,
    /// Only pages with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Serves the pages by hand from this database.
    #[arg(long, hide = true)]
    by_hand: Option<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    One,
    Home,
    List,
    Rust,
}

impl Page {
    const ALL: [Self; 4] = [Self::One, Self::Home, Self::List, Self::Rust];

    fn name(self) -> &'static str {
        match self {
            Self::One => "one paste",
            Self::Home => "home, the newest",
            Self::List => "list",
            Self::Rust => "list of a language",
        }
    }
}

/// The target folder that this program is in.
fn target() -> Outcome<PathBuf> {
    let binary = std::env::current_exe()?;
    Ok(binary.ancestors().nth(3).ok_or("not in a target folder")?.into())
}

/// Where to keep what is fetched.
fn folder() -> Outcome<PathBuf> {
    Ok(target()?.join("pastebin-bench"))
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    match &arguments.by_hand {
        // A runtime as that of the pastebin.
        Some(url) => runtime::Builder::new_multi_thread().enable_all().build()?.block_on(by_hand::serve(url)),
        None => runtime::Builder::new_current_thread().enable_all().build()?.block_on(compare(&arguments)),
    }
}

async fn compare(arguments: &Arguments) -> Outcome<()> {
    let run = Run::of("pastebin");
    let wrk = Wrk::find()?;
    let original = Original::prepare()?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "pastebin", "--target-dir"])
        .arg(target()?)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !built.success() {
        return Err("the pastebin can't be built".into());
    }
    let mut sides = Vec::new();
    for side in Side::ALL {
        sides.push(Contender::start(side, Some(&original), &arguments.cores).await?);
    }
    let mut versions = vec![sides[0].version.clone(), original.version.clone(), format!("wrk {}", wrk.version)];
    versions.dedup();
    let mut report = Report {
        run,
        cores: format!("web servers on core {}, Redis on core 0, wrk on core 1", arguments.cores),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        versions,
        rows: vec![],
    };
    for records in &arguments.records {
        sides.retain(|side| side.side != Side::Original || *records <= arguments.python_up_to);
        for side in &mut sides {
            eprintln!("{records} pastes: filling {}", side.side.name());
            side.fill(*records).await?;
        }
        check(&sides, *records)?;
        for page in Page::ALL.into_iter().filter(|page| page.name().contains(&arguments.only)) {
            eprintln!("{records} pastes: {}", page.name());
            let mut row = Row { page, records: *records, samples: vec![] };
            for _ in 0..arguments.rounds {
                for side in &mut sides {
                    let Some(path) = side.side.path(page) else { continue };
                    let sample = side.sample(&wrk, &path, arguments.seconds).await?;
                    match row.samples.iter_mut().find(|(of, _)| *of == side.side) {
                        Some((_, samples)) => samples.push(sample),
                        None => row.samples.push((side.side, vec![sample])),
                    }
                }
            }
            report.rows.push(row);
        }
        // What there is so far, should the next size not come to an end.
        if let Some(path) = &arguments.markdown {
            // A benchmark runs in its package's folder, who calls it is in the workspace's.
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            std::fs::write(&path, report.markdown()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    println!("{}", report.markdown());
    Ok(())
}

/// Whether all show what they should, and ours and that by hand the same.
fn check(sides: &[Contender], records: u64) -> Outcome<()> {
    for page in [Page::One, Page::Home] {
        let mut same = None;
        for Contender { side, program, .. } in sides {
            let Some(path) = side.path(page) else { continue };
            let answer = http::get(&program.address, &path)?;
            let newest = if *side == Side::Original { 5 } else { 10 };
            let shown = match page {
                Page::One => vec![data::title(data::ONE)],
                _ => (records.saturating_sub(newest)..records).rev().map(data::title).collect(),
            };
            let mut rest = answer.body.as_str();
            for title in shown {
                // Their escapes of an ampersand differ.
                let (title, _) = title.split_once(" & ").ok_or("a title as no other")?;
                rest = rest.split_once(title).ok_or_else(|| format!("{}: no {title} in {path}", side.name()))?.1;
            }
            if *side == Side::Original {
                continue;
            }
            match &same {
                None => same = Some(answer),
                Some(same) if *same == answer => {}
                Some(same) => return Err(format!("{path}: {}", same.difference(&answer)).into()),
            }
        }
    }
    Ok(())
}
