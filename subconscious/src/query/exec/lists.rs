//! The posting lists of a filter that this program evaluates: see [`evaluate`](super::evaluate).

use std::collections::BTreeSet;

use redis::{Pipeline, Value};

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::rows::Rows;
use crate::query::plan::{Leaf, Node};
use crate::server::Db;
use crate::server::reply;
use crate::value::parse;

/// Values whose posting lists one pipeline reads. Each has up to 512 rows, so that the server needs
/// two milliseconds at most.
const VALUES: usize = 128;

/// The posting lists of a leaf.
#[derive(Default)]
pub(super) struct LeafLists {
    /// Their rows.
    pub(super) rows: Rows,
    /// The values of the leaf that have containers instead, which are read segment by segment;
    /// `None` is null.
    pub(super) divided: Vec<Option<Vec<u8>>>,
}

/// The posting lists of all leaves that a query has read so far. They are read once, and not for
/// each segment.
#[derive(Default)]
pub(super) struct Lists(Vec<(Leaf, LeafLists)>);

/// The column and the values of a leaf that may have posting lists.
fn values(leaf: &Leaf) -> Option<(usize, Vec<Option<&[u8]>>)> {
    match leaf {
        Leaf::Equals { column, value } => Some((*column, vec![Some(value)])),
        Leaf::In { column, values } => Some((*column, values.iter().map(|value| Some(&value[..])).collect())),
        Leaf::Null { column } => Some((*column, vec![None])),
        Leaf::Unique { .. } | Leaf::Ordinals { .. } | Leaf::Range { .. } => None,
    }
}

impl Lists {
    /// What was read of the leaf.
    pub(super) fn get(&self, leaf: &Leaf) -> Option<&LeafLists> {
        self.0.iter().find(|(other, _)| other == leaf).map(|(_, lists)| lists)
    }

    /// Reads the posting lists of leaves that were not read yet. One round trip for each
    /// [`VALUES`] values.
    pub(super) async fn read(&mut self, db: &Db, target: &Target, leaves: &[&Leaf]) -> Result<()> {
        for leaf in leaves {
            let Some((column, values)) = values(leaf) else { continue };
            if self.get(leaf).is_some() {
                continue;
            }
            let (name, mut lists) = (target.schema.columns()[column].name(), LeafLists::default());
            for values in values.chunks(VALUES) {
                read_values(db, target, name, values, &mut lists).await?;
            }
            self.0.push(((*leaf).clone(), lists));
        }
        Ok(())
    }

    /// The segments that may have rows that match; `None` if all may.
    pub(super) fn segments(&self, filter: &Node) -> Option<BTreeSet<u32>> {
        match filter {
            Node::None => Some(BTreeSet::new()),
            Node::Leaf(leaf) => {
                let lists = self.get(leaf).filter(|lists| lists.divided.is_empty())?;
                Some(lists.rows.segments().collect())
            }
            Node::And(parts) => parts.iter().filter_map(|part| self.segments(part)).reduce(|one, two| &one & &two),
            Node::Or(parts) => {
                let mut all = BTreeSet::new();
                for part in parts {
                    all.extend(self.segments(part)?);
                }
                Some(all)
            }
            Node::All | Node::Not(_) => None,
        }
    }
}

/// Reads the posting lists of some values of a column.
async fn read_values(
    db: &Db,
    target: &Target,
    column: &str,
    values: &[Option<&[u8]>],
    lists: &mut LeafLists,
) -> Result<()> {
    let field = |value: &Option<&[u8]>| value.map_or_else(Vec::new, |value| [b":", value].concat());
    let mut pipeline = Pipeline::with_capacity(values.len() + 2);
    // A value may be divided, or united, between two commands. So they are asked before and after.
    let divided = |pipeline: &mut Pipeline| {
        pipeline.cmd("HMGET").arg(target.keys.divided(column));
        for value in values {
            pipeline.arg(field(value));
        }
    };
    divided(&mut pipeline);
    for value in values {
        pipeline.cmd("SMEMBERS").arg(target.keys.list(column, *value));
    }
    divided(&mut pipeline);
    let mut answers = Vec::with_capacity(values.len() + 2);
    for answer in db.send_all(&pipeline).await? {
        answers.push(match answer.map_err(|error| target.wrong_type(error))? {
            Value::Array(answer) | Value::Set(answer) => answer,
            other => return Err(target.unexpected(&other)),
        });
    }
    let [before, rows @ .., after] = &mut answers[..] else { return Err(target.unexpected(&"too few replies")) };
    for (at, (value, rows)) in values.iter().zip(rows).enumerate() {
        let is_divided = [&*before, &*after].iter().any(|fields| !matches!(fields.get(at), Some(Value::Nil)));
        if rows.is_empty() && is_divided {
            lists.divided.push(value.map(<[u8]>::to_vec));
        }
        for row in rows.drain(..) {
            if let Some(row) = parse(&reply::bytes(row)) {
                lists.rows.insert(row);
            }
        }
    }
    Ok(())
}
