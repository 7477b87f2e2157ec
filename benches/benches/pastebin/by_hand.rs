//! The pastebin by hand: the same server and the same pages, and redis-rs on plain keys. A paste is
//! a hash, and those that are listed are in a sorted set, by when they were made.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::Html;
use axum::routing::get;
use chrono::{DateTime, Utc};
use redis::aio::ConnectionManager;
use redis::{Client, cmd, pipe};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NotALanguage;

use crate::pages::{Draft, Home, Newest, Shown};
use crate::paste::{Entry, ID_LENGTH, Language, Paste};
use crate::serve::{self, Limits};
use crate::view::plain;
use crate::{Outcome, layers};

const NEWEST: usize = 10;
const LISTED: &str = "pastes";
const PASTE: [&str; 10] =
    ["title", "text", "size", "language", "author", "listed", "burn", "delete_key", "created_at", "expires_at"];
const ENTRY: [&str; 6] = ["title", "size", "language", "author", "created_at", "expires_at"];

/// Serves until it is ended.
pub(crate) async fn serve(url: &str) -> Outcome<()> {
    let redis = ConnectionManager::new(Client::open(url)?).await?;
    let pages = Router::new()
        .route("/", get(home))
        .route("/{id}", get(show))
        .layer(middleware::map_response(layers::guard))
        .layer(middleware::from_fn(layers::log))
        .with_state(redis);
    let listener = serve::listen("127.0.0.1:0", false).await?;
    println!("by hand: http://{}/", listener.local_addr()?);
    serve::serve(listener, pages, Limits::default(), std::future::pending()).await;
    Ok(())
}

/// In batches of 1,000.
pub(crate) async fn fill(redis: &mut ConnectionManager, pastes: impl Iterator<Item = Paste>) -> Outcome<()> {
    let mut pastes = pastes.peekable();
    while pastes.peek().is_some() {
        let mut batch = pipe();
        for paste in pastes.by_ref().take(1_000) {
            let created_at = paste.created_at.timestamp_micros();
            batch.cmd("ZADD").arg(LISTED).arg(created_at).arg(&paste.id).ignore();
            let hash = batch.cmd("HSET").arg(key(&paste.id));
            hash.arg("title").arg(paste.title).arg("text").arg(paste.text).arg("size").arg(paste.size);
            hash.arg("language").arg(paste.language.key());
            if let Some(author) = paste.author {
                hash.arg("author").arg(author);
            }
            hash.arg("listed").arg(u8::from(paste.listed)).arg("burn").arg(u8::from(paste.burn));
            hash.arg("delete_key").arg(paste.delete_key).arg("created_at").arg(created_at).ignore();
        }
        batch.query_async::<()>(redis).await?;
    }
    Ok(())
}

fn key(id: &str) -> String {
    format!("paste:{id}")
}

fn time(text: String) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(text.parse().ok()?)
}

fn language(text: String) -> Option<Language> {
    Language::deserialize(IntoDeserializer::<NotALanguage>::into_deserializer(text)).ok()
}

/// `None` of a paste that has expired. So much for those that are no pastes.
fn paste(id: String, values: Vec<Option<String>>) -> Option<Paste> {
    let [title, text, size, language_key, author, listed, burn, delete_key, created_at, expires_at] =
        values.try_into().ok()?;
    Some(Paste {
        id,
        title: title?,
        text: text?,
        size: size?.parse().ok()?,
        language: language(language_key?)?,
        author,
        listed: listed? == "1",
        burn: burn? == "1",
        delete_key: delete_key?,
        created_at: time(created_at?)?,
        expires_at: expires_at.and_then(time),
    })
}

fn entry(id: String, values: Vec<Option<String>>) -> Option<Entry> {
    let [title, size, language_key, author, created_at, expires_at] = values.try_into().ok()?;
    Some(Entry {
        id,
        title: title?,
        size: size?.parse().ok()?,
        language: language(language_key?)?,
        author,
        created_at: time(created_at?)?,
        expires_at: expires_at.and_then(time),
    })
}

/// Two round trips: who is the newest, and what they are.
async fn home(State(mut redis): State<ConnectionManager>) -> Result<Html<String>, StatusCode> {
    let ids: Vec<String> =
        cmd("ZREVRANGE").arg(LISTED).arg(0).arg(NEWEST - 1).query_async(&mut redis).await.map_err(out_of_order)?;
    let mut entries = Vec::new();
    if !ids.is_empty() {
        let mut batch = pipe();
        for id in &ids {
            batch.cmd("HMGET").arg(key(id)).arg(&ENTRY);
        }
        let rows: Vec<Vec<Option<String>>> = batch.query_async(&mut redis).await.map_err(out_of_order)?;
        entries.extend(ids.into_iter().zip(rows).filter_map(|(id, row)| entry(id, row)));
    }
    let home = Home { newest: Newest { entries }, draft: Draft::default(), problem: None };
    Ok(Html(home.render().map_err(out_of_order)?))
}

async fn show(
    State(mut redis): State<ConnectionManager>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, StatusCode> {
    if id.len() != ID_LENGTH {
        return Err(StatusCode::NOT_FOUND);
    }
    let row = cmd("HMGET").arg(key(&id)).arg(&PASTE).query_async(&mut redis).await.map_err(out_of_order)?;
    let paste = paste(id, row).ok_or(StatusCode::NOT_FOUND)?;
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut keys = cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|cookie| cookie.strip_prefix("key="));
    let key = keys.find(|key| *key == paste.delete_key).unwrap_or_default().to_owned();
    let html = Some(plain(&paste.text));
    Ok(Html(Shown { paste, html, key }.render().map_err(out_of_order)?))
}

fn out_of_order(error: impl std::error::Error) -> StatusCode {
    tracing::error!(error = %error, "no answer");
    StatusCode::SERVICE_UNAVAILABLE
}
