//! Sets of rows, as bitmaps.

use std::collections::BTreeMap;

pub(crate) use crate::model::layout::{CHUNK, DIRECTORY, SEGMENT};

/// A set of rows. Each segment that has rows has a bitmap; its first row is the highest bit of the
/// first byte.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<u32, Vec<u8>>);

impl Rows {
    /// Sets the rows of a segment.
    pub(crate) fn set_segment(&mut self, segment: u32, bitmap: Vec<u8>) {
        self.0.insert(segment, bitmap);
    }

    /// Adds a row, and returns whether it is new.
    pub(crate) fn insert(&mut self, row: u32) -> bool {
        let bitmap = self.0.entry(row / SEGMENT).or_insert_with(empty);
        let (at, bit) = place(row);
        if bitmap.len() <= at {
            bitmap.resize(SEGMENT as usize / 8, 0);
        }
        let fresh = bitmap[at] & bit == 0;
        bitmap[at] |= bit;
        fresh
    }

    pub(crate) fn has(&self, row: u32) -> bool {
        let (at, bit) = place(row);
        self.0.get(&(row / SEGMENT)).and_then(|bitmap| bitmap.get(at)).is_some_and(|byte| byte & bit != 0)
    }

    /// Removes a row.
    pub(crate) fn remove_row(&mut self, row: u32) {
        let (at, bit) = place(row);
        if let Some(byte) = self.0.get_mut(&(row / SEGMENT)).and_then(|bitmap| bitmap.get_mut(at)) {
            *byte &= !bit;
        }
    }

    /// Removes the rows of another set.
    pub(crate) fn remove(&mut self, others: &Self) {
        for (segment, bitmap) in &mut self.0 {
            let others = others.0.get(segment).into_iter().flatten();
            bitmap.iter_mut().zip(others).for_each(|(byte, other)| *byte &= !other);
        }
    }

    /// The segments that have rows, in ascending order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// The bitmap of a segment, if it has rows.
    pub(crate) fn segment(&self, segment: u32) -> Option<&Vec<u8>> {
        self.0.get(&segment)
    }

    /// The bitmap of a segment, which may be short.
    pub(crate) fn segment_mut(&mut self, segment: u32) -> &mut Vec<u8> {
        self.0.entry(segment).or_default()
    }

    /// Removes the first segment, and returns it with its bitmap.
    pub(crate) fn take_first(&mut self) -> Option<(u32, Vec<u8>)> {
        self.0.pop_first()
    }

    /// Whether no segment was set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.values().flatten().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// The rows in ascending order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0.iter().flat_map(|(segment, bitmap)| {
            bitmap.iter().enumerate().filter(|(_, byte)| **byte != 0).flat_map(move |(at, &byte)| {
                let first = segment * SEGMENT + at as u32 * 8;
                (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| first + bit)
            })
        })
    }
}

/// The bitmap of a segment without rows.
pub(crate) fn empty() -> Vec<u8> {
    vec![0; SEGMENT as usize / 8]
}

/// The bitmap of a segment that has these offsets.
pub(crate) fn bitmap(offsets: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut bitmap = empty();
    insert(&mut bitmap, offsets);
    bitmap
}

/// Adds offsets to a bitmap. Those beyond its end are ignored.
pub(crate) fn insert(bitmap: &mut [u8], offsets: impl Iterator<Item = u32>) {
    for offset in offsets {
        let (at, bit) = (offset as usize / 8, 0x80 >> (offset % 8));
        if let Some(byte) = bitmap.get_mut(at) {
            *byte |= bit;
        }
    }
}

/// The byte of a row in its segment's bitmap, and the bit in the byte.
fn place(row: u32) -> (usize, u8) {
    let offset = row % SEGMENT;
    (offset as usize / 8, 0x80 >> (offset % 8))
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut rows = Rows::default();
        let wanted = [0, 7, 8, 261_887, 261_888, 261_889, 1_000_000, i32::MAX as u32];
        for row in wanted.iter().rev() {
            assert!(rows.insert(*row) && !rows.insert(*row) && rows.has(*row));
        }
        assert_eq!(rows.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(rows.iter().next_back(), wanted.last().copied());
        assert_eq!(rows.len(), 8);
        assert!(!rows.has(1) && !rows.has(261_886) && !rows.has(2_000_000));
        // A bitmap of Redis may be shorter than its segment.
        rows.set_segment(1, vec![0x80]);
        assert!(rows.has(261_888) && !rows.has(261_889) && rows.insert(262_000) && rows.has(261_888));
    }
}
