//! The library beside what else one could do: plain commands by hand, Lua by hand, and RediSearch.
//! All on the same data, with answers checked against a plain `Vec` before anything is measured.
//!
//! `cargo bench -p benches --bench versus -- [--records 100000,1000000] [--rounds 7] [--only part
//! of a workload's name] [--sides ours,plain,lua,redisearch] [--json FILE] [--svg FILE] [--markdown
//! FILE]`
//!
//! Each side has a server process of its own, and only one is busy at a time. A side that could go
//! about a workload in several ways is measured in the fastest one whose answers are right, and has
//! a dash if none are. RediSearch takes part if `SUBCONSCIOUS_SEARCH_SERVER` is the path of a
//! server that has it.

// A benchmark that can't go on stops.
#![allow(clippy::unwrap_used)]

mod chart;
mod contender;
mod data;
mod lua;
mod ours;
mod plain;
mod report;
mod search;

use std::path::{Path, PathBuf};

use benches::{Asked, Measured};
use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::contender::Contender;
use crate::data::{Task, Title, User, Workload, title, user};
use crate::report::{Report, Row, Size};

#[derive(Debug, Parser)]
#[command(name = "versus", about = "The library beside code by hand and RediSearch")]
struct Arguments {
    /// Sizes, each measured from an empty server on.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    records: Vec<u64>,
    /// How often each side is measured, in turns.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only workloads with this in their name.
    #[arg(long, default_value = "")]
    only: String,
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = SIDES.map(String::from), value_parser = PossibleValuesParser::new(SIDES))]
    sides: Vec<String>,
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long)]
    svg: Option<PathBuf>,
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

const SIDES: [&str; 4] = ["ours", "plain", "lua", "redisearch"];
/// A workload of one filling is measured in so many parts.
const PARTS: u64 = 10;

/// Fills all servers in turns, a part at a time. The operation is the saving of one record.
async fn fill(sides: &mut [Contender], records: u64) -> (Row, Vec<f64>) {
    let mut samples = vec![Vec::new(); sides.len()];
    let mut memory = Vec::new();
    for side in sides.iter() {
        memory.push(side.measured.number("memory", "used_memory:").await);
    }
    for part in 0..PARTS {
        let (from, to) = (records * part / PARTS, records * (part + 1) / PARTS);
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let save = async || {
                for first in (from..to).step_by(1_000) {
                    let users = (first..to.min(first + 1_000)).map(|at| user(at, records)).collect();
                    side.side.save_many(users).await.unwrap();
                }
                (to - from, to - from)
            };
            samples.push(side.measured.sample(save).await);
            side.saved = to;
        }
    }
    for (side, memory) in sides.iter().zip(&mut memory) {
        *memory = (side.measured.number("memory", "used_memory:").await - *memory) / records as f64;
    }
    let sides = samples.iter().map(|samples| Measured::of(samples, true, Some("batches of 1,000"), vec![])).collect();
    (Row { name: "bulk save".into(), rows: true, matches: None, sides, slow: None }, memory)
}

/// Saves as many titles as there are users, which nobody measures.
async fn fill_titles(sides: &[Contender], records: u64) {
    for first in (0..records).step_by(1_000) {
        let titles: Vec<Title> = (first..records.min(first + 1_000)).map(title).collect();
        for side in sides {
            side.side.save_titles(titles.clone()).await.unwrap();
        }
    }
}

/// The pings of each side, if any question was measured.
async fn wait(sides: &[Contender], workloads: &[Workload], rows: &[Row]) -> Vec<[f64; 3]> {
    let mut pings = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        let questions: Vec<(&[_], &str)> = workloads
            .iter()
            .filter_map(|workload| {
                let Task::Query(cases) = &workload.task else { return None };
                let row = rows.iter().find(|row| row.name == workload.name)?;
                Some((cases.as_slice(), row.sides[at].form.as_deref()?))
            })
            .collect();
        if !questions.is_empty() {
            pings.push(side.pings(&questions).await);
        }
    }
    pings
}

