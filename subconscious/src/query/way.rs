//! The ways to find the rows of a query.

use std::fmt;

/// A way that a query took, and the number of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PlanStep {
    /// The way.
    pub way: PlanWay,
    /// Number of calls of scripts; 0 if plain commands did the work.
    pub calls: u64,
    /// Why this way was chosen; `None` if there was no choice.
    pub why: Option<String>,
}

/// A way to find the rows that match, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PlanWay {
    /// A row scan: segment after segment, in row order.
    Scan,
    /// An ordered scan by the server: it reads the sorted set of the first column of the order, and
    /// tests each row.
    Walk,
    /// A scan of the values of a column of few values, in order: the rows of each value are
    /// intersected with those that match.
    Values,
    /// A top-k by the server: it gathers and sorts the few rows that match.
    Gather,
    /// An estimate of how many rows match, to choose one of the ways below.
    Estimate,
    /// The rows that match, read as bitmaps.
    Bitmaps,
    /// A comparison of the scores of the matching rows with a range, in this program.
    Scores,
    /// The parts of the model were read by this program whose values come first in the order.
    Zones,
    /// An ordered scan by this program: it reads the sorted set of the first column of the order,
    /// and tests each row by the bitmaps.
    Order,
    /// A top-k by this program: it reads and sorts the rows of the bitmaps.
    Sort,
    /// The record that owns the value of a unique column was read.
    Owner,
}

impl fmt::Display for PlanWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scan => "scan of the matching rows",
            Self::Walk => "walk along the order",
            Self::Values => "walk along the values of the order",
            Self::Gather => "gathering of the matching rows, sorted on the server",
            Self::Estimate => "estimate of the matching rows",
            Self::Bitmaps => "bitmaps of the matching rows",
            Self::Scores => "comparison of the values of many rows here",
            Self::Zones => "reading of the parts that come first in the order",
            Self::Order => "walk along the order, matched with the bitmaps here",
            Self::Sort => "reading of the matching rows, sorted here",
            Self::Owner => "owner of the unique value",
        })
    }
}

impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.way)?;
        if self.calls > 0 {
            write!(f, ", {}", count_of(self.calls, "call"))?;
        }
        if let Some(why) = &self.why {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

/// A number and what it counts, such as `2 calls`.
pub(crate) fn count_of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
