//! A filter as it is run: which index entries are read, and how their rows are combined.
//!
//! A [`Node`] is made from a [`Condition`] once for each query. The server evaluates it by
//! `scripts/query/filter.lua`, this program by `exec/evaluate.rs`, both segment by segment.
//! [`Node::matches`] tests one record that was read. All three agree; the property tests compare
//! them.

use std::cmp::Ordering;
use std::slice;

use redis::Value;

use crate::model::index::Need;
use crate::model::schema::{ColumnSchema, ModelSchema};
use crate::query::filter::{Bound, Condition};
use crate::query::plan::cost;
use crate::value::{Kind, SortKey, escape_beginning, index_form, list};

/// These bytes follow the tail of a value in a bound that is after all members of the value. They
/// are greater than any row, as rows are below 2^31. They are less than the rest of a tail that
/// continues this one, which begins with 0x80 or more.
pub(crate) const BEYOND_ROWS: &[u8] = &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF];

/// A filter, with columns by their positions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    All,
    None,
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Leaf(Leaf),
}

/// A part of a filter that indexes answer. Values are in the form that indexes have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaf {
    /// Rows that have the value; for a list, rows that contain it.
    Equals { column: usize, value: Vec<u8> },
    /// Rows that have one of the values. The values are sorted.
    In { column: usize, values: Vec<Vec<u8>> },
    /// Rows that own one of the values of a unique column. The values are sorted.
    Unique { column: usize, values: Vec<Vec<u8>> },
    /// Rows whose column is null.
    Null { column: usize },
    /// Rows in a range of a column of few values, by the ordinals of the values.
    Ordinals { column: usize, lowest: i64, highest: i64 },
    /// Rows in a range of a sorted set: from the first sort key in it to before the first one after
    /// it.
    Range { column: usize, low: Option<SortKey>, high: Option<SortKey> },
}

impl Node {
    pub(crate) fn of(schema: &ModelSchema, condition: &Condition) -> Self {
        match condition {
            Condition::All => Self::All,
            // Invalid conditions are refused before this.
            Condition::Nothing | Condition::Invalid { .. } | Condition::TooDeep => Self::None,
            Condition::Equals { column, stored } => values(schema, *column, vec![stored]),
            Condition::IsNull { column } => Self::Leaf(Leaf::Null { column: *column }),
            Condition::Range { .. } | Condition::StartsWith { .. } => {
                range(schema, condition).filter(|range| !range.is_empty()).map_or(Self::None, Self::Leaf)
            }
            Condition::And(parts) => Self::and(parts.iter().map(|part| Self::of(schema, part)).collect()),
            Condition::Or(parts) => Self::widened(schema, parts),
            Condition::Not(inner) => match Self::of(schema, inner) {
                Self::All => Self::None,
                Self::None => Self::All,
                Self::Not(inner) => *inner,
                other => Self::Not(Box::new(other)),
            },
        }
    }

    /// An OR. All values of one column become one list.
    fn widened(schema: &ModelSchema, parts: &[Condition]) -> Self {
        let (mut lists, mut nodes) = (Vec::<(usize, Vec<&Vec<u8>>)>::new(), Vec::new());
        for part in parts {
            match part {
                Condition::Equals { column, stored } => match lists.iter_mut().find(|(other, _)| other == column) {
                    Some((_, list)) => list.push(stored),
                    None => lists.push((*column, vec![stored])),
                },
                part => nodes.push(Self::of(schema, part)),
            }
        }
        nodes.extend(lists.into_iter().map(|(column, list)| values(schema, column, list)));
        if nodes.contains(&Self::All) {
            return Self::All;
        }
        nodes.retain(|node| *node != Self::None);
        if nodes.len() > 1 { Self::Or(nodes) } else { nodes.pop().unwrap_or(Self::None) }
    }

    /// An AND. The ranges of a column become one range: `at >= a & at < b` is as narrow as both.
    pub(crate) fn and(nodes: Vec<Self>) -> Self {
        let (mut ranges, mut others) = (Vec::<Leaf>::new(), Vec::new());
        let flat = nodes.into_iter().flat_map(|node| if let Self::And(parts) = node { parts } else { vec![node] });
        for node in flat {
            match node {
                Self::All => {}
                Self::None => return Self::None,
                Self::Leaf(range @ (Leaf::Range { .. } | Leaf::Ordinals { .. })) => {
                    match ranges.iter_mut().find(|other| other.column() == range.column()) {
                        Some(other) => other.narrow(range),
                        None => ranges.push(range),
                    }
                }
                other => others.push(other),
            }
        }
        if ranges.iter().any(Leaf::is_empty) {
            return Self::None;
        }
        others.extend(ranges.into_iter().map(Self::Leaf));
        if others.len() > 1 { Self::And(others) } else { others.pop().unwrap_or(Self::All) }
    }

