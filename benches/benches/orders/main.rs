//! Everyday questions to the order table of a shop: the library beside careful code by hand and
//! RediSearch. All on the same data, with answers checked against a plain `Vec` before anything is
//! measured, and again after the writes.
//!
//! `cargo bench -p benches --bench orders -- [--records 1000,1000000] [--rounds 3] [--only part of
//! a name] [--sides ours,hand,redisearch] [--time growing|scattered] [--json FILE] [--markdown
//! FILE]`
//!
//! Each side has a server process of its own, and only one is busy at a time. A side that could
//! answer a question in several ways is measured in the fastest one whose answers are right, and
//! has a dash if none are. RediSearch takes part if `SUBCONSCIOUS_SEARCH_SERVER` is the path of a
//! server that has it. The orders are described in `data.rs`, the code by hand in `hand.rs`.

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

mod contender;
mod data;
mod hand;
mod ours;
mod questions;
mod report;
mod search;

use std::path::{Path, PathBuf};

use benches::{Asked, Measured};
use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::contender::Contender;
use crate::data::{Shop, StatusChanges, Time};
use crate::questions::Task;
use crate::report::{Report, Row, Size};

#[derive(Debug, Parser)]
#[command(name = "orders", about = "Everyday questions to an order table, beside code by hand and RediSearch")]
struct Arguments {
    /// Sizes, each measured from an empty server on.
    #[arg(long, value_delimiter = ',', default_value = "1000,1000000", value_parser = clap::value_parser!(u64).range(1_000..))]
    records: Vec<u64>,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only questions with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = SIDES.map(String::from), value_parser = PossibleValuesParser::new(SIDES))]
    sides: Vec<String>,
    /// Whether creation times grow with the ids.
    #[arg(long, default_value = "growing")]
    time: Time,
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

const SIDES: [&str; 3] = ["ours", "hand", "redisearch"];
const FILLING: &str = "bulk save";
/// The filling is measured in so many parts.
const PARTS: u64 = 10;

/// Fills all servers in turns, a part at a time: what that cost, and the bytes a record.
async fn fill(sides: &mut [Contender], shop: Shop) -> (Row, Vec<f64>) {
    let mut samples = vec![Vec::new(); sides.len()];
    let mut memory = Vec::new();
    for side in sides.iter() {
        memory.push(side.measured.number("memory", "used_memory:").await);
    }
    for part in 1..=PARTS {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            samples.push(side.fill(shop, shop.records * part / PARTS).await);
        }
    }
    for (side, memory) in sides.iter().zip(&mut memory) {
        *memory = (side.measured.number("memory", "used_memory:").await - *memory) / shop.records as f64;
    }
    let measured = samples.iter().map(|samples| Measured::of(samples, true, Some("batches of 1,000"), vec![]));
    (Row { name: FILLING.into(), matches: None, sides: measured.collect(), slow: slow(sides).await }, memory)
}

/// The slow calls of our server since the last time.
async fn slow(sides: &[Contender]) -> Option<(u64, u64)> {
    match sides.iter().find(|side| side.name == "ours") {
        Some(ours) => Some(ours.measured.slow_calls().await),
        None => None,
    }
}

async fn size(arguments: &Arguments, shop: Shop, sides: &mut [Contender]) -> Size {
    let records = shop.records;
    for side in sides.iter() {
        side.measured.note_slow_calls().await;
    }
    eprintln!("{records} records: filling");
    let (filling, memory) = fill(sides, shop).await;
    let orders = shop.orders(0..records);
    let changes = StatusChanges::of(&orders);
    let mut workloads = questions::workloads(shop, &orders);
    workloads.retain(|workload| workload.name.contains(&arguments.only));
    drop(orders);
    let mut rows = Vec::new();
    for workload in &workloads {
        eprintln!("{records} records: {}", workload.name);
        let mut forms = Vec::new();
        for side in sides.iter() {
            forms.push(match &workload.task {
                Task::Query(cases) => side.best(cases).await,
                task => (Some(side.writing(task)), vec![]),
            });
        }
        let mut samples = vec![Vec::new(); sides.len()];
        for _ in 0..arguments.rounds {
            for (at, side) in sides.iter_mut().enumerate() {
                if let Some(form) = forms[at].0 {
                    samples[at].push(side.round(&workload.task, form, shop, &changes).await);
                }
            }
        }
        let measured = samples.iter().zip(forms);
        let measured = measured.map(|(samples, (form, notes))| Measured::of(samples, false, form, notes));
        rows.push(Row {
            name: workload.name.into(),
            matches: workload.matches,
            sides: measured.collect(),
            slow: slow(sides).await,
        });
    }
    if FILLING.contains(&arguments.only) {
        rows.push(filling);
    }
    eprintln!("{records} records: checking what the writes left");
    for side in sides.iter() {
        side.check_writes(shop, &changes, &workloads).await;
    }
    Size { records, memory, rows }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.rounds);
    for records in &arguments.records {
        let mut sides = Vec::new();
        for name in SIDES.into_iter().filter(|side| arguments.sides.iter().any(|name| name == side)) {
            sides.extend(Contender::start(name).await);
        }
        assert!(!sides.is_empty(), "no side has a server");
        report.note.clone_from(&sides[0].measured.server.note);
        report.versions = sides.iter().map(|side| (side.name.into(), side.measured.version.clone())).collect();
        let shop = Shop { records: *records, time: arguments.time };
        report.sizes.push(size(&arguments, shop, &mut sides).await);
        // What there is so far, should the next size not come to an end.
        for (path, text) in [(&arguments.json, report.json()), (&arguments.markdown, report.markdown())] {
            if let Some(path) = path {
                // A benchmark runs in its package's folder, who calls it is in the workspace's.
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
                std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
    println!("{}", report.markdown());
    if arguments.sides.iter().any(|side| side == "redisearch")
        && report.versions.iter().all(|(name, _)| name != "redisearch")
    {
        println!("RediSearch was left out: SUBCONSCIOUS_SEARCH_SERVER does not say where a server with it is.");
    }
}
