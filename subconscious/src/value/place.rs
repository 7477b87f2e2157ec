//! What the scripts derive from a stored value: its name in an index and its place in a sorted set. `scripts/rows.lua` does the same for the old
//! values of a record.

use super::{Kind, parse};

/// The name of a stored value in an index: equal for values that compare as equal.
pub(crate) fn index_form(kind: Kind, stored: &[u8]) -> &[u8] {
    match (kind, stored) {
        (Kind::Float, b"-0.0") => b"0.0",
        (Kind::Decimal, _) => match without_last_zeros(stored) {
            b"-0" => b"0",
            plain => plain,
        },
        _ => stored,
    }
}

/// A decimal without the zeros that end its fraction, and without the point if they were all of it.
fn without_last_zeros(stored: &[u8]) -> &[u8] {
    if !stored.contains(&b'.') {
        return stored;
    }
    let zeros = stored.iter().rev().take_while(|&&digit| digit == b'0').count();
    let plain = &stored[..stored.len() - zeros];
    plain.strip_suffix(b".").unwrap_or(plain)
}

/// The place of a value in a column's sorted set: ordered by `score`, then by the bytes of `tail`, then by row.
///
/// Where a double holds no other value the tail is empty and the member is the row alone. Beyond
/// that, the tail continues the order: all values that share a score have tails of one form, so that they compare.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    /// Text that Redis reads as a double, rounding to nearest, which keeps the order.
    pub(crate) score: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

/// 2^53: integers below are exact as doubles.
const EXACT: u128 = 1 << 53;

impl SortKey {
    pub(crate) fn of(kind: Kind, stored: &[u8]) -> Self {
        match kind {
            Kind::Float => Self { score: index_form(kind, stored).to_vec(), tail: Vec::new() },
            Kind::Integer => {
                let (negative, digits) = sign_and_digits(stored);
                let exact = digits.len() < 17 && parse::<u128>(digits).is_some_and(|size| size < EXACT);
                let tail = if exact { Vec::new() } else { ordered_digits(negative, digits, &[]) };
                Self { score: stored.to_vec(), tail }
            }
            Kind::Decimal => {
                let plain = index_form(kind, stored);
                let (negative, digits) = sign_and_digits(plain);
                let (whole, fraction) = match digits.iter().position(|&digit| digit == b'.') {
                    Some(point) => (&digits[..point], &digits[point + 1..]),
                    None => (digits, [].as_slice()),
                };
                let zeros = whole.iter().take_while(|&&digit| digit == b'0').count();
                // Any number shares its double with others, so all have a tail. Where the digits of one go on, another's may
                // end: the end is less than a digit, and more than one where all is mirrored.
                let mut tail = ordered_digits(negative, &whole[zeros..], fraction);
                tail.push(if negative { 0xFF } else { 0 });
                Self { score: plain.to_vec(), tail }
            }
            Kind::Nanoseconds => {
                let (negative, digits) = sign_and_digits(stored);
                let size = parse::<u128>(digits).unwrap_or(0) as i128;
                let nanoseconds = if negative { -size } else { size };
                let rest = nanoseconds.rem_euclid(1_000_000) as u32;
                // A whole millisecond needs no tail; rows are below 2^31, so a first byte of 0x80 and up comes after them.
                let tail = if rest == 0 { Vec::new() } else { (rest | 0x80_0000).to_be_bytes()[1..].to_vec() };
                Self { score: nanoseconds.div_euclid(1_000_000).to_string().into_bytes(), tail }
            }
            Kind::Bytes | Kind::Uuid | Kind::Ordinal | Kind::List => {
                Self { score: b"0".to_vec(), tail: escape(stored) }
            }
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let score = |key: &Self| parse::<f64>(&key.score).unwrap_or(0.0);
        score(self).total_cmp(&score(other)).then_with(|| self.tail.cmp(&other.tail))
    }
}

/// Bytes in an order-preserving form that no other one is a prefix of: NUL becomes NUL FF, and NUL NUL ends it.
fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut out = escape_beginning(bytes);
    out.extend_from_slice(&[0, 0]);
    out
}

/// What the forms of all bytes begin with that begin with these.
pub(crate) fn escape_beginning(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out
}

/// Digits ordered as bytes: the count of those before the point first, and all of it mirrored for negative numbers.
fn ordered_digits(negative: bool, whole: &[u8], fraction: &[u8]) -> Vec<u8> {
    // No type has more; what something else stored may.
    let count = whole.len().min(127) as u8;
    let mut out = Vec::with_capacity(whole.len() + fraction.len() + 2);
    if negative {
        out.push(127 - count);
        out.extend(whole.iter().chain(fraction).map(|&digit| (b'0' + b'9').wrapping_sub(digit)));
    } else {
        out.push(128 + count);
        out.extend(whole.iter().chain(fraction));
    }
    out
}

fn sign_and_digits(stored: &[u8]) -> (bool, &[u8]) {
    match stored {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    }
}
