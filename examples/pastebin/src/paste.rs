//! The model of a paste, and the queries for lists.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use subconscious::{ColumnEnum, Db, Page, Query, RedisModel, Result};
use uuid::Uuid;

/// The main model. `Caller` and `Highlighted` are the others; they expire soon.
#[derive(Debug, Clone, RedisModel)]
pub(crate) struct Paste {
    #[column(primary_key)]
    pub(crate) id: String,
    /// As entered, or the first line of the text.
    pub(crate) title: String,
    pub(crate) text: String,
    /// The size of the text in bytes, so that a list need not read the text.
    pub(crate) size: u32,
    #[column(index)]
    pub(crate) language: Language,
    #[column(index)]
    pub(crate) author: Option<String>,
    /// Whether lists show it.
    #[column(index)]
    pub(crate) listed: bool,
    /// Whether it is deleted when it is read.
    pub(crate) burn: bool,
    /// Whoever knows it may delete the paste.
    pub(crate) delete_key: String,
    #[column(sort)]
    pub(crate) created_at: DateTime<Utc>,
    #[column(expires_at)]
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

pub(crate) const ID_LENGTH: usize = 12;
pub(crate) const TITLE_LIMIT: usize = 120;

/// The columns that a list shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) size: u32,
    pub(crate) language: Language,
    pub(crate) author: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// The filters of a list, as they are in its address.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Listing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
}

impl Paste {
    pub(crate) fn new(title: &str, text: String) -> Self {
        let first_line = || text.lines().find(|line| !line.trim().is_empty()).unwrap_or("Untitled");
        Self {
            id: secret(),
            title: one_line(if title.trim().is_empty() { first_line() } else { title }),
            size: u32::try_from(text.len()).unwrap_or(u32::MAX),
            text,
            language: Language::Text,
            author: None,
            listed: true,
            burn: false,
            delete_key: secret(),
            created_at: Utc::now(),
            expires_at: None,
        }
    }

    /// Listed pastes that pass the filters, newest first.
    pub(crate) fn listed(of: &Listing) -> Query<Self> {
        let mut listed = Self::filter_by(|paste| paste.listed.eq(true)).order_by(|paste| paste.created_at.desc());
        if let Some(language) = of.language {
            listed = listed.filter(|paste| paste.language.eq(language));
        }
        if let Some(author) = &of.author {
            listed = listed.filter(|paste| paste.author.eq(author.as_str()));
        }
        listed
    }
}

/// A page of a list.
pub(crate) async fn entries(listed: Query<Paste>, db: &Db) -> Result<Page<Entry>> {
    // Without the texts, which may be long.
    let columns = listed.select(|p| (p.id, p.title, p.size, p.language, p.author, p.created_at, p.expires_at));
    let page = columns.page(db).await?;
    Ok(page.map(|(id, title, size, language, author, created_at, expires_at)| Entry {
        id,
        title,
        size,
        language,
        author,
        created_at,
        expires_at,
    }))
}

/// 60 random bits, which cannot be guessed. Without `i`, `l`, `o` and `u`, which people misread.
fn secret() -> String {
    let random = Uuid::new_v4().as_u128();
    let letter = |at| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[(random >> (5 * at)) as usize & 31]);
    (0..ID_LENGTH).map(letter).collect()
}

/// A text on one line, cut to the length of a title.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(TITLE_LIMIT).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ColumnEnum, Deserialize, Serialize)]
#[column(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    #[default]
    Text,
    Bash,
    C,
    Cpp,
    Css,
    Diff,
    Go,
    Haskell,
    Html,
    Java,
    JavaScript,
    Json,
    Lua,
    Markdown,
    Php,
    Python,
    Ruby,
    Rust,
    Sql,
    Xml,
    Yaml,
}

impl Language {
    /// With the names that people see.
    pub(crate) const ALL: [(Self, &str); 21] = [
        (Self::Text, "Plain text"),
        (Self::Bash, "Bash"),
        (Self::C, "C"),
        (Self::Cpp, "C++"),
        (Self::Css, "CSS"),
        (Self::Diff, "Diff"),
        (Self::Go, "Go"),
        (Self::Haskell, "Haskell"),
        (Self::Html, "HTML"),
        (Self::Java, "Java"),
        (Self::JavaScript, "JavaScript"),
        (Self::Json, "JSON"),
        (Self::Lua, "Lua"),
        (Self::Markdown, "Markdown"),
        (Self::Php, "PHP"),
        (Self::Python, "Python"),
        (Self::Ruby, "Ruby"),
        (Self::Rust, "Rust"),
        (Self::Sql, "SQL"),
        (Self::Xml, "XML"),
        (Self::Yaml, "YAML"),
    ];

    /// As it is stored, sent and found by the highlighter.
    pub(crate) fn key(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(language, _)| *language == self).map_or("", |(_, name)| name)
    }
}

/// How long a paste lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum Expiry {
    #[default]
    #[serde(rename = "never")]
    Never,
    #[serde(rename = "10m")]
    TenMinutes,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

impl Expiry {
    /// With their keys and names.
    pub(crate) const ALL: [(Self, &str, &str); 4] = [
        (Self::Never, "never", "Never"),
        (Self::TenMinutes, "10m", "In 10 minutes"),
        (Self::Hour, "1h", "In an hour"),
        (Self::Day, "1d", "In a day"),
    ];

    pub(crate) fn after(self, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let life = match self {
            Self::Never => return None,
            Self::TenMinutes => TimeDelta::minutes(10),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        };
        Some(created_at + life)
    }
}
