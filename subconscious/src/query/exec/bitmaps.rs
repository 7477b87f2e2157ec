//! Reads the rows that match, as bitmaps.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::call::{self, ReplyReader};
use crate::query::exec::rows::{self, SEGMENT};
use crate::query::plan::Node;
use crate::scripts::BITMAPS;
use crate::server::Db;

/// The rows that match in some segments.
#[derive(Debug)]
pub(crate) struct Bitmaps {
    /// Each segment with its bitmap.
    pub(crate) bitmaps: Vec<(u32, Vec<u8>)>,
    /// The segment to continue with; `None` if all were read.
    pub(crate) next: Option<u32>,
    /// Number of records of the model.
    pub(crate) total: u64,
    /// Whether all of these rows match. Otherwise each has to be tested by its record.
    pub(crate) exact: bool,
    /// Microseconds that the server took.
    pub(crate) microseconds: u64,
}

/// Reads the rows that match, from segment `from` on. One round trip.
pub(super) async fn read(
    db: &Db,
    target: &Target,
    filter: &Node,
    from: Option<u32>,
    backwards: bool,
) -> Result<Bitmaps> {
    let first = from.map(|segment| segment.to_string()).unwrap_or_default();
    call(db, target, filter, first, call::direction(backwards)).await
}

/// Reads the rows of a segment that match. One round trip.
pub(super) async fn of_segment(db: &Db, target: &Target, filter: &Node, segment: u32) -> Result<Bitmaps> {
    call(db, target, filter, segment.to_string(), "only").await
}

async fn call(db: &Db, target: &Target, filter: &Node, first: String, direction: &str) -> Result<Bitmaps> {
    let mut command = call::begin(db, target, &BITMAPS);
    command.arg(first).arg(direction);
    Bitmaps::of(&mut call::run(db, target, &BITMAPS, command, filter).await?)
}

impl Bitmaps {
    /// Number of the rows.
    pub(super) fn count(&self) -> u64 {
        self.bitmaps.iter().flat_map(|(_, bitmap)| bitmap).map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Bytes of all bitmaps.
    pub(super) fn size(&self) -> usize {
        self.bitmaps.iter().map(|(_, bitmap)| bitmap.len()).sum()
    }

    /// Reads what `scripts/query/read_bitmaps.lua` answers.
    pub(super) fn of(reply: &mut ReplyReader<'_>) -> Result<Self> {
        let next = reply.optional()?.map(|segment| segment as u32);
        let (total, exact, microseconds) = (reply.number()?, reply.flag()?, reply.number()?);
        let mut bitmaps = Vec::new();
        while !reply.is_done() {
            let segment = reply.number()?;
            let bitmap = match reply.value()? {
                Value::BulkString(bitmap) => bitmap,
                Value::Array(offsets) => rows::bitmap(offsets.iter().filter_map(|offset| match offset {
                    Value::Int(offset) => u32::try_from(*offset).ok().filter(|offset| *offset < SEGMENT),
                    _ => None,
                })),
                _ => return Err(reply.unknown(b"no rows of a segment")),
            };
            bitmaps.push((segment, bitmap));
        }
        Ok(Self { bitmaps, next, total, exact, microseconds })
    }
}
