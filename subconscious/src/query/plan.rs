//! How a filter is run, and which way is the cheapest. Pure: no connection.

use std::time::Duration;

pub(crate) mod program;

pub(crate) use program::{Leaf, Node};

/// Nodes of a filter that scripts evaluate at most: for each row that they test one by one, each takes
/// them up to half a microsecond, and they test 64 rows before they look at the clock.
const NODES: usize = 24;

/// Values in the lists of a filter that scripts evaluate at most: to read one and to look for its
/// container takes two microseconds.
const VALUES: usize = 256;

/// What it costs, in microseconds, to walk past a row of an order whose bitmaps are here, and to read a row that is to be sorted.
const WALKED: f64 = 0.5;
const SORTED: f64 = 3.0;

/// Whether walking an order and looking which rows match is cheaper than reading all that match and sorting them, where so many of all
/// records match and so many of them are wanted.
pub(crate) fn walking_is_cheaper(total: u64, matches: u64, wanted: u64) -> bool {
    let share = (wanted as f64 / matches.max(1) as f64).min(1.0);
    WALKED * total as f64 * share <= SORTED * matches as f64
}

/// Whether so many rows were walked past that sorting all that match is to take over.
///
/// As who rents skis until the rent has cost as much as skis: whatever the data turn out to be, this takes at most twice as long as the better
/// of the two ways.
pub(crate) fn walking_is_too_long(walked: u64, matches: u64) -> bool {
    WALKED * walked as f64 > SORTED * matches as f64
}

/// What it costs a script at most, in microseconds, to walk past a row: it may read a value of its record.
const TESTED: f64 = 4.2;

/// What calls of a script that did not find all that was wanted did along an order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tried {
    /// Of the server.
    pub(crate) microseconds: u64,
    /// Rows they walked past, and those of them that were wanted.
    pub(crate) looked: u64,
    pub(crate) met: u64,
}

impl Tried {
    /// Whether the rest, of which so many rows are wanted, had better be gone with bitmaps, which the server takes `evaluating` microseconds to make:
    /// where what was tried has cost as much, or the rest is likely to cost more. Two calls cost less than to begin another way.
    pub(crate) fn is_too_much(self, left: u64, evaluating: u64, budget: Duration) -> bool {
        let bitmaps = (2 * budget.as_micros()).max(u128::from(evaluating)) as f64;
        let rest = TESTED * self.looked as f64 * left as f64 / self.met.max(1) as f64;
        self.microseconds as f64 >= bitmaps || rest > bitmaps
    }
}

#[cfg(test)]
mod tests;
