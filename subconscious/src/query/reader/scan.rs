//! The way in row order.

use std::collections::VecDeque;

use crate::error::Result;
use crate::query::page::{Place, Position, Request};
use crate::query::reader::Reader;
use crate::query::rows::{Rows, SEGMENT};

/// A way in row order.
pub(super) struct Scan {
    /// Rows of the segment that was begun.
    rows: VecDeque<u32>,
    /// Segments to come, of those that were read.
    bitmaps: VecDeque<(u32, Vec<u8>)>,
    /// The segment to be read next, the first one, or none.
    next: Option<Option<u32>>,
    /// Whether all rows match, or their records have to be looked at.
    exact: bool,
    /// The row to begin after.
    after: Option<u32>,
}

impl Scan {
    pub(super) fn after(from: &Position, request: &Request) -> Self {
        let after = String::from_utf8_lossy(&from.first).parse::<u32>().ok();
        let first = match after {
            Some(row) if request.backwards => Some(row.saturating_sub(1) / SEGMENT),
            Some(row) => Some(row.saturating_add(1) / SEGMENT),
            None => None,
        };
        Self { rows: VecDeque::new(), bitmaps: VecDeque::new(), next: Some(first), exact: true, after }
    }
}

impl Reader {
    /// Goes on in row order.
    pub(super) async fn scan(&mut self, scan: &mut Scan, rows: usize, columns: Option<&[usize]>) -> Result<Vec<Place>> {
        let backwards = self.request.backwards;
        let mut taken = Vec::new();
        while taken.len() < rows {
            if scan.exact && self.skip > 0 {
                let left_out = scan.rows.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                scan.rows.drain(..left_out);
                self.skip -= left_out as u64;
            }
            let some = scan.rows.len().min(rows - taken.len());
            taken.extend(scan.rows.drain(..some));
            if !scan.rows.is_empty() {
                continue;
            }
            if let Some((segment, bitmap)) = scan.bitmaps.pop_front() {
                let mut set = Rows::default();
                set.set_segment(segment, bitmap);
                if backwards {
                    scan.rows = set.iter().rev().filter(|&row| scan.after.is_none_or(|after| row < after)).collect();
                } else {
                    scan.rows = set.iter().filter(|&row| scan.after.is_none_or(|after| row > after)).collect();
                }
            } else if let Some(from) = scan.next {
                let part = self.bitmaps(&self.request.condition.clone(), from, backwards).await?;
                scan.next = part.next.map(Some);
                scan.exact &= part.exact;
                scan.bitmaps = part.bitmaps.into();
            } else {
                break;
            }
        }
        let position =
            |row: &u32| Position { code: b"r".to_vec(), first: row.to_string().into_bytes(), second: Vec::new() };
        let ended = scan.rows.is_empty() && scan.bitmaps.is_empty() && scan.next.is_none();
        self.from = taken.last().map(position).filter(|_| !ended);
        let places = self.look_up(&taken, columns).await?;
        let places = if scan.exact { places } else { self.leave_out(places) };
        if self.first.is_none() {
            self.first = places.first().map(|place| position(&place.row));
        }
        Ok(places)
    }
}
