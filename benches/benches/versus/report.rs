//! The numbers as markdown, which reads well in a terminal too, and as JSON.

use std::fmt::Write as _;

use benches::{Measured, Run, number, whole};
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
    /// By side.
    pub(crate) pings: Vec<[f64; 3]>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) rows: bool,
    /// How many records a question's filter matches, if there is one.
    pub(crate) matches: Option<u64>,
    pub(crate) sides: Vec<Measured>,
    /// Slow calls on our server, and the longest in microseconds.
    pub(crate) slow: Option<(u64, u64)>,
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { run: Run::of("versus"), rounds, note: String::new(), versions: vec![], sizes: vec![] }
    }

    pub(crate) fn about(&self) -> String {
        format!("{}; {}; {}", self.run.machine, self.note, self.run.date)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let versions: Vec<String> = self.versions.iter().map(|(side, version)| format!("{side}: {version}")).collect();
        let _ = writeln!(
            text,
            "# All measurements of queries\n\n\
             The same questions are asked of this library, of plain commands, of Lua scripts written by hand, and of RediSearch, each in the fastest \
             form that gives the right answer. [The comparison](comparison.md#queries) explains the main figures. The last table of each size says \
             which form that was.\n\n\
             `{}`\n\n{}; load before {}; {}",
            self.run.command,
            self.about(),
            self.run.load,
            versions.join(", ")
        );
        for size in &self.sizes {
            self.table(&mut text, size);
        }
        text
    }

    fn table(&self, text: &mut String, size: &Size) {
        let names: Vec<&str> = self.versions.iter().map(|(side, _)| side.as_str()).collect();
        let columns = |cell: &dyn Fn(&str) -> String| names.iter().map(|name| cell(name)).collect::<String>();
        let _ = writeln!(text, "\n### {} records\n", number(size.records as f64));
        let _ = writeln!(
            text,
            "`matches` is how many records the filter of a question matches (the median of the questions). The next columns are operations a \
             second (rows a second for `all rows` and `bulk save`), the median of {} rounds (for `bulk save`, of the tenths of the data). In \
             brackets is how many times as fast ours is; a dash is a side without a right answer. Then come the processor time of the server \
             for an operation in microseconds (for `bulk save`, for a record), and how often our server read a request for an operation.\n",
            self.rounds
        );
        let cpu = names.join(" / ");
        let _ = writeln!(
            text,
            "| workload | matches |{} server us: {cpu} | reads |",
            columns(&|name| format!(" {name} |"))
        );
        let _ = writeln!(text, "| --- | ---: |{} ---: | ---: |", columns(&|_| " ---: |".into()));
        for row in &size.rows {
            let matches = row.matches.map(|matches| whole(matches as f64));
            let _ = write!(text, "| {} | {} |", row.name, matches.unwrap_or_default());
            for (side, name) in row.sides.iter().zip(&names) {
                let ratio = (names[0] == "ours" && *name != "ours" && side.form.is_some())
                    .then(|| format!(" ({}x)", number(row.sides[0].rate() / side.rate())));
                let _ = write!(text, " {}{} |", number(side.rate()), ratio.unwrap_or_default());
            }
            let cpu: Vec<String> = row.sides.iter().map(|side| number(side.server_us)).collect();
            let _ = writeln!(text, " {} | {} |", cpu.join(" / "), number(row.sides[0].reads));
        }
        let memory: Vec<String> = size.memory.iter().map(|bytes| number(*bytes)).collect();
        let _ = writeln!(text, "\nBytes a record: {} ({cpu}).", memory.join(" / "));
        if !size.pings.is_empty() {
            let pings: Vec<String> =
                size.pings.iter().map(|ping| ping.map(|time| format!("{time:.0}")).join(", ")).collect();
            let _ = writeln!(
                text,
                "\nPING of a second connection while the questions were asked, in microseconds, 50th, 99th and 99.9th percentile: {} ({cpu}).",
                pings.join(" / ")
            );
        }
        let slow = size.rows.iter().filter_map(|row| Some((row, row.slow?)));
        let (count, longest) = slow.clone().fold((0, 0), |sum, (_, slow)| (sum.0 + slow.0, sum.1.max(slow.1)));
        let slow: Vec<String> = slow
            .filter(|(_, slow)| slow.0 > 0)
            .map(|(row, (count, longest))| format!("{}: {count}, {longest} us", row.name))
            .collect();
        let _ = writeln!(
            text,
            "\nCalls that kept our server for more than 2 ms by the clock: {count}, the longest {longest} us. {}",
            slow.join("; ")
        );
        let _ = writeln!(text, "\n| workload |{}", columns(&|name| format!(" {name} |")));
        let _ = writeln!(text, "| --- |{}", columns(&|_| " --- |".into()));
        for row in &size.rows {
            let forms = row.sides.iter().map(|side| format!(" {} |", side.form.as_deref().unwrap_or("-")));
            let _ = writeln!(text, "| {} |{}", row.name, forms.collect::<String>());
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
                "name": row.name, "unit": if row.rows { "rows" } else { "operations" }, "matches": row.matches,
                "sides": names().zip(row.sides.iter().map(Measured::json)).collect::<Value>(),
                "slow_calls_of_ours": row.slow.map(|(count, longest)| json!({ "count": count, "longest_us": longest })),
            })
        };
        json!({
            "records": size.records,
            "bytes_a_record": names().zip(size.memory.iter().map(|bytes| json!(bytes))).collect::<Value>(),
            "ping_us_p50_p99_p999": names().zip(size.pings.iter().map(|ping| json!(ping))).collect::<Value>(),
            "workloads": size.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
