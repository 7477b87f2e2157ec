//! Plans: how a query was answered.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::error::Result;
use crate::model::schema::ModelSchema;
use crate::model::target::Target;
use crate::query::exec::{self, Execution};
use crate::query::filter::{Bound, Condition};
use crate::query::request::{OrderKey, Request};
use crate::query::stats::Stats;
use crate::query::way::{PlanStep, count_of};
use crate::server::Db;
use crate::text::Excerpt;

/// How a query was answered, made by [`Query::explain`](crate::Query::explain). It prints as a
/// tree:
///
/// ```text
/// Visit in at desc, limit 10
///   walk along the order, 1 call: enough of the first rows of the order match
///   10 rows of an estimated 1500 that match, 40 looked at one by one
///   1 round trip, 1 command, 303 us of scripts, 270 bytes
///   filter
///   └ and: 1480 rows
///     ├ country = "CH": 1500 rows
///     └ not: 5980 rows
///       └ page = "p0": 20 rows
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Plan {
    /// The model's name.
    pub model: String,
    /// The columns of the order, such as `created_at desc`; empty for row order.
    pub order: Vec<String>,
    /// The greatest number of records to deliver.
    pub limit: Option<u64>,
    /// The number of records to leave out first.
    pub offset: u64,
    /// The ways that were taken, one after the other.
    pub steps: Vec<PlanStep>,
    /// The estimated number of records that match, if there was a choice between ways. It is
    /// estimated from two segments, or from the rows that were met.
    pub estimated_rows: Option<u64>,
    /// The number of records that were delivered.
    pub rows: u64,
    /// The number of rows that were looked at one by one. It is not much greater than `rows` if the
    /// indexes fit the query.
    pub looked_at: u64,
    /// The number of times that a request waited for its reply.
    pub round_trips: u64,
    /// The number of commands sent. The call of a script is one command.
    pub commands: u64,
    /// How long the scripts kept the server busy.
    pub script_time: Duration,
    /// Bytes that came back: of ids, fields, bitmaps, and members of sorted sets.
    pub bytes: u64,
    /// The filter, with the number of records that match each part of it; `None` for all records.
    pub filter: Option<PlanFilter>,
}

/// A part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PlanFilter {
    /// `and`, `or`, `not`, or a condition such as `age >= 18`.
    pub condition: String,
    /// The number of records that match it.
    pub rows: u64,
    /// The number that is estimated before a way is chosen, by the sizes of index entries and two
    /// segments; `None` for a long filter, and where the server refuses to write.
    pub estimated_rows: Option<u64>,
    /// Its parts.
    pub parts: Vec<PlanFilter>,
}

/// A query that is watched while it runs.
#[derive(Debug)]
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "nobody watches"))]
pub(crate) struct WatchedQuery {
    pub(crate) schema: &'static ModelSchema,
    pub(crate) request: Request,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) stats: Stats,
}

#[cfg(feature = "tracing")]
impl WatchedQuery {
    /// The filter as text.
    pub(crate) fn filter(&self) -> String {
        in_words(self.schema, &self.request.condition, NESTED)
    }
}

/// Nested levels of a filter that are shown as text; `..` stands for deeper ones.
#[cfg(feature = "tracing")]
const NESTED: usize = 4;

#[cfg(feature = "tracing")]
fn in_words(schema: &ModelSchema, condition: &Condition, deep: usize) -> String {
    let (text, parts) = described(schema, condition);
    if parts.is_empty() {
        return text;
    }
    let parts: Vec<String> = match deep {
        0 => vec!["..".into()],
        _ => parts.into_iter().map(|part| in_words(schema, part, deep - 1)).collect(),
    };
    if text == "not" { format!("not ({})", parts.concat()) } else { format!("({})", parts.join(&format!(" {text} "))) }
}

impl Plan {
    pub(crate) fn new(schema: &ModelSchema, request: &Request, stats: &Stats, rows: u64) -> Self {
        let (spent, traffic) = (stats.take(), stats.traffic());
        let key = |key: &OrderKey| {
            let name = schema.columns()[key.column].name();
            let direction = if key.descending { "desc" } else { "asc" };
            format!("{name} {direction}{}", if key.nulls_first { " nulls first" } else { "" })
        };
        Self {
            model: schema.name().to_owned(),
            order: request.order.iter().map(key).collect(),
            limit: None,
            offset: 0,
            steps: spent.steps,
            estimated_rows: spent.estimated,
            rows,
            looked_at: spent.looked_at,
            round_trips: traffic.round_trips(),
            commands: traffic.commands(),
            script_time: spent.script_time,
            bytes: spent.bytes,
            filter: None,
        }
    }
}

