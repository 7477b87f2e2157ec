//! From a condition to the program that `filter.lua` evaluates. Pure: no connection, no model.

use crate::query::filter::{Bound, Condition};
use crate::schema::ModelSchema;
use crate::value::{SortKey, escape_beginning, index_form};

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
        Condition::Range { column, low, high } => push_range(schema, *column, low.as_ref(), high.as_ref(), words),
        Condition::StartsWith { column, beginning } => {
            let low = escape_beginning(beginning);
            let mut high = low.clone();
            // The first text that does not begin so: the last byte that can be greater is, and the rest goes.
            while high.pop_if(|byte| *byte == 0xFF).is_some() {}
            let last = high.last_mut().map(|byte| *byte += 1);
            words.extend([b"z".to_vec(), schema.columns()[*column].name().into()]);
            words.extend(if low.is_empty() { [Vec::new(), Vec::new()] } else { [b"0".to_vec(), low] });
            words.extend(if last.is_none() { [Vec::new(), Vec::new()] } else { [b"0".to_vec(), high] });
        }
        Condition::And(parts) => push_parts(schema, b"&", parts, words),
        Condition::Or(parts) => push_parts(schema, b"|", parts, words),
        Condition::Not(inner) => {
            words.push(b"!".to_vec());
            push(schema, inner, words);
        }
    }
}

fn push_parts(schema: &ModelSchema, operator: &[u8], parts: &[Condition], words: &mut Vec<Vec<u8>>) {
    words.push(operator.to_vec());
    words.push(parts.len().to_string().into());
    for part in parts {
        push(schema, part, words);
    }
}

fn push_range(
    schema: &ModelSchema,
    column: usize,
    low: Option<&Bound>,
    high: Option<&Bound>,
    words: &mut Vec<Vec<u8>>,
) {
    let column = &schema.columns()[column];
    if !column.has_sorted_set() {
        let lowest = low.map_or(0, |low| i64::from(low.ordinal) + i64::from(!low.inclusive));
        let highest = high.map_or(i64::from(u16::MAX), |high| i64::from(high.ordinal) - i64::from(!high.inclusive));
        if lowest > highest {
            words.push(b"-".to_vec());
            return;
        }
        words.extend([b"v".to_vec(), column.name().into(), lowest.to_string().into(), highest.to_string().into()]);
        return;
    }
    words.extend([b"z".to_vec(), column.name().into()]);
    // The first member of the range, and the first one after it.
    let lower_edge = low.map(|low| (low, !low.inclusive));
    let upper_edge = high.map(|high| (high, high.inclusive));
    for edge in [lower_edge, upper_edge] {
        match edge {
            None => words.extend([Vec::new(), Vec::new()]),
            Some((bound, beyond)) => {
                let mut key = SortKey::of(column.kind, &bound.stored);
                if beyond {
                    key.tail.extend_from_slice(BEYOND_ROWS);
                }
                words.extend([key.score, key.tail]);
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
