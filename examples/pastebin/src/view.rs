//! Texts, times, sizes and addresses for the templates.

use askama::filters::{Escaper as _, Html};
use chrono::{DateTime, TimeDelta, Utc};
use subconscious::Cursor;

use crate::paste::{Entry, Language, Listing, Paste};

/// With more lines than this, line numbers make a page slow.
const NUMBERED_LINES: usize = 5_000;

/// A text without highlighting, with numbered lines.
pub(crate) fn plain(text: &str) -> String {
    numbered(&escape(text))
}

pub(crate) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    // Writing to a `String` does not fail.
    let _ = Html.write_escaped_str(&mut html, text);
    html
}

/// Puts an element before each line, which the style sheet numbers. No tag spans two lines.
pub(crate) fn numbered(html: &str) -> String {
    if html.lines().count() > NUMBERED_LINES {
        return html.to_owned();
    }
    html.split_inclusive('\n').flat_map(|line| ["<i></i>", line]).collect()
}

impl Listing {
    /// The address of a list, or of the page of it after a cursor.
    pub(crate) fn path(&self, after: Option<&Cursor>) -> String {
        let pairs = [
            ("language", self.language.map(Language::key)),
            ("author", self.author.clone()),
            ("after", after.map(Cursor::to_string)),
        ];
        let given: Vec<(&str, String)> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        // Pairs of strings can always be written.
        format!("/pastes?{}", serde_urlencoded::to_string(given).unwrap_or_default())
    }

    pub(crate) fn in_language(&self, language: Option<&Language>) -> Self {
        Self { language: language.copied(), ..self.clone() }
    }

    pub(crate) fn by_author(&self, author: Option<&str>) -> Self {
        Self { author: author.map(str::to_owned), ..self.clone() }
    }
}

pub(crate) fn date(at: &DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// How long ago or from now a time is.
pub(crate) fn distance(at: &DateTime<Utc>) -> String {
    let distance = *at - Utc::now();
    let (is_ahead, length) = (distance > TimeDelta::zero(), distance.abs());
    let count = |n: i64, unit: &str| {
        let length = format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
        if is_ahead { format!("in {length}") } else { format!("{length} ago") }
    };
    match length {
        _ if length < TimeDelta::minutes(1) => if is_ahead { "in a moment" } else { "just now" }.to_owned(),
        _ if length < TimeDelta::hours(1) => count(length.num_minutes(), "minute"),
        _ if length < TimeDelta::days(1) => count(length.num_hours(), "hour"),
        _ if length < TimeDelta::days(30) => count(length.num_days(), "day"),
        _ => date(at),
    }
}

impl Paste {
    pub(crate) fn length(&self) -> String {
        size(self.text.len())
    }
}

impl Entry {
    pub(crate) fn length(&self) -> String {
        size(self.size as usize)
    }
}

pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        // Rounded up, so that a text just above a limit does not seem to be within it.
        _ => format!("{:.1} KiB", (bytes as f64 / 102.4).ceil() / 10.0),
    }
}
