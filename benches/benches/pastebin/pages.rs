//! What the pastebin's templates ask for, so that the pages by hand are the same to the byte. (Those of the pastebin itself
//! can't be included: they belong to handlers that ask the library. `benches/templates` is a link to the templates.)

use askama::Template;
use askama::filters::{Escaper as _, Html};
use chrono::{DateTime, TimeDelta, Utc};

use crate::paste::{Entry, Expiry, Language, Listing, Paste};

/// The form, which is empty.
#[derive(Default)]
pub(crate) struct Draft {
    title: String,
    text: String,
    author: String,
    language: Language,
    expires: Expiry,
    unlisted: bool,
    burn: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    pub(crate) newest: Newest,
    pub(crate) draft: Draft,
    pub(crate) problem: Option<String>,
}

#[derive(Template)]
#[template(path = "newest.html")]
pub(crate) struct Newest {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Template)]
#[template(path = "paste.html")]
pub(crate) struct Shown {
    pub(crate) paste: Paste,
    pub(crate) html: Option<String>,
    pub(crate) key: String,
}

/// A plain text with an element before each line, which the style sheet numbers.
pub(crate) fn numbered(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    // A string takes what is written to it.
    let _ = Html.write_escaped_str(&mut html, text);
    html.split_inclusive('\n').flat_map(|line| ["<i></i>", line]).collect()
}

impl Listing {
    fn by_author(&self, author: Option<&str>) -> Self {
        Self { author: author.map(str::to_owned), ..self.clone() }
    }

    fn path(&self, after: Option<&str>) -> String {
        let pairs = [
            ("language", self.language.map(Language::key)),
            ("author", self.author.clone()),
            ("after", after.map(str::to_owned)),
        ];
        let given: Vec<(&str, String)> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        format!("/pastes?{}", serde_urlencoded::to_string(given).unwrap_or_default())
    }
}

impl Paste {
    fn length(&self) -> String {
        size(self.text.len())
    }
}

impl Entry {
    fn length(&self) -> String {
        size(self.size as usize)
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} KiB", (bytes as f64 / 102.4).ceil() / 10.0),
    }
}

pub(crate) fn date(at: &DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// The date: the pastes of the benchmark are too old for anything else.
pub(crate) fn distance(at: &DateTime<Utc>) -> String {
    let distance = *at - Utc::now();
    assert!(distance.abs() > TimeDelta::days(30), "the page of a new paste changes while it is measured");
    date(at)
}