    /// The parts of an AND; the node alone if it is none.
    pub(crate) fn parts(&self) -> &[Self] {
        if let Self::And(parts) = self { parts } else { std::slice::from_ref(self) }
    }

    /// Splits the filter in two: its range of the column, by which the order of the column can be
    /// read, and the rest.
    pub(crate) fn split_range(&self, column: usize) -> (Self, Self) {
        let is_range = |node: &&Self| node.range_of() == Some(column);
        let (ranges, others) = self.parts().iter().partition::<Vec<_>, _>(is_range);
        let all = |nodes: Vec<&Self>| Self::and(nodes.into_iter().cloned().collect());
        (all(ranges), all(others))
    }

    /// The filter for the records that have this value of a column: parts of an AND that depend on
    /// the column alone are true, and left out. `None` if one of them is false.
    pub(crate) fn given(&self, schema: &ModelSchema, column: usize, value: &Value) -> Option<Self> {
        let mut others = Vec::new();
        for part in self.parts() {
            if part.leaves().iter().any(|leaf| leaf.column() != column) {
                others.push(part.clone());
            } else if !part.matches(schema, &[column], slice::from_ref(value)) {
                return None;
            }
        }
        Some(Self::and(others))
    }

    /// The first column of which a filter has a range of a sorted set, if the filter is an AND.
    pub(crate) fn sorted_range(&self) -> Option<usize> {
        let Self::And(parts) = self else { return None };
        parts.iter().find_map(|part| match part {
            Self::Leaf(Leaf::Range { column, .. }) => Some(*column),
            _ => None,
        })
    }

    /// The column of which the node is a range, if it is one.
    fn range_of(&self) -> Option<usize> {
        match self {
            Self::Leaf(Leaf::Range { column, .. } | Leaf::Ordinals { column, .. }) => Some(*column),
            _ => None,
        }
    }

    /// The leaves of the node, from first to last.
    pub(crate) fn leaves(&self) -> Vec<&Leaf> {
        let mut leaves = Vec::new();
        self.visit(&mut |node| {
            if let Self::Leaf(leaf) = node {
                leaves.push(leaf);
            }
        });
        leaves
    }

    /// Calls a function for the node, and then for each node in it.
    fn visit<'a>(&'a self, call: &mut impl FnMut(&'a Self)) {
        call(self);
        match self {
            Self::All | Self::None | Self::Leaf(_) => {}
            Self::Not(inner) => inner.visit(call),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.visit(call)),
        }
    }

    /// Whether it would take a script too long to evaluate the filter in one segment, or to test a
    /// few rows.
    pub(crate) fn is_long(&self) -> bool {
        let (mut nodes, mut values) = (0, 0);
        self.visit(&mut |node| {
            nodes += 1;
            if let Self::Leaf(Leaf::In { values: list, .. } | Leaf::Unique { values: list, .. }) = node {
                values += list.len();
            }
        });
        nodes > cost::NODES || values > cost::VALUES
    }

    /// Adds the words of the filter, in the prefix form that `scripts/query/filter.lua` parses.
    /// Each word is one argument.
    pub(crate) fn encode(&self, schema: &ModelSchema, words: &mut Vec<Vec<u8>>) {
        let joined = |operator: &str, parts: &[Self], words: &mut Vec<Vec<u8>>| {
            words.extend([operator.into(), parts.len().to_string().into_bytes()]);
            parts.iter().for_each(|part| part.encode(schema, words));
        };
        match self {
            Self::All => words.push(b"all".to_vec()),
            Self::None => words.push(b"none".to_vec()),
            Self::Not(inner) => {
                words.push(b"not".to_vec());
                inner.encode(schema, words);
            }
            Self::And(parts) => joined("and", parts, words),
            Self::Or(parts) => joined("or", parts, words),
            Self::Leaf(leaf) => leaf.encode(schema, words),
        }
    }

    /// The words that [`encode`](Self::encode) adds.
    pub(crate) fn words(&self, schema: &ModelSchema) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        self.encode(schema, &mut words);
        words
    }

    /// Whether a record matches, by its fields, which are in the order of `columns`.
    pub(crate) fn matches(&self, schema: &ModelSchema, columns: &[usize], fields: &[Value]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Not(inner) => !inner.matches(schema, columns, fields),
            Self::And(parts) => parts.iter().all(|part| part.matches(schema, columns, fields)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(schema, columns, fields)),
            Self::Leaf(leaf) => {
                let field = columns.iter().position(|&column| column == leaf.column()).and_then(|at| fields.get(at));
                let stored = if let Some(Value::BulkString(stored)) = field { Some(stored.as_slice()) } else { None };
                leaf.matches(&schema.columns()[leaf.column()], stored)
            }
        }
    }
}

