//! The ways to find the rows of a query.

use std::fmt;

/// A way that a query took, and in how many calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PlanStep {
    /// The way.
    pub way: PlanWay,
    /// Calls of scripts; 0 where plain commands do it.
    pub calls: u64,
}

/// A way to find the rows that match, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PlanWay {
    /// Segment after segment, in row order.
    Scan,
    /// Along the sorted set of the first column of the order, looking which rows match.
    Walk,
    /// Along the values of a column of few values, intersecting the rows of each with those that
    /// match.
    Values,
    /// The few rows that match were gathered and sorted on the server.
    Gather,
    /// Only how many rows match was looked at, to choose one of the ways below.
    Estimate,
    /// Which rows match was read as bitmaps.
    Bitmaps,
    /// Along the sorted set of the first column of the order, by this program, with the bitmaps.
    Order,
    /// The rows of the bitmaps were read and sorted by this program.
    Sort,
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
            Self::Order => "walk along the order, matched with the bitmaps here",
            Self::Sort => "reading of the matching rows, sorted here",
        })
    }
}

impl fmt::Display for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.calls {
            0 => write!(f, "{}", self.way),
            calls => write!(f, "{}, {}", self.way, count_of(calls, "call")),
        }
    }
}

/// A number of things in words.
pub(crate) fn count_of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
