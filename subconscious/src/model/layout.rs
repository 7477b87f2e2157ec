//! The numbers of the stored layout, which Rust and the scripts share.

/// Rows in a segment. The bitmap of a segment takes 32,736 bytes, and fits its allocation class
/// together with its header.
pub(crate) const SEGMENT: u32 = 261_888;

/// The most rows of a posting list, and of a container that is a set. Redis keeps so many numbers
/// as an array. With one more row, the value of a posting list is divided, and the set becomes a
/// bitmap.
pub(crate) const PROMOTE: u32 = 512;

/// The same in a segment that is not full, if the posting list or the container has its share of
/// [`PROMOTE`] rows.
pub(crate) const PROMOTE_EARLY: u32 = 128;

/// The rows at which the rows of a divided value become a posting list again.
pub(crate) const UNITE: u32 = 128;

/// The rows at which a bitmap becomes a set again.
pub(crate) const DEMOTE: u32 = 64;

/// Rows in a part: the scores of these rows are in one string, which takes 65,504 bytes and fits
/// its allocation class together with its header. A segment has 32 parts.
pub(crate) const PART: u32 = 8184;

/// Parts of a segment.
pub(crate) const PARTS: u32 = SEGMENT / PART;

/// Bytes of a score in the string of a part.
pub(crate) const SCORE: u32 = 8;

/// Bytes of a zone: the least and the greatest score of some rows, between which all of their
/// scores are.
pub(crate) const ZONE: u32 = 2 * SCORE;

/// Bytes of the zones before the scores of a part: the zone of the part and, in the first part of a
/// segment, the zone of the segment.
pub(crate) const ZONES: u32 = 2 * ZONE;

/// Rows in a string of the row directory.
pub(crate) const DIRECTORY: u32 = 65_472;

/// Rows in a hash of the row directory.
pub(crate) const CHUNK: u32 = 128;

/// The greatest number that a row may have.
pub(crate) const LAST_ROW: u32 = i32::MAX as u32;

/// The end of the year 9999, in milliseconds since the Unix epoch: the latest deadline of a record.
pub(crate) const LAST_DEADLINE: u64 = 253_402_300_799_999;

/// The most bytes that an indexed value may have: it becomes part of a key or of a member of a
/// sorted set.
pub(crate) const LONGEST_INDEXED: usize = 1024;
