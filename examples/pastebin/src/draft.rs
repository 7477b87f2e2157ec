//! A new paste as it is sent, by a form or as JSON, and the rules for it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures::TryStreamExt;
use serde::Deserialize;
use subconscious::RedisModel;
use tokio::time::timeout;

use crate::App;
use crate::callers::{self, PASTES};
use crate::failure::Failure;
use crate::paste::{Expiry, Language, Paste, TITLE_LIMIT};
use crate::view::size;

pub(crate) const TEXT_LIMIT: usize = 256 * 1024;
const AUTHOR_LIMIT: usize = 40;
/// A form sends a byte as up to three bytes. A line's end, which is stored as one byte, is sent as
/// two characters and so as six bytes. JSON takes up to six bytes for one.
const BODY_LIMIT: usize = 6 * TEXT_LIMIT + 16 * 1024;
/// How many times `BODY_LIMIT` is read of a body that is too long, before the connection is closed.
const PATIENCE: usize = 20;
/// How long any body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) author: String,
    pub(crate) language: Language,
    pub(crate) expires: Expiry,
    pub(crate) unlisted: bool,
    pub(crate) burn: bool,
}

impl Draft {
    /// Reads a form or JSON, as `E` says.
    pub(crate) async fn read<E>(request: Request) -> Result<E, Failure>
    where
        E: FromRequest<()>,
        E::Rejection: Into<Failure>,
    {
        let (head, body) = request.into_parts();
        let read = timeout(BODY_TIME, read(body)).await.map_err(|_| Failure::slow())?;
        let body = read.map_err(|error| Failure::not_a_paste(StatusCode::BAD_REQUEST, error.to_string()))?;
        let Some(body) = body else {
            let limit = size(TEXT_LIMIT);
            let text =
                format!("The text is far too long: a paste can have {limit}. Go back to the form and shorten it.");
            return Err(Failure::not_a_paste(StatusCode::PAYLOAD_TOO_LARGE, text));
        };
        E::from_request(Request::from_parts(head, body.into()), &()).await.map_err(Into::into)
    }

    /// Saves the paste, and updates the pages that show the newest ones.
    pub(crate) async fn submit(&self, app: &App, caller: SocketAddr) -> Result<Paste, Failure> {
        let title = self.title.trim();
        let author = self.author.trim();
        let (status, text) = if self.text.trim().is_empty() {
            (StatusCode::UNPROCESSABLE_ENTITY, "There is nothing to paste yet. Enter some text.".to_owned())
        } else if title.chars().count() > TITLE_LIMIT {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("The title is too long: it can have {TITLE_LIMIT} characters."))
        } else if author.chars().count() > AUTHOR_LIMIT {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("The name is too long: it can have {AUTHOR_LIMIT} characters."))
        } else if self.text.len() > TEXT_LIMIT {
            let (found, limit) = (size(self.text.len()), size(TEXT_LIMIT));
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The text is too long: it has {found}, and a paste can have {limit}."),
            )
        } else if callers::is_too_many(&app.db, caller.ip()).await? {
            let text = format!("Too many pastes: you can create {PASTES} in a minute. Try again in a minute.");
            (StatusCode::TOO_MANY_REQUESTS, text)
        } else {
            // Without this, the title would show the beginning of a text that can be read once.
            let title = if self.burn && title.is_empty() { "Burn after reading" } else { title };
            let mut paste = Paste::new(title, self.text.clone());
            paste.language = self.language;
            paste.author = Some(author.to_owned()).filter(|author| !author.is_empty());
            // In a list, anybody could use up a paste that can be read once.
            paste.listed = !self.unlisted && !self.burn;
            paste.burn = self.burn;
            paste.expires_at = self.expires.after(paste.created_at);
            paste.insert(&app.db).await?;
            app.live.tell();
            return Ok(paste);
        };
        Err(Failure::not_a_paste(status, text))
    }
}

/// The body, or `None` if it is too long. Some of the rest is read and thrown away: a browser that
/// gets an answer while it is still sending shows a broken connection instead of the answer.
async fn read(body: Body) -> Result<Option<Bytes>, axum::Error> {
    let (mut kept, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while length <= PATIENCE * BODY_LIMIT
        && let Some(chunk) = chunks.try_next().await?
    {
        length += chunk.len();
        if length <= BODY_LIMIT {
            kept.extend_from_slice(&chunk);
        }
    }
    Ok((length <= BODY_LIMIT).then(|| kept.into()))
}
