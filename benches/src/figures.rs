//! Numbers, and where they come from.

use std::process::Command;

use serde_json::{Value, json};

/// The middle one; not a number of none.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With separators, and of small numbers no more digits than they deserve. A dash for what was not
/// measured.
#[must_use]
pub fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "-".into(),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        _ => whole(value),
    }
}

/// With separators.
#[must_use]
pub fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For how long processors were given to a process so far, in microseconds.
///
/// # Panics
///
/// If there is no such process, or no `/proc`.
#[must_use]
pub fn processor_time(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap_or_else(|error| panic!("process {pid}: {error}"));
    let time = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(time).sum::<f64>() / 1_000.0
}

/// Where, when and by what command a benchmark ran.
#[derive(Debug)]
pub struct Run {
    /// With its arguments.
    pub command: String,
    /// The day, as in `2026-11-21`.
    pub date: String,
    /// The processor and how many cores there are.
    pub machine: String,
    /// Of the machine before the benchmark began: what is not near 0 disturbs it.
    pub load: String,
}

impl Run {
    /// This run, of the benchmark of that name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let model = read("/proc/cpuinfo");
        let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|pair| pair.1);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let date = Command::new("date").args(["-u", "+%F"]).output().map(|output| output.stdout).unwrap_or_default();
        let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let arguments = if words.is_empty() { String::new() } else { format!(" -- {}", words.join(" ")) };
        Self {
            command: format!("cargo bench -p benches --bench {name}{arguments}"),
            date: String::from_utf8_lossy(&date).trim().into(),
            machine: format!("{}, {cores} cores", model.unwrap_or("unknown processor")),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().into(),
        }
    }

    /// What was measured with each size, and how. `servers` has the names of the sides and what
    /// their servers are.
    #[must_use]
    pub fn json(&self, note: &str, rounds: usize, servers: &[(String, String)], sizes: Vec<Value>) -> String {
        let servers: Value = servers.iter().map(|(side, version)| (side.clone(), json!(version))).collect();
        let all = json!({
            "command": self.command, "date": self.date, "machine": self.machine, "note": note, "load_before": self.load,
            "rounds": rounds, "servers": servers, "sizes": sizes,
        });
        format!("{all:#}\n")
    }
}