async fn size(arguments: &Arguments, records: u64, names: &[&'static str]) -> (Size, Vec<(String, String)>, String) {
    let mut sides = Vec::new();
    for name in names {
        sides.extend(Contender::start(name).await);
    }
    assert!(!sides.is_empty(), "no side has a server");
    let note = sides[0].measured.server.note.clone();
    eprintln!("{records} records: filling");
    let (filling, memory) = fill(&mut sides, records).await;
    let mut users: Vec<User> = (0..records).map(|at| user(at, records)).collect();
    users.sort_by_key(|user| user.created_at);
    let mut workloads = data::workloads(&users);
    workloads.retain(|workload| workload.name.contains(&arguments.only));
    drop(users);
    for side in &sides {
        side.measured.note_slow_calls().await;
    }
    let (mut rows, mut pings) = (Vec::new(), Vec::new());
    if filling.name.contains(&arguments.only) {
        rows.push(filling);
    }
    for workload in &workloads {
        // Before the saves, which change the answers.
        if matches!(workload.task, Task::Save(_)) && pings.is_empty() {
            pings = wait(&sides, &workloads, &rows).await;
        }
        if matches!(&workload.task, Task::Query(cases) if cases[0].0.beginning.is_some()) {
            fill_titles(&sides, records).await;
        }
        eprintln!("{records} records: {}", workload.name);
        let mut forms = Vec::new();
        for side in &sides {
            forms.push(match &workload.task {
                Task::Query(cases) => side.best(cases).await,
                Task::Load(_) => (Some(if side.name == "ours" { "load" } else { "HMGET" }), vec![]),
                Task::Save(_) => match side.name {
                    "ours" => (Some("save"), vec![]),
                    "plain" => (Some("pipeline, blind"), vec![]),
                    "lua" => (Some("upsert"), vec![]),
                    _ => (Some("HSET"), vec![]),
                },
            });
            side.measured.slow_calls().await;
        }
        let mut samples = vec![Vec::new(); sides.len()];
        for _ in 0..arguments.rounds {
            for (at, side) in sides.iter_mut().enumerate() {
                if let Some(form) = forms[at].0 {
                    samples[at].push(side.round(&workload.task, form, records).await);
                }
            }
        }
        let slow = match sides.iter().find(|side| side.name == "ours") {
            Some(ours) => Some(ours.measured.slow_calls().await),
            None => None,
        };
        let measured = samples.iter().zip(forms);
        let measured = measured.map(|(samples, (form, notes))| Measured::of(samples, workload.rows, form, notes));
        rows.push(Row {
            name: workload.name.into(),
            rows: workload.rows,
            matches: workload.matches,
            sides: measured.collect(),
            slow,
        });
    }
    if pings.is_empty() {
        pings = wait(&sides, &workloads, &rows).await;
    }
    let versions = sides.iter().map(|side| (side.name.into(), side.measured.version.clone())).collect();
    (Size { records, memory, rows, pings }, versions, note)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let names: Vec<&'static str> =
        SIDES.into_iter().filter(|side| arguments.sides.iter().any(|name| name == side)).collect();
    let mut report = Report::new(arguments.rounds);
    for records in &arguments.records {
        let (size, versions, note) = size(&arguments, *records, &names).await;
        report.versions = versions;
        report.note = note;
        report.sizes.push(size);
        // What there is so far, should the next size not come to an end.
        for (path, text) in [
            (&arguments.json, report.json()),
            (&arguments.markdown, report.markdown()),
            (&arguments.svg, chart::svg(&report)),
        ] {
            if let Some(path) = path {
                // A benchmark runs in its package's folder, who calls it is in the workspace's.
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
                std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
        }
    }
    println!("{}", report.markdown());
    if names.contains(&"redisearch") && std::env::var_os("SUBCONSCIOUS_SEARCH_SERVER").is_none() {
        println!("RediSearch was left out: SUBCONSCIOUS_SEARCH_SERVER does not say where a server with it is.");
    }
}
