//! What the steps of a query cost, as measured with one and ten million records. Every number that
//! a choice of a way depends on is here. Those in [`SCRIPTS`] are substituted into the texts of the
//! scripts.

use std::time::Duration;

/// Greatest number of nodes of a filter that scripts evaluate. For each row that a script tests, a
/// node takes up to half a microsecond, and an ordered scan tests 64 rows before it counts their
/// cost.
pub(crate) const NODES: usize = 24;

/// Greatest number of values in the lists of a filter that scripts evaluate. Reading a value and
/// looking for its container takes two microseconds.
pub(crate) const VALUES: usize = 256;

/// Greatest number of parts that are read to find the first rows of an order by zones, where
/// bitmaps would do. A part takes some 40 microseconds, and other ways take at least 2,000.
pub(crate) const PARTS_READ: usize = 24;

/// Microseconds to pass a row of an ordered scan whose bitmaps are in this program.
const PASSED: f64 = 0.5;

/// Microseconds to read a row that is to be sorted.
const SORTED: f64 = 3.0;

/// Greatest number of microseconds that a script takes to pass a row of an ordered scan, where it
/// may read a value of the record.
const TESTED: f64 = 4.2;

/// Whether an ordered scan is cheaper than reading and sorting all rows that match. Of `total`
/// records, `matches` match. The scan ends when it has passed `wanted` of these.
pub(crate) fn ordered_scan_is_cheaper(total: u64, matches: u64, wanted: u64) -> bool {
    let share = (wanted as f64 / matches.max(1) as f64).min(1.0);
    PASSED * total as f64 * share <= SORTED * matches as f64
}

/// Whether an ordered scan has passed so many rows that sorting all rows that match should take
/// over.
///
/// Break-even rule: stop when the scan has cost as much as the alternative. Whatever the data are,
/// both together cost at most twice as much as the better of the two.
pub(crate) fn ordered_scan_is_too_long(passed: u64, matches: u64) -> bool {
    PASSED * passed as f64 > SORTED * matches as f64
}

/// What calls of a script did along an order when they did not find all rows that were wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Attempt {
    /// Microseconds of the server.
    pub(crate) microseconds: u64,
    /// Number of rows that were looked at. `found` of these were wanted.
    pub(crate) looked_at: u64,
    pub(crate) found: u64,
}

impl Attempt {
    /// Whether the rest, of which `left` rows are wanted, is better read by bitmaps. The server
    /// takes `evaluating` microseconds to make these. They are better if the attempt has cost as
    /// much, or if the rest is likely to cost more. They count as at least two calls, since
    /// beginning another way costs more than two calls.
    pub(crate) fn is_too_long(self, left: u64, evaluating: u64, budget: Duration) -> bool {
        let bitmaps = (2 * budget.as_micros()).max(u128::from(evaluating)) as f64;
        let rest = TESTED * self.looked_at as f64 * left as f64 / self.found.max(1) as f64;
        self.microseconds as f64 >= bitmaps || rest > bitmaps
    }
}

/// What the steps of a script cost, in microseconds of the server, by their names in the scripts.
pub(crate) const SCRIPTS: [(&str, f64); 25] = [
    // Reading or setting a bit in a script.
    ("BIT_TESTED", 0.5),
    // Looking for a container.
    ("CONTAINER", 2.0),
    // Asking whether a posting list has a row, one of many.
    ("ROW_IN_LIST", 0.3),
    // Reading a member of a set.
    ("MEMBER", 0.25),
    // Listing a row of a range.
    ("LISTED_ROW", 1.0),
    // Reading the bitmap of a full segment: Lua takes as long for 32 KB as for 40 small commands.
    ("BITMAP_READ", 40.0),
    // Number of bits to test from which on it is cheaper to read the bitmap.
    ("BITS_PER_BITMAP_READ", 75.0),
    // Reading a source of BITOP.
    ("BITOP_SOURCE", 4.0),
    // Reading a value of a record.
    ("RECORD_READ", 3.0),
    // Delivering a record, and each of its bytes: Lua hashes them.
    ("DELIVERED", 10.0),
    ("DELIVERED_BYTE", 0.002),
    // Passing a row of an ordered scan.
    ("ROW_PASSED", 1.2),
    // Testing a row of a row scan.
    ("ROW_TESTED", 2.0),
    // Reading the zone of a part.
    ("ZONE_READ", 0.6),
    // Reading the rows of a part, for the client, which then reads and compares their scores.
    ("PIECE_READ", 1.0),
    ("PART_READ", 40.0),
    ("PARTS_READ", PARTS_READ as f64),
    // Reading a member of a sorted set by the client.
    ("ROW_ALONG", 0.7),
    // Moving on to another segment.
    ("SEGMENT_SCANNED", 15.0),
    // Evaluating the filter in a segment, and each of its containers.
    ("SEGMENT_EVALUATED", 30.0),
    ("CONTAINER_EVALUATED", 8.0),
    // Reading the containers of a value in a segment, where values are read in order.
    ("VALUE_SEGMENT", 50.0),
    // ANDing one of these with the rows that match.
    ("VALUE_CONTAINER", 15.0),
    // Counting the rows of a value among those that match.
    ("VALUE_COUNTED", 25.0),
    // Reading a record's row and value.
    ("GROUP_READ", 6.0),
];
