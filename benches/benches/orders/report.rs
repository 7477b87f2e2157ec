//! The numbers as markdown, which reads well in a terminal too, and as JSON.

use std::fmt::Write as _;

use benches::{Measured, Run, SLOW, number, whole};
use serde_json::{Value, json};

pub(crate) struct Report {
    run: Run,
    rounds: usize,
    pub(crate) note: String,
    /// Names of the sides and what their servers are.
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) sizes: Vec<Size>,
}

pub(crate) struct Size {
    pub(crate) records: u64,
    /// Bytes a record, by side.
    pub(crate) memory: Vec<f64>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    /// How many orders a question's filter matches, if there is one.
    pub(crate) matches: Option<u64>,
    pub(crate) sides: Vec<Measured>,
    /// Slow calls on our server, and the longest in microseconds.
    pub(crate) slow: Option<(u64, u64)>,
}

/// With two digits, however small: some answers by hand are a thousand times as fast.
fn ratio(value: f64) -> String {
    if value > 0.0 && value < 0.1 {
        let places = (-value.log10()).ceil() as usize + 1;
        return format!("{value:.places$}");
    }
    number(value)
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { run: Run::of("orders"), rounds, note: String::new(), versions: vec![], sizes: vec![] }
    }

    /// Where ours is, if it takes part.
    fn ours(&self) -> Option<usize> {
        self.versions.iter().position(|(name, _)| name == "ours")
    }

    fn names(&self) -> Vec<&str> {
        self.versions.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let versions: Vec<String> = self.versions.iter().map(|(side, version)| format!("{side}: {version}")).collect();
        let _ = writeln!(
            text,
            "# Everyday questions to an order table\n\n\
             The same questions are asked of this library, of redis-rs with indexes by hand for exactly these questions, and of RediSearch, \
             each in the fastest form that gives the right answer.\n\n\
             `{}`\n\n{}; {}; {}; load before {}; {}",
            self.run.command,
            self.run.machine,
            self.note,
            self.run.date,
            self.run.load,
            versions.join(", ")
        );
        for size in &self.sizes {
            self.table(&mut text, size);
        }
        if let [first, .., last] = self.sizes.as_slice() {
            self.growth(&mut text, first, last);
        }
        text
    }

    fn table(&self, text: &mut String, size: &Size) {
        let (names, ours) = (self.names(), self.ours());
        let columns = |cell: &dyn Fn(&str) -> String| names.iter().map(|name| cell(name)).collect::<String>();
        let all = names.join(" / ");
        let _ = writeln!(
            text,
            "\n## {} records\n\n\
             `matches` is how many orders the filter of a question matches (the median of the questions). Then come operations a second, the \
             median of {} rounds (for `bulk save`, records a second, the median of the tenths of the data), in brackets how many times as fast \
             ours is; a dash is a side without a right answer. `server us` is the processor time that the server took for all of a \
             round, divided by the operations (the median of the rounds). `trips` is how often our server read a request for an operation, `slow` how many of its calls \
             took more than {} ms by the clock, in all rounds and the check before them, and the longest in ms.\n",
            whole(size.records as f64),
            self.rounds,
            SLOW / 1_000
        );
        let _ = writeln!(
            text,
            "| question | matches |{} server us: {all} | trips | slow |",
            columns(&|name| format!(" {name} |"))
        );
        let _ = writeln!(text, "| --- | ---: |{} ---: | ---: | ---: |", columns(&|_| " ---: |".into()));
        for row in &size.rows {
            let matches = row.matches.map(|matches| whole(matches as f64));
            let _ = write!(text, "| {} | {} |", row.name, matches.unwrap_or_default());
            for (at, side) in row.sides.iter().enumerate() {
                let ratio = ours
                    .filter(|ours| *ours != at && side.form.is_some())
                    .map(|ours| format!(" ({}x)", ratio(row.sides[ours].rate() / side.rate())));
                let _ = write!(text, " {}{} |", number(side.rate()), ratio.unwrap_or_default());
            }
            let cpu: Vec<String> = row.sides.iter().map(|side| number(side.server_us)).collect();
            let trips = ours.map_or(f64::NAN, |ours| row.sides[ours].reads);
            let slow = match row.slow {
                None => "-".into(),
                Some((0, _)) => "0".into(),
                Some((count, longest)) => format!("{} ({})", whole(count as f64), number(longest as f64 / 1_000.0)),
            };
            let _ = writeln!(text, " {} | {} | {slow} |", cpu.join(" / "), number(trips));
        }
        let memory: Vec<String> = size.memory.iter().map(|bytes| number(*bytes)).collect();
        let _ = writeln!(text, "\nBytes a record: {} ({all}).\n", memory.join(" / "));
        let _ = writeln!(text, "| question |{}", columns(&|name| format!(" {name} |")));
        let _ = writeln!(text, "| --- |{}", columns(&|_| " --- |".into()));
        for row in &size.rows {
            let forms = row.sides.iter().map(|side| format!(" {} |", side.form.as_deref().unwrap_or("-")));
            let _ = writeln!(text, "| {} |{}", row.name, forms.collect::<String>());
        }
    }

    /// How much slower each side became from the first size to the last.
    fn growth(&self, text: &mut String, first: &Size, last: &Size) {
        let (from, to) = (whole(first.records as f64), whole(last.records as f64));
        let _ = writeln!(
            text,
            "\n## From {from} to {to} records\n\n\
             How many times as long an operation takes with the last size as with the first. `server us` is ours, before and after, and `trips` too.\n"
        );
        let names = self.names();
        let columns = |cell: &dyn Fn(&str) -> String| names.iter().map(|name| cell(name)).collect::<String>();
        let _ = writeln!(text, "| question | matches |{} server us | trips |", columns(&|name| format!(" {name} |")));
        let _ = writeln!(text, "| --- | ---: |{} ---: | ---: |", columns(&|_| " ---: |".into()));
        for (before, after) in first.rows.iter().zip(&last.rows) {
            let matches = |row: &Row| row.matches.map(|matches| whole(matches as f64));
            let matches = matches(before).zip(matches(after)).map(|(before, after)| format!("{before} / {after}"));
            let _ = write!(text, "| {} | {} |", after.name, matches.unwrap_or_default());
            for (before, after) in before.sides.iter().zip(&after.sides) {
                let _ = write!(text, " {} |", number(before.rate() / after.rate()));
            }
            let pair = |value: fn(&Measured) -> f64| {
                self.ours().map_or("-".into(), |ours| {
                    format!("{} / {}", number(value(&before.sides[ours])), number(value(&after.sides[ours])))
                })
            };
            let _ = writeln!(text, " {} | {} |", pair(|side| side.server_us), pair(|side| side.reads));
        }
    }

    pub(crate) fn json(&self) -> String {
        let sizes = self.sizes.iter().map(|size| self.size(size)).collect();
        self.run.json(&self.note, self.rounds, &self.versions, sizes)
    }

    fn size(&self, size: &Size) -> Value {
        let names = || self.versions.iter().map(|(side, _)| side.clone());
        let row = |row: &Row| {
            json!({
                "name": row.name, "matches": row.matches,
                "sides": names().zip(row.sides.iter().map(Measured::json)).collect::<Value>(),
                "slow_calls_of_ours": row.slow.map(|(count, longest)| json!({ "count": count, "longest_us": longest })),
            })
        };
        json!({
            "records": size.records,
            "bytes_a_record": names().zip(size.memory.iter().map(|bytes| json!(bytes))).collect::<Value>(),
            "questions": size.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
