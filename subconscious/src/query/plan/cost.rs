//! What the steps of a query cost, as measured with one and ten million records: every figure that
//! a choice depends on. The scripts have those of [`SCRIPTS`] substituted into their text.

use std::time::Duration;

/// Nodes of a filter that scripts evaluate at most: for each row that they test one by one, each
/// takes them up to half a microsecond, and they test 64 rows before they look at the clock.
pub(crate) const NODES: usize = 24;

/// Values in the lists of a filter that scripts evaluate at most: to read one and to look for its
/// container takes two microseconds.
pub(crate) const VALUES: usize = 256;

/// Microseconds that it takes to pass a row of an ordered scan whose bitmaps are in this program.
const PASSED: f64 = 0.5;

/// Microseconds that it takes to read a row that is to be sorted.
const SORTED: f64 = 3.0;

/// Microseconds that it takes a script at most to pass a row of an ordered scan: it may read a
/// value of its record.
const TESTED: f64 = 4.2;

/// Whether an ordered scan that passes rows until enough match is cheaper than reading all that
/// match and sorting them, where so many of all records match and so many of them are wanted.
pub(crate) fn ordered_scan_is_cheaper(total: u64, matches: u64, wanted: u64) -> bool {
    let share = (wanted as f64 / matches.max(1) as f64).min(1.0);
    PASSED * total as f64 * share <= SORTED * matches as f64
}

/// Whether so many rows were passed that sorting all that match is to take over.
///
/// Break-even rule: stop when the scan has cost as much as the alternative. Whatever the data turn
/// out to be, both together cost at most twice as much as the better of the two.
pub(crate) fn ordered_scan_is_too_long(passed: u64, matches: u64) -> bool {
    PASSED * passed as f64 > SORTED * matches as f64
}

/// What calls of a script that did not find all that was wanted did along an order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Attempt {
    /// Of the server.
    pub(crate) microseconds: u64,
    /// Rows they looked at, and those of them that were wanted.
    pub(crate) looked_at: u64,
    pub(crate) found: u64,
}

impl Attempt {
    /// Whether the rest, of which so many rows are wanted, is better read by bitmaps, which the
    /// server takes `evaluating` microseconds to make: where the attempt has cost as much, or the
    /// rest is likely to cost more. Two calls cost less than to begin another way.
    pub(crate) fn is_too_long(self, left: u64, evaluating: u64, budget: Duration) -> bool {
        let bitmaps = (2 * budget.as_micros()).max(u128::from(evaluating)) as f64;
        let rest = TESTED * self.looked_at as f64 * left as f64 / self.found.max(1) as f64;
        self.microseconds as f64 >= bitmaps || rest > bitmaps
    }
}

/// What steps of a script cost, in microseconds of the server, by the names that the scripts have
/// for them.
pub(crate) const SCRIPTS: [(&str, f64); 19] = [
    // To ask for a bit, or to set one, in a script.
    ("BIT_TESTED", 0.5),
    // To look for a container.
    ("CONTAINER", 2.0),
    // To read a member of a set.
    ("MEMBER", 0.25),
    // To list a row of a range.
    ("LISTED_ROW", 1.0),
    // To read the bitmap of a full segment: Lua takes as long for 32 KB as for 40 small commands.
    ("BITMAP_READ", 40.0),
    // How many bits are asked for until it is cheaper to read the bitmap.
    ("BITS_PER_BITMAP_READ", 75.0),
    // To go through a source of BITOP.
    ("BITOP_SOURCE", 4.0),
    // To read a value of a record.
    ("RECORD_READ", 3.0),
    // To deliver a record, and for each of its bytes: Lua hashes them.
    ("DELIVERED", 10.0),
    ("DELIVERED_BYTE", 0.002),
    // To pass a row of an ordered scan.
    ("ROW_PASSED", 1.2),
    // To test a row of a row scan.
    ("ROW_TESTED", 2.0),
    // To go on to another segment.
    ("SEGMENT_SCANNED", 15.0),
    // To evaluate the filter in a segment, and for each of its containers.
    ("SEGMENT_EVALUATED", 30.0),
    ("CONTAINER_EVALUATED", 8.0),
    // To read the containers of a value in a segment, where values are gone through in order.
    ("VALUE_SEGMENT", 50.0),
    // To meet one of them with the rows that match.
    ("VALUE_CONTAINER", 15.0),
    // To count the rows of a value among those that match.
    ("VALUE_COUNTED", 25.0),
    // To read a record's row and value.
    ("GROUP_READ", 6.0),
];
