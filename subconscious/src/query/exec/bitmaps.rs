//! Reads which rows match, as bitmaps.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::call::{self, ReplyReader};
use crate::query::exec::rows::{self, SEGMENT};
use crate::query::plan::Node;
use crate::scripts::BITMAPS;
use crate::server::Db;

/// Rows that match, of some segments.
#[derive(Debug)]
pub(crate) struct Bitmaps {
    /// By segment.
    pub(crate) bitmaps: Vec<(u32, Vec<u8>)>,
    /// The segment to go on with.
    pub(crate) next: Option<u32>,
    /// Records of the model.
    pub(crate) total: u64,
    /// Whether all of these rows match, or their records have to be looked at.
    pub(crate) exact: bool,
    /// Of the server.
    pub(crate) microseconds: u64,
}

/// Reads the rows that match, from a segment on. One round trip.
pub(super) async fn read(
    db: &Db,
    target: &Target,
    filter: &Node,
    from: Option<u32>,
    backwards: bool,
) -> Result<Bitmaps> {
    let mut command = call::begin(db, target, &BITMAPS);
    command.arg(from.map(|segment| segment.to_string()).unwrap_or_default()).arg(call::direction(backwards));
    Bitmaps::of(&mut call::run(db, target, &BITMAPS, command, filter).await?)
}

impl Bitmaps {
    /// Bytes of all.
    pub(super) fn size(&self) -> usize {
        self.bitmaps.iter().map(|(_, bitmap)| bitmap.len()).sum()
    }

    /// As `scripts/query/read_bitmaps.lua` says them.
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
