//! The numbers of the stored layout, which Rust and the scripts share.

/// Rows of a segment. A bitmap of one takes 32,736 bytes, and fits its allocation class together
/// with its header.
pub(crate) const SEGMENT: u32 = 261_888;

/// Rows from which on a container is a bitmap.
pub(crate) const PROMOTE: u32 = 512;

/// Rows from which on it is one in a segment that is not full, if it has its share of [`PROMOTE`].
pub(crate) const PROMOTE_EARLY: u32 = 128;

/// Rows down to which it stays a bitmap.
pub(crate) const DEMOTE: u32 = 64;

/// Rows of a string of the row directory.
pub(crate) const DIRECTORY: u32 = 65_472;

/// Rows of a hash of the row directory.
pub(crate) const CHUNK: u32 = 128;

/// The greatest number that a row may have.
pub(crate) const LAST_ROW: u32 = i32::MAX as u32;

/// The end of the year 9999 in milliseconds: a record that is to live longer lives until then.
pub(crate) const LAST_DEADLINE: u64 = 253_402_300_799_999;

/// Bytes that an indexed value may have at most: it becomes part of a key or of a sorted set's
/// member.
pub(crate) const LONGEST_INDEXED: usize = 1024;
