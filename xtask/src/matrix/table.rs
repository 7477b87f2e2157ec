//! What the tests said, as a table.

use std::fmt::Write;

/// The numbers of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) passed: u32,
    pub(super) failed: u32,
    /// As the runner writes them.
    pub(super) seconds: String,
}

impl Tests {
    pub(super) fn is_good(&self) -> bool {
        self.failed == 0
    }
}

/// A server, and either its exact version and the runs or why there are none.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) outcome: Result<(String, [Result<Tests, String>; 3]), String>,
}

impl Row {
    /// Whether no test failed on it; none does on one that is not here.
    pub(super) fn is_good(&self) -> bool {
        match &self.outcome {
            Ok((_, runs)) => runs.iter().all(|run| run.as_ref().is_ok_and(Tests::is_good)),
            Err(_) => true,
        }
    }
}

/// The numbers in a test runner's closing line.
pub(super) fn tests(said: &str) -> Option<Tests> {
    // "test result: ok. 151 passed; 0 failed; 1 ignored; 0 measured; 8 filtered out; finished in
    // 85.12s"
    let line = said.lines().rev().find_map(|line| line.strip_prefix("test result: "))?;
    let (_, numbers) = line.split_once(". ")?;
    let number = |name: &str| numbers.split("; ").find_map(|part| part.strip_suffix(name)?.trim().parse().ok());
    let seconds = numbers.rsplit_once("finished in ")?.1.trim().trim_end_matches('s');
    let whole = seconds.split('.').next().unwrap_or(seconds);
    Some(Tests { passed: number("passed")?, failed: number("failed")?, seconds: whole.to_owned() })
}

/// The names of the tests that failed.
pub(super) fn failed(said: &str) -> Vec<&str> {
    // The runner lists them last, after all that they said.
    let Some((_, list)) = said.rsplit_once("\nfailures:\n") else { return Vec::new() };
    list.lines().map_while(|line| line.strip_prefix("    ")).collect()
}

/// The table as markdown.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut table = String::from(
        "| server | version | RESP2: passed / failed | seconds | RESP3: passed / failed | seconds | cluster: passed / failed | seconds |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Row { name, outcome } in rows {
        let written = match outcome {
            Ok((version, runs)) => {
                writeln!(table, "| {name} | {version} | {} |", runs.each_ref().map(cells).join(" | "))
            }
            // A bar would begin another cell.
            Err(reason) => writeln!(table, "| {name} | not run: {} | | | | | | |", reason.replace('|', "/")),
        };
        // A text takes all that is written.
        debug_assert!(written.is_ok());
    }
    table
}

fn cells(run: &Result<Tests, String>) -> String {
    match run {
        Ok(Tests { passed, failed, seconds }) => format!("{passed} / {failed} | {seconds}"),
        Err(reason) => format!("{} | ", reason.replace('|', "/")),
    }
}

/// A text with another one between its marks.
pub(super) fn between_marks(text: &str, new: &str) -> Result<String, String> {
    const MARKS: [&str; 2] = ["<!-- matrix -->", "<!-- /matrix -->"];
    let parts = text.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let (before, after) = parts.ok_or_else(|| format!("there is no {} with {} after it", MARKS[0], MARKS[1]))?;
    Ok(format!("{before}{}\n{}\n{}{after}", MARKS[0], new.trim(), MARKS[1]))
}

#[cfg(test)]
mod test {
    use super::*;

    const GOOD: &str =
        "test result: ok. 151 passed; 0 failed; 1 ignored; 0 measured; 8 filtered out; finished in 85.12s";
    const BAD: &str = "\nfailures:\n\n---- a::b stdout ----\nno\n\nfailures:\n    a::b\n    c::d\n\n\
        test result: FAILED. 149 passed; 2 failed; 1 ignored; 0 measured; 8 filtered out; finished in 7.00s\n";

    #[test]
    fn the_closing_line_is_read() {
        let good = Tests { passed: 151, failed: 0, seconds: "85".to_owned() };
        assert_eq!(tests(&format!("running 152 tests\n{GOOD}\n\n")), Some(good));
        let bad = tests(BAD).unwrap();
        assert_eq!((bad.passed, bad.failed, bad.is_good()), (149, 2, false));
        assert_eq!(failed(BAD), ["a::b", "c::d"]);
        assert_eq!(tests("running 152 tests\ntest a ... "), None);
        assert_eq!(failed(GOOD), [""; 0]);
    }

    #[test]
    fn a_server_that_is_not_here_is_a_row_and_no_failure() {
        let good = || Ok(tests(GOOD).unwrap());
        let rows = [
            Row { name: "one", outcome: Ok(("1.2.3".to_owned(), [good(), good(), good()])) },
            Row { name: "two", outcome: Err("no a|b".to_owned()) },
            Row { name: "three", outcome: Ok(("3".to_owned(), [good(), Ok(tests(BAD).unwrap()), good()])) },
            Row {
                name: "four",
                outcome: Ok(("4".to_owned(), [good(), good(), Err("the tests did not end".to_owned())])),
            },
        ];
        assert_eq!(rows.each_ref().map(Row::is_good), [true, true, false, false]);
        let table = markdown(&rows);
        let lines: Vec<_> = table.lines().skip(2).collect();
        let expected = [
            "| one | 1.2.3 | 151 / 0 | 85 | 151 / 0 | 85 | 151 / 0 | 85 |",
            "| two | not run: no a/b | | | | | | |",
            "| three | 3 | 151 / 0 | 85 | 149 / 2 | 7 | 151 / 0 | 85 |",
            "| four | 4 | 151 / 0 | 85 | 151 / 0 | 85 | the tests did not end |  |",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_table_is_put_between_the_marks() {
        let text = "a\n<!-- matrix -->\nold\n<!-- /matrix -->\nb\n";
        let new = between_marks(text, "new\n").unwrap();
        assert_eq!(new, "a\n<!-- matrix -->\nnew\n<!-- /matrix -->\nb\n");
        assert_eq!(between_marks(&new, "new\n").unwrap(), new);
        assert!(between_marks("<!-- /matrix --> <!-- matrix -->", "new").is_err());
    }
}
