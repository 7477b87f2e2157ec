//! Stored bytes as text, for messages.

use std::fmt;

/// A key as text, with all bytes that are not printable ASCII escaped.
pub(crate) fn printable(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// The beginning of a value, in quotes and escaped like a key.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 48;
        let cut = &self.0[..self.0.len().min(LONGEST)];
        write!(f, "\"{}\"", cut.escape_ascii())?;
        if cut.len() < self.0.len() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}
