//! From a condition to the program that `filter.lua` evaluates. Pure: no connection, no model.

use std::cmp::Ordering;
use std::time::Duration;

use crate::query::filter::{Bound, Condition};
use crate::schema::{ColumnSchema, ModelSchema};
use crate::value::{SortKey, escape_beginning, index_form, is_indexed_as_stored};

/// What follows the tail of a value in a bound that is beyond all members of the value: rows are below 2^31, and a
/// tail that continues another one begins with 0x80 or more.
const BEYOND_ROWS: &[u8] = &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF];

/// The program of a condition, in prefix form, an argument a word: see the head of `scripts/filter.lua`.
pub(crate) fn program(schema: &ModelSchema, condition: &Condition) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    push(schema, condition, &mut words);
    words
}

fn push(schema: &ModelSchema, condition: &Condition, words: &mut Vec<Vec<u8>>) {
    match condition {
        Condition::All => words.push(b"*".to_vec()),
        // An invalid condition is refused before it gets here.
        Condition::Nothing | Condition::Invalid { .. } => words.push(b"-".to_vec()),
        Condition::Equals { column, stored } => {
            let column = &schema.columns()[*column];
            words.push(if column.is_unique() { b"q".to_vec() } else { b"=".to_vec() });
            words.push(column.name().into());
            words.push(index_form(column.kind, stored).to_vec());
        }
        Condition::IsNull { column } => {
            words.push(b"0".to_vec());
            words.push(schema.columns()[*column].name().into());
        }
        Condition::Range { .. } | Condition::StartsWith { .. } => {
            if let Some((column, span)) = Span::of(schema, condition) {
                span.push(&schema.columns()[column], words);
            }
        }
        Condition::And(parts) => push_and(schema, parts, words),
        Condition::Or(parts) => push_or(schema, parts, words),
        Condition::Not(inner) => {
            words.push(b"!".to_vec());
            push(schema, inner, words);
        }
    }
}

fn push_or(schema: &ModelSchema, parts: &[Condition], words: &mut Vec<Vec<u8>>) {
    let count = parts.len().to_string().into_bytes();
    if let Some((column, values)) = values_of_one_column(schema, parts) {
        words.extend([b"i".to_vec(), column.name().into(), count]);
        words.extend(values.into_iter().cloned());
        return;
    }
    words.extend([b"|".to_vec(), count]);
    for part in parts {
        push(schema, part, words);
    }
}

/// The column that all parts are values of, and these, if indexes have them as records do.
fn values_of_one_column<'a>(
    schema: &'a ModelSchema,
    parts: &'a [Condition],
) -> Option<(&'a ColumnSchema, Vec<&'a Vec<u8>>)> {
    let Condition::Equals { column: at, .. } = parts.first()? else { return None };
    let column = &schema.columns()[*at];
    if column.is_unique() || !is_indexed_as_stored(column.kind) {
        return None;
    }
    let value = |part| match part {
        &Condition::Equals { column, ref stored } if column == *at => Some(stored),
        _ => None,
    };
    Some((column, parts.iter().map(value).collect::<Option<_>>()?))
}

/// Ranges of one column become one: `at >= a & at < b` is as narrow as both together.
fn push_and(schema: &ModelSchema, parts: &[Condition], words: &mut Vec<Vec<u8>>) {
    let (mut spans, mut others) = (Vec::<(usize, Span)>::new(), Vec::new());
    for part in parts {
        match Span::of(schema, part) {
            Some((column, span)) => match spans.iter_mut().find(|(other, _)| *other == column) {
                Some((_, before)) => before.narrow(span),
                None => spans.push((column, span)),
            },
            None => others.push(part),
        }
    }
    if spans.iter().any(|(_, span)| span.is_empty()) {
        words.push(b"-".to_vec());
        return;
    }
    if spans.len() + others.len() > 1 {
        words.extend([b"&".to_vec(), (spans.len() + others.len()).to_string().into()]);
    }
    for part in others {
        push(schema, part, words);
    }
    for (column, span) in spans {
        span.push(&schema.columns()[column], words);
    }
}

/// The values of a column that a range has.
enum Span {
    /// Of a column of few values, by their ordinals, both of which belong to it.
    Ordinals(i64, i64),
    /// Of a sorted set: the place of the first member of the range, and of the first one after it.
    Sorted(Option<SortKey>, Option<SortKey>),
}

