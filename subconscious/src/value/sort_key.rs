//! What the scripts derive from a stored value: its name in an index and its place in a sorted set.
//! Rust derives it for filters, bounds and orders, `scripts/shared/rows.lua` for records.

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

/// A decimal without the trailing zeros of its fraction, and without the point if the fraction has
/// only zeros. Bytes that are not a decimal stay as they are.
fn without_last_zeros(stored: &[u8]) -> &[u8] {
    let Some(point) = stored.iter().position(|&byte| byte == b'.') else { return stored };
    let (whole, fraction) = (sign_and_digits(&stored[..point]).1, &stored[point + 1..]);
    if !is_number(whole) || !fraction.iter().all(u8::is_ascii_digit) {
        return stored;
    }
    match fraction.iter().rposition(|&digit| digit != b'0') {
        Some(last) => &stored[..=point + 1 + last],
        None => &stored[..point],
    }
}

/// The sort key of a value. The sorted set of a column is ordered by `score`, then by the bytes of
/// `tail`, then by row.
///
/// If no other value has the same score, the tail is empty and the member is the row alone.
/// Otherwise the tail continues the order. All values that share a score have tails of the same
/// form, so that the tails can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    /// Text that Redis reads as a double. Redis rounds to the nearest double, which keeps the
    /// order.
    pub(crate) score: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

/// 2^53: integers below it are exact as doubles.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

impl Kind {
    /// Whether a value of this kind with this score surely has no tail, so that no other value has
    /// the score.
    pub(crate) fn is_alone(self, score: f64) -> bool {
        self == Kind::Float || self == Kind::Integer && score.abs() < EXACT
    }
}

/// A stored value that is not a number of the column's kind counts as 0. Only another program can
/// have stored it.
impl SortKey {
    pub(crate) fn of(kind: Kind, stored: &[u8]) -> Self {
        let (negative, digits) = sign_and_digits(stored);
        match kind {
            Kind::Float => Self::exact(if is_float(stored) { score(stored) } else { b"0".to_vec() }),
            Kind::Integer => {
                let whole = without_first_zeros(digits);
                if !is_number(whole) {
                    Self::exact(b"0".to_vec())
                } else if is_exact(whole) {
                    Self::exact(stored.to_vec())
                } else {
                    Self { score: score(stored), tail: ordered_digits(negative, whole, &[]) }
                }
            }
            Kind::Decimal => {
                let plain = index_form(kind, stored);
                let (negative, digits) = sign_and_digits(plain);
                let (whole, fraction) = match digits.iter().position(|&digit| digit == b'.') {
                    Some(point) => (&digits[..point], &digits[point + 1..]),
                    None => (digits, [].as_slice()),
                };
                let whole = without_first_zeros(whole);
                let fraction =
                    &fraction[..fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1)];
                // Any number shares its double with others, so all have a tail. The digits of one
                // number may end where those of another continue. So the end is marked by a byte
                // that is less than any digit, or greater than any digit if the digits are
                // mirrored.
                if !whole.iter().chain(fraction).all(u8::is_ascii_digit) || whole.is_empty() && fraction.is_empty() {
                    return Self { score: b"0".to_vec(), tail: vec![128, 0] };
                }
                let mut tail = ordered_digits(negative, whole, fraction);
                tail.push(if negative { 0xFF } else { 0 });
                Self { score: score(plain), tail }
            }
            Kind::Nanoseconds => {
                let whole = without_first_zeros(digits);
                if !is_number(whole) {
                    return Self::exact(b"0".to_vec());
                }
                let milliseconds = &whole[..whole.len().saturating_sub(6)];
                if !is_exact(milliseconds) {
                    let sign: &[u8] = if negative { b"-" } else { b"" };
                    let score = score(&[sign, milliseconds].concat());
                    return Self { score, tail: ordered_digits(negative, whole, &[]) };
                }
                let size = parse::<i128>(whole).unwrap_or(0);
                let nanoseconds = if negative { -size } else { size };
                let rest = nanoseconds.rem_euclid(1_000_000) as u32;
                // A whole millisecond needs no tail. Other tails begin with a byte of at least
                // 0x80, which comes after all rows, as rows are below 2^31.
                let tail = if rest == 0 { Vec::new() } else { (rest | 0x80_0000).to_be_bytes()[1..].to_vec() };
                Self { score: nanoseconds.div_euclid(1_000_000).to_string().into_bytes(), tail }
            }
            Kind::Bytes | Kind::Uuid | Kind::Ordinal | Kind::List => {
                Self { score: b"0".to_vec(), tail: escape(stored) }
            }
        }
    }

    /// The sort key of a value that shares its score with no other value.
    fn exact(score: Vec<u8>) -> Self {
        Self { score, tail: Vec::new() }
    }

    /// The score as the server reads it.
    pub(crate) fn double(&self) -> f64 {
        parse(&self.score).unwrap_or(0.0)
    }

    pub(crate) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.double().total_cmp(&other.double()).then_with(|| self.tail.cmp(&other.tail))
    }
}

/// Encodes bytes so that their order is kept and no encoding is a prefix of another: NUL becomes
/// NUL FF, and NUL NUL ends the encoding.
fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut out = escape_beginning(bytes);
    out.extend_from_slice(&[0, 0]);
    out
}

/// The common beginning of the encodings of all byte strings that begin with `bytes`.
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

/// Encodes digits so that they are ordered as bytes: first the number of digits before the point,
/// then the digits. All of this is mirrored for negative numbers.
fn ordered_digits(negative: bool, whole: &[u8], fraction: &[u8]) -> Vec<u8> {
    // No type has more digits, but a value that another program stored may.
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

fn without_first_zeros(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|&&digit| digit == b'0').count()..]
}

/// Whether there are digits, and nothing else.
fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Whether no other integer has the same double as this one.
fn is_exact(digits: &[u8]) -> bool {
    parse::<f64>(digits).unwrap_or(0.0) < EXACT
}

/// Whether this is a decimal number, which may have a point or an exponent, or an infinity. It
/// accepts fewer forms than Rust, Lua and Redis do, because these differ in what they accept.
fn is_float(stored: &[u8]) -> bool {
    let plain = |&byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    matches!(stored, b"inf" | b"-inf")
        || stored.iter().all(plain) && stored.first() != Some(&b'+') && parse::<f64>(stored).is_some()
}

/// A number as a score that Redis accepts. Redis refuses numbers beyond the range of a double.
fn score(number: &[u8]) -> Vec<u8> {
    match parse::<f64>(number) {
        Some(0.0) => b"0".to_vec(),
        Some(f64::INFINITY) => b"inf".to_vec(),
        Some(f64::NEG_INFINITY) => b"-inf".to_vec(),
        _ => number.to_vec(),
    }
}
