//! The pages: a form with the newest pastes, a paste, its text alone, and what is shown when something is wrong.

use std::net::SocketAddr;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Form, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, middleware};
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use serde::Deserialize;
use subconscious::{Db, RedisModel};
use tokio::time::timeout;

use crate::callers::{self, PASTES};
use crate::{ID_LENGTH, Paste};

const NEWEST: u64 = 5;
pub(crate) const TEXT_LIMIT: usize = 256 * 1024;
const TITLE_LIMIT: usize = 120;
/// A form sends a byte as up to three, and a line's end, which we keep as one, as two of those.
const BODY_LIMIT: usize = 6 * TEXT_LIMIT + 16 * 1024;
/// So many times that is read of a body that is too long, and so long of any.
const PATIENCE: usize = 20;
const BODY_TIME: Duration = Duration::from_secs(30);
/// Numbers for more lines than this make a page slow.
const NUMBERED_LINES: usize = 5_000;

pub(crate) fn router(db: Db) -> Router {
    let style = ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../templates/style.css"));
    Router::new()
        .route("/", get(home).post(create))
        .route("/{id}", get(show))
        .route("/raw/{id}", get(raw))
        .route("/style.css", get(style))
        .fallback(async || Failure::no_such_page())
        .layer(middleware::map_response(async |response: Response| {
            // What is pasted never runs, even if a mistake of ours let it into a page as it is.
            let policy =
                "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; frame-ancestors 'none'";
            let headers = [(header::CONTENT_SECURITY_POLICY, policy), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (headers, response)
        }))
        .with_state(db)
}

/// What was typed into the form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Draft {
    title: String,
    text: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    newest: Vec<Paste>,
    draft: Draft,
    problem: Option<String>,
}

impl Home {
    async fn page(db: &Db, status: StatusCode, draft: Draft, problem: Option<String>) -> Result<Response, Failure> {
        let newest = Paste::all().order_by(|p| p.created_at.desc()).limit(NEWEST).fetch(db).await?;
        Ok((status, Html(Home { newest, draft, problem }.render()?)).into_response())
    }
}

async fn home(State(db): State<Db>) -> Result<Response, Failure> {
    Home::page(&db, StatusCode::OK, Draft::default(), None).await
}

async fn create(
    State(db): State<Db>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Failure> {
    let limit = size(TEXT_LIMIT);
    let (head, body) = request.into_parts();
    let read = timeout(BODY_TIME, read(body)).await.map_err(|_| Failure::slow())?;
    let Some(body) = read.map_err(|error| Failure::bad_form(StatusCode::BAD_REQUEST, error.to_string()))? else {
        let problem =
            format!("That is far too long: a paste can have {limit}. Go back to what you typed and shorten it.");
        return Home::page(&db, StatusCode::PAYLOAD_TOO_LARGE, Draft::default(), Some(problem)).await;
    };
    let form = Form::<Draft>::from_request(Request::from_parts(head, body.into()), &db).await;
    let Form(mut draft) = form.map_err(|error| Failure::bad_form(error.status(), error.body_text()))?;
    // A form ends lines by CRLF, whatever was typed or pasted into it.
    draft.text = draft.text.replace("\r\n", "\n");
    let title = draft.title.trim();
    let (status, problem) = if draft.text.trim().is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, "There is nothing to paste yet: write or paste some text.".to_owned())
    } else if title.chars().count() > TITLE_LIMIT {
        (StatusCode::UNPROCESSABLE_ENTITY, format!("The title is too long: it can have {TITLE_LIMIT} characters."))
    } else if draft.text.len() > TEXT_LIMIT {
        let found = size(draft.text.len());
        (StatusCode::PAYLOAD_TOO_LARGE, format!("That is too long: it has {found}, and a paste can have {limit}."))
    } else if callers::is_too_many(&db, caller.ip()).await? {
        let problem =
            format!("You paste too fast: an address can make {PASTES} pastes a minute. Try again in a minute.");
        (StatusCode::TOO_MANY_REQUESTS, problem)
    } else {
        let mut paste = Paste::new(Some(title.to_owned()).filter(|title| !title.is_empty()), draft.text);
        paste.insert(&db).await?;
        return Ok(Redirect::to(&format!("/{}", paste.id)).into_response());
    };
    Home::page(&db, status, draft, Some(problem)).await
}

