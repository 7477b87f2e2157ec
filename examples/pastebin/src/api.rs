//! The same as JSON: `/api/pastes` and `/api/languages`.
//!
//! | | |
//! | --- | --- |
//! | `POST /api/pastes` | creates a paste, and answers with its `id` and `delete_key` |
//! | `GET /api/pastes?language=..&author=..&after=..` | a page of listed pastes, and `next` |
//! | `GET /api/pastes/{id}` | a paste; without its text if it can be read once |
//! | `POST /api/pastes/{id}/burn` | reads and deletes a paste that can be read once |
//! | `DELETE /api/pastes/{id}` | deletes a paste, by `Authorization: Bearer <delete_key>` |
//! | `GET /api/languages?author=..` | the number of pastes in each language |
//!
//! A new paste is `{"text": ".."}`. It may also have `title`, `author`, `language`, `unlisted`,
//! `burn`, and `expires` (`10m`, `1h`, `1d` or `never`). An error is `{"error": ".."}`.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::App;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::pages::{self, Turn};
use crate::paste::{Entry, Language, Listing, Paste};

/// A failure as JSON.
pub(crate) struct Told(Failure);

impl<E: Into<Failure>> From<E> for Told {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        (self.0.status, Json(Body { error: self.0.text })).into_response()
    }
}

#[derive(Serialize)]
struct Sent {
    id: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    size: u32,
    language: Language,
    author: Option<String>,
    unlisted: bool,
    burn: bool,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_key: Option<String>,
}

impl From<Paste> for Sent {
    fn from(paste: Paste) -> Self {
        Self {
            id: paste.id,
            title: paste.title,
            text: Some(paste.text),
            size: paste.size,
            language: paste.language,
            author: paste.author,
            unlisted: !paste.listed,
            burn: paste.burn,
            created_at: paste.created_at,
            expires_at: paste.expires_at,
            delete_key: None,
        }
    }
}

pub(crate) async fn create(
    State(app): State<App>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Told> {
    let Json(draft) = Draft::read::<Json<Draft>>(request).await?;
    let paste = draft.submit(&app, caller).await?;
    let (place, delete_key) = (format!("/api/pastes/{}", paste.id), Some(paste.delete_key.clone()));
    let sent = Sent { text: None, delete_key, ..paste.into() };
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(sent)).into_response())
}

pub(crate) async fn list(
    State(app): State<App>,
    of: Result<Query<Listing>, QueryRejection>,
    turn: Result<Query<Turn>, QueryRejection>,
) -> Result<Response, Told> {
    #[derive(Serialize)]
    struct Body {
        pastes: Vec<Entry>,
        next: Option<String>,
    }
    let (Query(of), Query(turn)) = (of?, turn?);
    let page = turn.page(&of, &app.db).await?;
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(Json(Body { pastes: page.items, next }).into_response())
}

pub(crate) async fn show(State(app): State<App>, id: Result<Path<String>, PathRejection>) -> Result<Response, Told> {
    let paste = pages::find(&app.db, id).await?;
    let mut sent = Sent::from(paste);
    sent.text = sent.text.filter(|_| !sent.burn);
    Ok(Json(sent).into_response())
}

pub(crate) async fn burn(State(app): State<App>, id: Result<Path<String>, PathRejection>) -> Result<Response, Told> {
    Ok(Json(Sent::from(pages::take(&app.db, id).await?)).into_response())
}

pub(crate) async fn delete(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Told> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
    pages::remove(&app, id, key).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn languages(
    State(app): State<App>,
    of: Result<Query<Listing>, QueryRejection>,
) -> Result<Response, Told> {
    #[derive(Serialize)]
    struct Group {
        language: Language,
        count: u64,
    }
    let Query(of) = of?;
    let groups = Paste::listed(&of).count_by(&app.db, |paste| paste.language).await?;
    let groups: Vec<Group> = groups.into_iter().map(|(language, count)| Group { language, count }).collect();
    Ok(Json(groups).into_response())
}