/// Counts the records that match a condition and each of its parts.
pub(crate) async fn filter(db: &Db, target: &Target, condition: &Condition) -> Result<Option<PlanFilter>> {
    if *condition == Condition::All {
        return Ok(None);
    }
    // Each condition comes before its parts, with the number of its parts.
    let (mut parts, mut todo) = (Vec::new(), vec![condition]);
    while let Some(condition) = todo.pop() {
        let rows = Execution::new(db, target.clone(), Request::of(condition.clone()))?.count().await?;
        let estimated_rows = exec::estimate(db, target, condition).await?;
        let (condition, children) = described(target.schema, condition);
        parts.push((PlanFilter { condition, rows, estimated_rows, parts: Vec::new() }, children.len()));
        todo.extend(children.into_iter().rev());
    }
    // From the end, so that the parts of a condition are complete before it.
    let mut whole = Vec::<PlanFilter>::new();
    while let Some((mut filter, count)) = parts.pop() {
        for _ in 0..count {
            filter.parts.extend(whole.pop());
        }
        whole.push(filter);
    }
    Ok(whole.pop())
}

/// A condition as text, and its parts.
fn described<'a>(schema: &ModelSchema, condition: &'a Condition) -> (String, Vec<&'a Condition>) {
    let name = |column: usize| schema.columns()[column].name();
    let text = match condition {
        Condition::All => "all".into(),
        Condition::Nothing | Condition::Invalid { .. } | Condition::TooDeep => "none".into(),
        Condition::Equals { column, stored } => format!("{} = {}", name(*column), Excerpt(stored)),
        Condition::IsNull { column } => format!("{} is null", name(*column)),
        Condition::StartsWith { column, beginning } => {
            format!("{} starts with {}", name(*column), Excerpt(beginning))
        }
        Condition::Range { column, low, high } => {
            let bound = |bound: &Bound, sign: &str| {
                format!("{} {sign}{} {}", name(*column), if bound.inclusive { "=" } else { "" }, Excerpt(&bound.stored))
            };
            let low = low.iter().map(|low| bound(low, ">"));
            low.chain(high.iter().map(|high| bound(high, "<"))).collect::<Vec<_>>().join(" and ")
        }
        Condition::And(parts) => return ("and".into(), parts.iter().collect()),
        Condition::Or(parts) => {
            let value = |part: &'a Condition| match part {
                Condition::Equals { column, stored } => Some((*column, stored)),
                _ => None,
            };
            let values: Option<Vec<_>> = parts.iter().map(value).collect();
            match values.as_deref() {
                // Several values of one column are one condition, as in `is_in`.
                Some([(column, first), rest @ ..]) if rest.iter().all(|(other, _)| other == column) => {
                    let mut text = format!("{} in ({}", name(*column), Excerpt(first));
                    for (_, value) in rest.iter().take(9) {
                        let _ = write!(text, ", {}", Excerpt(value));
                    }
                    if rest.len() > 9 {
                        let _ = write!(text, ", and {} more", rest.len() - 9);
                    }
                    text + ")"
                }
                _ => return ("or".into(), parts.iter().collect()),
            }
        }
        Condition::Not(inner) => return ("not".into(), vec![inner]),
    };
    (text, Vec::new())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.order.is_empty() { "row order".to_owned() } else { self.order.join(", ") };
        write!(f, "{} in {order}", self.model)?;
        if let Some(limit) = self.limit {
            write!(f, ", limit {limit}")?;
        }
        if self.offset > 0 {
            write!(f, ", offset {}", self.offset)?;
        }
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        write!(f, "\n  {}", count_of(self.rows, "row"))?;
        if let Some(estimated) = self.estimated_rows {
            write!(f, " of an estimated {estimated} that match")?;
        }
        write!(f, ", {} looked at one by one", self.looked_at)?;
        let trips = count_of(self.round_trips, "round trip");
        let (commands, bytes) = (count_of(self.commands, "command"), count_of(self.bytes, "byte"));
        write!(f, "\n  {trips}, {commands}, {} us of scripts, {bytes}", self.script_time.as_micros())?;
        match &self.filter {
            Some(filter) => {
                write!(f, "\n  filter")?;
                filter.print(f, "  ", true)
            }
            None => write!(f, "\n  no filter"),
        }
    }
}

impl PlanFilter {
    fn print(&self, f: &mut fmt::Formatter<'_>, indent: &str, last: bool) -> fmt::Result {
        let branch = if last { "└ " } else { "├ " };
        write!(f, "\n{indent}{branch}{}: {}", self.condition, count_of(self.rows, "row"))?;
        if let Some(estimated) = self.estimated_rows.filter(|estimated| *estimated != self.rows) {
            write!(f, ", estimated {estimated}")?;
        }
        let indent = format!("{indent}{}", if last { "  " } else { "│ " });
        for (at, part) in self.parts.iter().enumerate() {
            part.print(f, &indent, at + 1 == self.parts.len())?;
        }
        Ok(())
    }
}
