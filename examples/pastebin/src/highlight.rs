//! Highlights texts: HTML with the classes of `style.css`. It takes time, so the result is cached
//! in Redis for an hour.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use subconscious::{Db, RedisModel};
use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::failure::Failure;
use crate::paste::{Language, Paste};
use crate::view::{escape, numbered, plain};

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(SyntaxSet::load_defaults_newlines);

/// Prefixes of the scopes that the grammars find, and their classes in the page. The generator of
/// `syntect` writes all scopes, which makes a text ten times as long.
static CLASSES: LazyLock<Vec<(Scope, &str)>> = LazyLock::new(|| {
    let classes = [
        ("comment", "comment"),
        ("string", "string"),
        ("markup.inserted", "string"),
        ("constant", "constant"),
        ("keyword", "keyword"),
        ("storage", "keyword"),
        ("entity.name", "name"),
        ("support.function", "name"),
        ("markup.heading", "name"),
        ("variable.parameter", "parameter"),
        ("entity.other.attribute-name", "parameter"),
        ("markup.deleted", "wrong"),
        ("invalid", "wrong"),
    ];
    classes.iter().filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, *class))).collect()
});

/// Beyond these limits a text is not highlighted, so that no paste keeps a core busy.
const HIGHLIGHTED_TEXT: usize = 64 * 1024;
const HIGHLIGHTED_LINE: usize = 2_000;
const HIGHLIGHTED_TIME: Duration = Duration::from_secs(5);
/// How many texts are highlighted at the same time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A highlighted text. All instances of the program share it, and it expires with its paste.
#[derive(Debug, RedisModel)]
struct Highlighted {
    #[column(primary_key)]
    id: String,
    html: String,
    #[column(expires_at)]
    until: DateTime<Utc>,
}

/// The paste's text as HTML.
pub(crate) async fn html(db: &Db, paste: &Paste) -> Result<String, Failure> {
    if paste.language == Language::Text || paste.text.len() > HIGHLIGHTED_TEXT {
        return Ok(plain(&paste.text));
    }
    if paste.burn {
        return Ok(numbered(&coloured(paste).await?));
    }
    if let Some(kept) = Highlighted::load(db, paste.id.as_str()).await? {
        return Ok(numbered(&kept.html));
    }
    let in_an_hour = Utc::now() + TimeDelta::hours(1);
    let until = paste.expires_at.map_or(in_an_hour, |end| end.min(in_an_hour));
    let mut kept = Highlighted { id: paste.id.clone(), html: coloured(paste).await?, until };
    kept.save(db).await?;
    Ok(numbered(&kept.html))
}

async fn coloured(paste: &Paste) -> Result<String, Failure> {
    let (text, language) = (paste.text.clone(), paste.language);
    // The semaphore is never closed.
    let _turn = TURNS.acquire().await.ok();
    Ok(spawn_blocking(move || highlight(&text, language).unwrap_or_else(|| escape(&text))).await?)
}

pub(crate) async fn forget(db: &Db, id: &str) -> Result<(), Failure> {
    Highlighted::delete_by_id(db, id).await?;
    Ok(())
}

/// `None` if the text is beyond the limits.
fn highlight(text: &str, language: Language) -> Option<String> {
    let syntax = SYNTAXES.find_syntax_by_token(&language.key())?;
    let (mut state, mut scopes) = (ParseState::new(syntax), ScopeStack::new());
    let mut html = String::new();
    let begin = Instant::now();
    for line in text.split_inclusive('\n') {
        if line.len() > HIGHLIGHTED_LINE || begin.elapsed() > HIGHLIGHTED_TIME {
            return None;
        }
        let mut open = None;
        for (part, change) in ScopeRegionIterator::new(&state.parse_line(line, &SYNTAXES).ok()?, line) {
            scopes.apply(change).ok()?;
            let part = part.trim_end_matches('\n');
            let class = if part.is_empty() { open } else { class(&scopes) };
            if class != open {
                html += if open.is_some() { "</b>" } else { "" };
                html += &class.map(|class| format!("<b class={class}>")).unwrap_or_default();
                open = class;
            }
            html += &escape(part);
        }
        html += if open.is_some() { "</b>" } else { "" };
        html += if line.ends_with('\n') { "\n" } else { "" };
    }
    Some(html)
}

/// The class of the innermost scope that has one.
fn class(scopes: &ScopeStack) -> Option<&'static str> {
    let class = |scope: &Scope| CLASSES.iter().find(|(kind, _)| kind.is_prefix_of(*scope)).map(|(_, class)| *class);
    scopes.as_slice().iter().rev().find_map(class)
}

#[test]
fn each_language_has_a_grammar() {
    for (language, name) in Language::ALL {
        let html = highlight("x\n", language);
        assert_eq!(html.is_some(), language != Language::Text, "{name}");
    }
    let html = highlight("let x = \"<b>\"; // &\nx", Language::Rust).unwrap();
    let expected = "<b class=keyword>let</b> x <b class=keyword>=</b> \
                    <b class=string>&#34;&#60;b&#62;&#34;</b>; <b class=comment>// &#38;</b>\nx";
    assert_eq!(html, expected);
}