/// The body, or `None` if it is too long. Some of the rest of that is read and thrown away: a browser shows a broken connection,
/// not the answer, if it gets one while it is still sending.
async fn read(body: Body) -> Result<Option<Vec<u8>>, axum::Error> {
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
    Ok((length <= BODY_LIMIT).then_some(kept))
}

#[derive(Template)]
#[template(path = "paste.html")]
struct Shown {
    paste: Paste,
}

async fn show(State(db): State<Db>, id: Result<Path<String>, PathRejection>) -> Result<Html<String>, Failure> {
    Ok(Html(Shown { paste: find(&db, id).await? }.render()?))
}

async fn raw(State(db): State<Db>, id: Result<Path<String>, PathRejection>) -> Result<String, Failure> {
    Ok(find(&db, id).await?.text)
}

async fn find(db: &Db, id: Result<Path<String>, PathRejection>) -> Result<Paste, Failure> {
    match id {
        // Also keeps from the database what it would refuse as an id.
        Ok(Path(id)) if id.len() == ID_LENGTH => Paste::load(db, id).await?.ok_or_else(Failure::no_such_page),
        _ => Err(Failure::no_such_page()),
    }
}

/// What the templates show of a paste.
impl Paste {
    fn heading(&self) -> String {
        let first_line = || self.text.lines().map(str::trim).find(|line| !line.is_empty());
        let heading = self.title.as_deref().or_else(first_line).unwrap_or("Untitled");
        heading.chars().take(TITLE_LIMIT).collect()
    }

    fn size(&self) -> String {
        size(self.text.len())
    }

    fn date(&self) -> String {
        self.created_at.format("%-d %B %Y, %H:%M UTC").to_string()
    }

    fn age(&self) -> String {
        let age = Utc::now() - self.created_at;
        let count = |n: i64, unit: &str| format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" });
        match age {
            _ if age < TimeDelta::minutes(1) => "just now".to_owned(),
            _ if age < TimeDelta::hours(1) => count(age.num_minutes(), "minute"),
            _ if age < TimeDelta::days(1) => count(age.num_hours(), "hour"),
            _ if age < TimeDelta::days(30) => count(age.num_days(), "day"),
            _ => self.date(),
        }
    }

    fn numbered(&self) -> bool {
        self.text.lines().count() <= NUMBERED_LINES
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        // Rounded up, so that what is a little too long never seems to fit.
        _ => format!("{:.1} KiB", (bytes as f64 / 102.4).ceil() / 10.0),
    }
}

/// Why there is no page, and the page that says so.
#[derive(Template)]
#[template(path = "failure.html")]
struct Failure {
    status: StatusCode,
    title: &'static str,
    text: String,
}

impl Failure {
    fn no_such_page() -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Nothing here", text: "There is no paste at this address.".into() }
    }

    fn slow() -> Self {
        Self::bad_form(StatusCode::REQUEST_TIMEOUT, "It took too long to arrive.".into())
    }

    fn bad_form(status: StatusCode, text: String) -> Self {
        Self { status, title: "That was no paste", text }
    }

    /// The details are for those who run the pastebin, not for those who use it.
    fn ours(status: StatusCode, error: &dyn std::error::Error) -> Self {
        eprintln!("pastebin: {error}");
        Self { status, title: "Out of order", text: "Something is wrong on our side. Please try again later.".into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Html(self.render().unwrap_or(self.text))).into_response()
    }
}

impl From<subconscious::Error> for Failure {
    fn from(error: subconscious::Error) -> Self {
        Self::ours(StatusCode::SERVICE_UNAVAILABLE, &error)
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::ours(StatusCode::INTERNAL_SERVER_ERROR, &error)
    }
}