impl Span {
    fn of(schema: &ModelSchema, condition: &Condition) -> Option<(usize, Self)> {
        match condition {
            Condition::Range { column, low, high } => {
                let schema = &schema.columns()[*column];
                if !schema.has_sorted_set() {
                    let lowest = low.as_ref().map_or(0, |low| i64::from(low.ordinal) + i64::from(!low.inclusive));
                    let highest = high
                        .as_ref()
                        .map_or(i64::from(u16::MAX), |high| i64::from(high.ordinal) - i64::from(!high.inclusive));
                    return Some((*column, Self::Ordinals(lowest, highest)));
                }
                let place = |bound: &Bound, beyond: bool| {
                    let mut key = SortKey::of(schema.kind, &bound.stored);
                    if beyond {
                        key.tail.extend_from_slice(BEYOND_ROWS);
                    }
                    key
                };
                let low = low.as_ref().map(|low| place(low, !low.inclusive));
                let high = high.as_ref().map(|high| place(high, high.inclusive));
                Some((*column, Self::Sorted(low, high)))
            }
            Condition::StartsWith { column, beginning } => {
                let low = escape_beginning(beginning);
                let mut high = low.clone();
                // The first text that does not begin so: the last byte that can be greater is, and the rest goes.
                while high.pop_if(|byte| *byte == 0xFF).is_some() {}
                let ends = high.last_mut().map(|byte| *byte += 1).is_some();
                let place = |tail| SortKey { score: b"0".to_vec(), tail };
                let low = (!low.is_empty()).then(|| place(low));
                Some((*column, Self::Sorted(low, ends.then(|| place(high)))))
            }
            _ => None,
        }
    }

    /// Leaves what is in the other span as well.
    fn narrow(&mut self, other: Self) {
        fn chosen(one: Option<SortKey>, two: Option<SortKey>, wanted: Ordering) -> Option<SortKey> {
            match (one, two) {
                (Some(one), Some(two)) => Some(if one.compare(&two) == wanted { one } else { two }),
                (one, two) => one.or(two),
            }
        }
        match (self, other) {
            (Self::Ordinals(lowest, highest), Self::Ordinals(low, high)) => {
                (*lowest, *highest) = (low.max(*lowest), high.min(*highest));
            }
            (Self::Sorted(lowest, highest), Self::Sorted(low, high)) => {
                *lowest = chosen(lowest.take(), low, Ordering::Greater);
                *highest = chosen(highest.take(), high, Ordering::Less);
            }
            // A column is of one kind.
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Ordinals(lowest, highest) => lowest > highest,
            Self::Sorted(Some(low), Some(high)) => low.compare(high).is_ge(),
            Self::Sorted(..) => false,
        }
    }

    fn push(self, column: &ColumnSchema, words: &mut Vec<Vec<u8>>) {
        if self.is_empty() {
            words.push(b"-".to_vec());
            return;
        }
        match self {
            Self::Ordinals(lowest, highest) => {
                let bounds = [lowest, highest].map(|bound| bound.to_string().into_bytes());
                words.extend([b"v".to_vec(), column.name().into()]);
                words.extend(bounds);
            }
            Self::Sorted(low, high) => {
                words.extend([b"z".to_vec(), column.name().into(), vec![column.kind.code() as u8]]);
                for place in [low, high] {
                    let SortKey { score, tail } =
                        place.unwrap_or_else(|| SortKey { score: Vec::new(), tail: Vec::new() });
                    words.extend([score, tail]);
                }
            }
        }
    }
}

/// A condition as two: a range of the column, which its order is walked in, and what else there is.
pub(crate) fn split_range(condition: &Condition, column: usize) -> (Condition, Condition) {
    let parts = match condition {
        Condition::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let (ranges, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| range_of(part) == Some(column));
    let all = |parts: Vec<&Condition>| parts.into_iter().cloned().fold(Condition::All, Condition::and);
    (all(ranges), all(others))
}

/// The first column of a sorted set that a condition has a range of, which all that matches is in.
pub(crate) fn sorted_range(schema: &ModelSchema, condition: &Condition) -> Option<usize> {
    let Condition::And(parts) = condition else { return None };
    parts.iter().filter_map(range_of).find(|&column| schema.columns()[column].has_sorted_set())
}

/// The column that the condition is a range of.
fn range_of(condition: &Condition) -> Option<usize> {
    match condition {
        Condition::Range { column, .. } | Condition::StartsWith { column, .. } => Some(*column),
        _ => None,
    }
}

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
#[path = "plan_tests.rs"]
mod tests;
