//! Positions: where a call of a query ended, and where the next one continues.

use crate::query::exec::entry::SortEntry;
use crate::query::request::OrderKey;
use crate::value::{SortKey, parse};

/// A position in the order of a query: it is between two rows, never a number of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Position {
    /// Before all rows.
    #[default]
    Start,
    /// After this row, in row order.
    Row(u32),
    /// Among the rows that are null in the column of the order: after this row, or before all of
    /// them.
    Null(Option<u32>),
    /// Among the rows that have a value in the column of the order: after this member, or before
    /// all of them.
    Value(Option<Member>),
    /// After this entry, in an order of several columns.
    Entry(SortEntry),
}

/// A member of a sorted set. In the order of a column without a sorted set, the score is the
/// ordinal of the value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) score: Vec<u8>,
    /// The tail, which continues the order where scores are equal, and then the row.
    pub(crate) member: Vec<u8>,
}

impl Member {
    /// The score as the server reads it.
    pub(crate) fn double(&self) -> f64 {
        parse(&self.score).unwrap_or(0.0)
    }

    /// The row, which is the member's last four bytes.
    pub(crate) fn row(&self) -> u32 {
        row_of(&self.member)
    }
}

/// The row of a sorted set's member.
pub(crate) fn row_of(member: &[u8]) -> u32 {
    member.split_last_chunk::<4>().map_or(0, |(_, row)| u32::from_be_bytes(*row))
}

impl Position {
    /// The position as the scripts know it: a word and two marks.
    pub(crate) fn words(&self) -> [Vec<u8>; 3] {
        let row = |row: &Option<u32>| row.map(|row| row.to_string().into_bytes()).unwrap_or_default();
        let (word, first, second) = match self {
            // Scripts do not order by several columns.
            Self::Start | Self::Entry(_) => ("", Vec::new(), Vec::new()),
            Self::Row(at) => ("row", row(&Some(*at)), Vec::new()),
            Self::Null(at) => ("null", row(at), Vec::new()),
            Self::Value(None) => ("value", Vec::new(), Vec::new()),
            Self::Value(Some(Member { score, member })) => ("value", score.clone(), member.clone()),
        };
        [word.into(), first, second]
    }

    /// Reads what [`words`](Self::words) made; anything else is returned as the error.
    pub(crate) fn of([word, first, second]: [Vec<u8>; 3]) -> Result<Self, [Vec<u8>; 3]> {
        let row = || parse(&first);
        let position = match (&word[..], first.is_empty(), second.is_empty()) {
            (b"", true, true) => Some(Self::Start),
            (b"row", false, true) => row().map(Self::Row),
            (b"null", true, true) => Some(Self::Null(None)),
            (b"null", false, true) => row().map(|row| Self::Null(Some(row))),
            (b"value", true, true) => Some(Self::Value(None)),
            (b"value", false, _) if second.len() >= 4 => {
                return Ok(Self::Value(Some(Member { score: first, member: second })));
            }
            _ => None,
        };
        position.ok_or([word, first, second])
    }

    /// The entry before the rows that follow the position; `None` if all rows follow it.
    pub(crate) fn entry(&self, order: &[OrderKey]) -> Option<SortEntry> {
        let only = order.first()?;
        let (key, row) = match self {
            Self::Entry(entry) => return Some(entry.clone()),
            Self::Null(None) => (None, if only.descending { i64::MAX } else { -1 }),
            Self::Null(Some(row)) => (None, i64::from(*row)),
            Self::Value(None) if only.nulls_first => (None, if only.descending { -1 } else { i64::MAX }),
            Self::Value(Some(Member { score, member })) => {
                let (tail, row) = member.split_last_chunk::<4>()?;
                let key = SortKey { score: score.clone(), tail: tail.to_vec() };
                (Some(key), i64::from(u32::from_be_bytes(*row)))
            }
            Self::Start | Self::Row(_) | Self::Value(None) => return None,
        };
        Some(SortEntry { keys: vec![key], row })
    }

    /// The position after an entry, which [`entry`](Self::entry) reads.
    pub(super) fn after(entry: &SortEntry, order: &[OrderKey]) -> Self {
        match &entry.keys[..] {
            [Some(SortKey { score, tail })] if order.len() == 1 => {
                let member = [tail, &(entry.row as u32).to_be_bytes()[..]].concat();
                Self::Value(Some(Member { score: score.clone(), member }))
            }
            [None] if order.len() == 1 => Self::Null(Some(entry.row as u32)),
            _ => Self::Entry(entry.clone()),
        }
    }
}
