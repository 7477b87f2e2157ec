//! `bytes::Bytes` as a column type, stored in the same way as a `Vec<u8>`.

use super::{ColumnValue, IndexValue, KeyValue, Kind, SortValue, ValueError};
use bytes::Bytes;

impl ColumnValue for Bytes {
    const TYPE: &'static str = "bytes";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        out.extend_from_slice(self);
        Ok(())
    }
    fn decode(stored: &[u8]) -> Result<Self, ValueError> {
        Ok(Bytes::copy_from_slice(stored))
    }
    fn decode_owned(stored: Vec<u8>) -> Result<Self, ValueError> {
        Ok(stored.into())
    }
}

mark!(Bytes);
