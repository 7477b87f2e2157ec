//! The numbers as markdown, which reads well in a terminal too.

use std::fmt::Write as _;

use benches::{Run, number, whole};

use crate::Page;
use crate::contender::{Sample, Side, middle};

pub(crate) struct Report {
    pub(crate) run: Run,
    /// What ran on which cores.
    pub(crate) cores: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Of all that took part.
    pub(crate) versions: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) page: Page,
    pub(crate) records: u64,
    /// By side.
    pub(crate) samples: Vec<(Side, Vec<Sample>)>,
}

impl Row {
    fn of(&self, side: Side) -> Option<&[Sample]> {
        self.samples.iter().find(|(of, _)| *of == side).map(|(_, samples)| samples.as_slice())
    }

    fn figure(&self, side: Side, figure: impl Fn(&Sample) -> f64) -> f64 {
        self.of(side).map_or(f64::NAN, |samples| middle(samples, figure))
    }
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let Run { command, date, machine, load } = &self.run;
        let _ = writeln!(
            text,
            "# The pastebin beside other ways to build it\n\n`{command}`\n\n{machine}; {}; {date}; load before {load}; {}\n\n\
             Five connections (`wrk -t1 -c5`) ask the [pastebin](../../examples/pastebin/src) for pages, and two other programs with the same \
             pastes, each with a title and a text of 1 KiB. *By hand* is the same web server with the same pages, but with redis-rs on plain keys: a \
             hash for each paste and one sorted set. Before anything is measured, its answers are compared with those of the pastebin, headers and \
             bodies, byte for byte. It has no list of all pastes, no filters and no expiry. *Python* is the demo of the Python mapper where the idea of \
             this library comes from, with plainer pages, and with five pastes on its first page instead of ten.\n\n\
             All three have the same cores, and each has a Redis of its own over a unix socket. Only one of them is busy at a time, so the processor \
             time of its web server and its Redis decides. Tokio starts a worker for each core that it is given, as by default (`TOKIO_WORKER_THREADS` \
             changes that). With `--cores 0,1` the web servers have both cores; the Python one is a single process and can use one.\n\n\
             The table has requests a second, the median of {} rounds of {} seconds in turns, and in brackets how many times as fast ours is. The last \
             column is the time within which 99 of 100 requests were answered. If a page takes more than a tenth of a round, each connection asks for \
             it once, and the column is the longest time. The list pages also count the pastes of each language and of each author; the others do \
             not have them.\n",
            self.cores,
            self.versions.join(", "),
            self.rounds,
            self.seconds,
        );
        let _ = writeln!(text, "| page | pastes | ours | by hand | Python | ms, 99 %: ours / by hand / Python |");
        let _ = writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: |");
        for row in &self.rows {
            let ours = row.figure(Side::Ours, |sample| sample.rate);
            let cell = |side| {
                let rate = row.figure(side, |sample| sample.rate);
                let ratio = ours / rate;
                if ratio.is_nan() { number(rate) } else { format!("{} ({}x)", number(rate), number(ratio)) }
            };
            let times = Side::ALL.map(|side| number(row.figure(side, |sample| sample.p99 / 1_000.0))).join(" / ");
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {times} |",
                row.page.name(),
                whole(row.records as f64),
                number(ours),
                cell(Side::ByHand),
                cell(Side::Original),
            );
        }
        let _ = writeln!(
            text,
            "\nThis is what a request takes: processor time of the web server and of Redis in microseconds; how often Redis read from its \
             connections, which is less than the round trips if requests share a read; and the commands that it ran, also those in scripts.\n"
        );
        let _ = writeln!(text, "| page | pastes | side | web server, us | Redis, us | reads | commands |");
        let _ = writeln!(text, "| --- | ---: | --- | ---: | ---: | ---: | --- |");
        for row in &self.rows {
            for (side, samples) in &row.samples {
                let figure = |figure: fn(&Sample) -> f64| number(middle(samples, figure));
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    row.page.name(),
                    whole(row.records as f64),
                    side.name(),
                    figure(|sample| sample.program),
                    figure(|sample| sample.redis),
                    figure(|sample| sample.reads),
                    commands(&samples[samples.len() - 1]),
                );
            }
        }
        text
    }
}

fn commands(sample: &Sample) -> String {
    let mut calls: Vec<(&str, f64)> = sample.commands.iter().map(|(name, calls)| (name.as_str(), *calls)).collect();
    calls.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let calls: Vec<String> = calls.iter().map(|(name, calls)| format!("{} {name}", number(*calls))).collect();
    calls.join(", ")
}
