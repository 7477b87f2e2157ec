//! The pages that the pastebin's templates make, so that the pages by hand are the same to the
//! byte. (Those of the pastebin itself can't be included: they belong to handlers that ask the
//! library. `benches/templates` is a link to the templates.)

use askama::Template;

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
