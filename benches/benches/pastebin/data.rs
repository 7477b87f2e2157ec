//! The pastes. Each has a number, from which all else follows.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::paste::{ID_LENGTH, Language, Paste};

/// The paste that is measured: a plain text.
pub(crate) const ONE: u64 = 0;
/// Of each text in bytes.
const SIZE: usize = 1_024;
const AUTHORS: u64 = 50;
/// Of the first paste, 2020-01-01. The others follow by seconds: all are so old that their pages
/// say no relative age.
const BEGIN: DateTime<Utc> = DateTime::from_timestamp(1_577_836_800, 0).unwrap();

const LINES: &str = "Things that should not be lost: a list, a log, a letter & a line of code.
    if left < right && name != \"none\" { swap(left, right); }
It can be read by anyone who has the address, and found by anyone at all.
\tCold soup, warm bread, 3 eggs; 'to be continued' <soon>.
";

pub(crate) fn title(at: u64) -> String {
    format!("Note {at}: what was found & what was lost")
}

pub(crate) fn text(at: u64) -> String {
    let mut text = format!("Number {at}.\n");
    while text.len() < SIZE {
        text += LINES;
    }
    // All of it is ASCII.
    text.truncate(SIZE);
    text
}

pub(crate) fn created_at(at: u64) -> DateTime<Utc> {
    let created_at = BEGIN + TimeDelta::seconds(at as i64);
    assert!(Utc::now() - created_at > TimeDelta::days(30), "the page of a new paste changes while it is measured");
    created_at
}

/// As much like random bits as the bits of one number can be.
fn scatter(at: u64) -> u64 {
    let mut bits = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

pub(crate) fn id(at: u64) -> String {
    let bits = scatter(at);
    let letter = |place| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[(bits >> (5 * place)) as usize & 31]);
    (0..ID_LENGTH).map(letter).collect()
}

/// The id that the Python original has for it.
pub(crate) fn uuid(at: u64) -> String {
    Uuid::from_u64_pair(scatter(at), scatter(!at)).to_string()
}

pub(crate) fn paste(at: u64) -> Paste {
    Paste {
        id: id(at),
        title: title(at),
        size: SIZE as u32,
        text: text(at),
        language: Language::ALL[at as usize % Language::ALL.len()].0,
        author: at.is_multiple_of(2).then(|| format!("author {}", at / 2 % AUTHORS)),
        listed: true,
        burn: false,
        delete_key: id(!at),
        created_at: created_at(at),
        expires_at: None,
    }
}
