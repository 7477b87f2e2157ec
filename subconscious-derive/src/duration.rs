//! Durations as they are written in attributes: `"90s"`, `"1h 30m"`.

/// Milliseconds of each unit, the longest first.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest lifetime, 10,000 years in milliseconds. Redis keeps expiries in 64 bits of
/// milliseconds and refuses sums that overflow, and no record has to live longer than this.
const LONGEST: u64 = 10_000 * 365 * 86_400_000;

/// The duration in milliseconds, or what is wrong with it.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let malformed = || {
        let units = UNITS.map(|(unit, _)| format!("`{unit}`")).join(", ");
        format!("expected a duration such as \"90s\" or \"1h 30m\", of whole numbers with the units {units}")
    };
    let too_long = || "a record can live for at most 10,000 years".to_owned();
    let (mut rest, mut sum) = (text.trim(), 0_u64);
    if rest.is_empty() {
        return Err(malformed());
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit()).ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = UNITS.into_iter().find(|(known, _)| *known == unit).ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        sum = part.and_then(|part| sum.checked_add(part)).filter(|sum| *sum <= LONGEST).ok_or_else(too_long)?;
        rest = tail.trim_start();
    }
    if sum == 0 {
        return Err("a record cannot live for no time".to_owned());
    }
    Ok(sum)
}