/// Rows that have one of the values, which are given in stored form. An order without an index
/// knows them as ranges of one value each.
fn values(schema: &ModelSchema, column: usize, stored: Vec<&Vec<u8>>) -> Node {
    let found = &schema.columns()[column];
    let mut values: Vec<Vec<u8>> = stored.into_iter().map(|stored| index_form(found.kind, stored).to_vec()).collect();
    values.sort_unstable();
    values.dedup();
    if !found.has_index() && !found.is_unique() && found.has_sorted_set() {
        let range = |value: Vec<u8>| {
            let low = SortKey::of(found.kind, &value);
            let mut high = low.clone();
            high.tail.extend_from_slice(BEYOND_ROWS);
            Node::Leaf(Leaf::Range { column, low: Some(low), high: Some(high) })
        };
        let mut ranges: Vec<Node> = values.into_iter().map(range).collect();
        return if ranges.len() > 1 { Node::Or(ranges) } else { ranges.pop().unwrap_or(Node::None) };
    }
    Node::Leaf(match (found.is_unique(), values.len()) {
        (true, _) => Leaf::Unique { column, values },
        (false, 1) => Leaf::Equals { column, value: values.remove(0) },
        (false, _) => Leaf::In { column, values },
    })
}

/// The leaf of a range, which may be empty; `None` if the condition is not a range.
fn range(schema: &ModelSchema, condition: &Condition) -> Option<Leaf> {
    match *condition {
        Condition::Range { column, ref low, ref high } => {
            let found = &schema.columns()[column];
            if !found.has_sorted_set() {
                let low = low.as_ref().map(|low| i64::from(low.ordinal) + i64::from(!low.inclusive));
                let high = high.as_ref().map(|high| i64::from(high.ordinal) - i64::from(!high.inclusive));
                let (lowest, highest) = (low.unwrap_or(0), high.unwrap_or(i64::from(u16::MAX)));
                return Some(Leaf::Ordinals { column, lowest, highest });
            }
            let place = |bound: &Bound, beyond: bool| {
                let mut key = SortKey::of(found.kind, &bound.stored);
                if beyond {
                    key.tail.extend_from_slice(BEYOND_ROWS);
                }
                key
            };
            let low = low.as_ref().map(|low| place(low, !low.inclusive));
            let high = high.as_ref().map(|high| place(high, high.inclusive));
            Some(Leaf::Range { column, low, high })
        }
        Condition::StartsWith { column, ref beginning } => {
            let low = escape_beginning(beginning);
            let mut high = low.clone();
            // The first text after all those with this beginning: bytes of FF at the end are
            // dropped, and the last byte before them is increased.
            while high.pop_if(|byte| *byte == 0xFF).is_some() {}
            let ends = high.last_mut().map(|byte| *byte += 1).is_some();
            let place = |tail| SortKey { score: b"0".to_vec(), tail };
            let low = (!low.is_empty()).then(|| place(low));
            Some(Leaf::Range { column, low, high: ends.then(|| place(high)) })
        }
        _ => None,
    }
}

impl Leaf {
    /// The column of the leaf.
    pub(crate) fn column(&self) -> usize {
        match self {
            Self::Equals { column, .. }
            | Self::In { column, .. }
            | Self::Unique { column, .. }
            | Self::Null { column }
            | Self::Ordinals { column, .. }
            | Self::Range { column, .. } => *column,
        }
    }

