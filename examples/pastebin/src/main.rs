//! A pastebin: paste a text, get a page for it. The model is [`Paste`], all that is asked of the database is in the
//! handlers.

use std::env::var;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use chrono::{DateTime, Utc};
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// The longest text, in bytes.
const LONGEST: usize = 256 * 1024;

#[derive(Debug, RedisModel)]
struct Paste {
    #[column(primary_key)]
    id: String,
    title: Option<String>,
    text: String,
    #[column(sort)]
    created_at: DateTime<Utc>,
}

impl Paste {
    fn heading(&self) -> &str {
        self.title.as_deref().unwrap_or("Untitled")
    }

    fn date(&self) -> String {
        self.created_at.format("%-d %B %Y, %H:%M UTC").to_string()
    }

    fn size(&self) -> String {
        let lines = self.text.lines().count();
        format!("{lines} line{}, {} bytes", if lines == 1 { "" } else { "s" }, self.text.len())
    }
}

#[derive(Debug, Default, serde::Deserialize)]
struct NewPaste {
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    newest: Vec<Paste>,
    typed: NewPaste,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "paste.html")]
struct Page {
    paste: Paste,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    title: &'static str,
    text: String,
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => Failure::from(error).into_response(),
    }
}

fn problem(status: StatusCode, title: &'static str, text: impl Into<String>) -> Response {
    page(status, &Problem { title, text: text.into() })
}

/// An error that is not the visitor's: it is logged, and a page says no more than that.
struct Failure;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        eprintln!("pastebin: {error}");
        Failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // Not by a template, which may be what failed.
        let text = "The pastebin can't reach its database. Please try again in a moment.";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn show_home(db: &Db, status: StatusCode, typed: NewPaste, problem: Option<String>) -> Result<Response, Failure> {
    let newest = Paste::all().order_by(|p| p.created_at.desc()).limit(5).fetch(db).await?;
    Ok(page(status, &Home { newest, typed, problem }))
}

async fn home(State(db): State<Db>) -> Result<Response, Failure> {
    show_home(&db, StatusCode::OK, NewPaste::default(), None).await
}

async fn create(State(db): State<Db>, form: Result<Form<NewPaste>, FormRejection>) -> Result<Response, Failure> {
    let too_long = format!("A paste has at most {} KiB.", LONGEST / 1024);
    let typed = match form {
        Ok(Form(typed)) => typed,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Ok(problem(StatusCode::PAYLOAD_TOO_LARGE, "Too long", too_long));
        }
        Err(rejection) => return Ok(problem(rejection.status(), "Not a paste", rejection.body_text())),
    };
    if typed.text.len() > LONGEST || typed.title.len() > 200 {
        let why = if typed.text.len() > LONGEST { too_long } else { "A title has at most 200 bytes.".into() };
        return show_home(&db, StatusCode::PAYLOAD_TOO_LARGE, typed, Some(why)).await;
    }
    if typed.text.trim().is_empty() {
        return show_home(&db, StatusCode::UNPROCESSABLE_ENTITY, typed, Some("There is no text to paste.".into()))
            .await;
    }
    let title = Some(typed.title.trim().to_owned()).filter(|title| !title.is_empty());
    let id = Uuid::new_v4().simple().to_string()[..12].to_owned();
    let mut paste = Paste { id, title, text: typed.text, created_at: Utc::now() };
    paste.insert(&db).await?;
    Ok(Redirect::to(&format!("/{}", paste.id)).into_response())
}

async fn show(State(db): State<Db>, Path(id): Path<String>) -> Result<Response, Failure> {
    // An id of another length was never given, and might be too long to ask for.
    let paste = if id.len() == 12 { Paste::load(&db, id).await? } else { None };
    Ok(paste.map_or_else(not_found, |paste| page(StatusCode::OK, &Page { paste })))
}

async fn raw(State(db): State<Db>, Path(id): Path<String>) -> Result<Response, Failure> {
    let paste = if id.len() == 12 { Paste::load(&db, id).await? } else { None };
    // Shown as text whatever it looks like: a paste must not become a page of this site.
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok(paste.map_or_else(not_found, |paste| (headers, paste.text).into_response()))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], include_str!("../templates/style.css"))
}

fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "Not found",
        "There is no such paste. It may never have been, or the address has a typo.",
    )
}

fn router(db: Db) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/paste", post(create))
        .route("/style.css", get(style))
        .route("/raw/{id}", get(raw))
        .route("/{id}", get(show))
        .fallback(async || not_found())
        // Escaped in a form, a byte takes up to three.
        .layer(DefaultBodyLimit::max(3 * LONGEST + 4096))
        .with_state(db)
}

async fn interrupted() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} },
        Err(_) => drop(interrupt.await),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The visitor's server, or a private one, which ends when this is dropped.
    let (_private, url) = match var("REDIS_URL") {
        Ok(url) => (None, url),
        Err(_) => {
            let server = TestServer::start().await?;
            let url = server.url().to_owned();
            (Some(server), url)
        }
    };
    let db = Db::builder().namespace("pastebin").open(&url).await?;
    let address = var("PASTEBIN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = match tokio::net::TcpListener::bind(&address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && var("PASTEBIN_ADDR").is_err() => {
            tokio::net::TcpListener::bind("127.0.0.1:0").await?
        }
        bound => bound?,
    };
    let database =
        if var("REDIS_URL").is_ok() { "the server at REDIS_URL" } else { "a private server, gone when this ends" };
    println!("pastebin at http://{}/ on {database}", listener.local_addr()?);
    axum::serve(listener, router(db)).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}