    /// What the leaf needs of the index of its column.
    pub(crate) fn need(&self) -> Need {
        match *self {
            Self::Equals { column, .. } | Self::In { column, .. } => Need::Values(column),
            Self::Unique { column, .. } => Need::Owners(column),
            Self::Null { column } => Need::Nulls(column),
            Self::Ordinals { column, .. } | Self::Range { column, .. } => Need::Order(column),
        }
    }

    /// Narrows a range to what is also in another range of the same column.
    fn narrow(&mut self, other: Self) {
        fn chosen(one: Option<SortKey>, two: Option<SortKey>, wanted: Ordering) -> Option<SortKey> {
            match (one, two) {
                (Some(one), Some(two)) => Some(if one.compare(&two) == wanted { one } else { two }),
                (one, two) => one.or(two),
            }
        }
        match (self, other) {
            (Self::Ordinals { lowest, highest, .. }, Self::Ordinals { lowest: low, highest: high, .. }) => {
                (*lowest, *highest) = (low.max(*lowest), high.min(*highest));
            }
            (Self::Range { low: lowest, high: highest, .. }, Self::Range { low, high, .. }) => {
                *lowest = chosen(lowest.take(), low, Ordering::Greater);
                *highest = chosen(highest.take(), high, Ordering::Less);
            }
            // All ranges of a column are of one kind.
            _ => {}
        }
    }

    /// Whether the leaf is a range that nothing can be in.
    fn is_empty(&self) -> bool {
        match self {
            Self::Ordinals { lowest, highest, .. } => lowest > highest,
            Self::Range { low: Some(low), high: Some(high), .. } => low.compare(high).is_ge(),
            _ => false,
        }
    }

    /// Adds the words of the leaf: see [`Node::encode`].
    pub(crate) fn encode(&self, schema: &ModelSchema, words: &mut Vec<Vec<u8>>) {
        let column = &schema.columns()[self.column()];
        let mut add = |operator: &str| words.extend([operator.into(), column.name().into()]);
        let kind = vec![column.kind.code() as u8];
        match self {
            Self::Equals { value, .. } => {
                add("equals");
                words.push(value.clone());
            }
            Self::In { values, .. } => {
                add("in");
                words.extend([kind, values.len().to_string().into_bytes()]);
                words.extend_from_slice(values);
            }
            Self::Unique { values, .. } => {
                add("unique");
                words.push(values.len().to_string().into_bytes());
                words.extend_from_slice(values);
            }
            Self::Null { .. } => add("null"),
            Self::Ordinals { lowest, highest, .. } => {
                add("ordinals");
                words.extend([lowest, highest].map(|bound| bound.to_string().into_bytes()));
            }
            Self::Range { low, high, .. } => {
                add("range");
                words.push(kind);
                for place in [low, high] {
                    let (score, tail) =
                        place.as_ref().map_or((&[][..], &[][..]), |place| (&place.score[..], &place.tail[..]));
                    words.extend([score.to_vec(), tail.to_vec()]);
                }
            }
        }
    }

    /// Whether a record matches that has this stored value of the column; `None` is null.
    pub(crate) fn matches(&self, column: &ColumnSchema, stored: Option<&[u8]>) -> bool {
        let Some(stored) = stored else { return matches!(self, Self::Null { .. }) };
        let among = |values: &[Vec<u8>]| {
            let has = |value: &[u8]| values.binary_search_by(|other| other.as_slice().cmp(value)).is_ok();
            if column.kind == Kind::List {
                list::entries(stored).iter().any(|element| has(element))
            } else {
                has(index_form(column.kind, stored))
            }
        };
        match self {
            Self::Equals { value, .. } => among(std::slice::from_ref(value)),
            Self::In { values, .. } | Self::Unique { values, .. } => among(values),
            Self::Null { .. } => false,
            Self::Ordinals { lowest, highest, .. } => {
                // A value that can't be read comes after all that can.
                let ordinal = i64::from(column.ordinal_of(stored).unwrap_or(u16::MAX));
                *lowest <= ordinal && ordinal <= *highest
            }
            Self::Range { low, high, .. } => {
                let key = SortKey::of(column.kind, stored);
                low.as_ref().is_none_or(|low| low.compare(&key).is_le())
                    && high.as_ref().is_none_or(|high| key.compare(high).is_lt())
            }
        }
    }
}
