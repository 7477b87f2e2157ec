//! The pages: the form with the newest pastes, the list of listed pastes, a paste, its text alone.

use std::net::SocketAddr;

use askama::Template;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Form, Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use subconscious::{Cursor, Db, RedisModel};

use crate::App;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::highlight;
use crate::live::Newest;
use crate::paste::{self, Entry, Expiry, ID_LENGTH, Language, Listing, Paste};

const PAGE: u64 = 20;
/// How many authors the list offers: those with the most pastes.
const AUTHORS: usize = 12;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    newest: Newest,
    draft: Draft,
    problem: Option<String>,
}

pub(crate) async fn home(State(app): State<App>) -> Result<Response, Failure> {
    let home = Home { newest: Newest::of(&app.db).await?, draft: Draft::default(), problem: None };
    Ok(Html(home.render()?).into_response())
}

pub(crate) async fn create(
    State(app): State<App>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Failure> {
    let Form(mut draft) = Draft::read::<Form<Draft>>(request).await?;
    // A form always sends CRLF at the end of a line.
    draft.text = draft.text.replace("\r\n", "\n");
    match draft.submit(&app, caller).await {
        Ok(paste) => {
            // The browser that created the paste may delete it.
            let key =
                format!("key={}; Path=/{}; Max-Age=31536000; HttpOnly; SameSite=Strict", paste.delete_key, paste.id);
            Ok((AppendHeaders([(header::SET_COOKIE, key)]), Redirect::to(&format!("/{}", paste.id))).into_response())
        }
        Err(failure) if failure.status.is_client_error() => {
            let home = Home { newest: Newest::of(&app.db).await?, draft, problem: Some(failure.text) };
            Ok((failure.status, Html(home.render()?)).into_response())
        }
        Err(failure) => Err(failure),
    }
}

#[derive(Template)]
#[template(path = "list.html")]
struct List {
    of: Listing,
    count: u64,
    languages: Vec<(Language, u64)>,
    authors: Vec<(String, u64)>,
    entries: Vec<Entry>,
    previous: Option<Cursor>,
    next: Option<Cursor>,
}

/// Which page of a list.
#[derive(Deserialize)]
pub(crate) struct Turn {
    pub(crate) after: Option<String>,
}

impl Turn {
    pub(crate) async fn page(&self, of: &Listing, db: &Db) -> Result<subconscious::Page<Entry>, Failure> {
        let cursor = self.after.as_deref().map(str::parse::<Cursor>).transpose()?;
        Ok(paste::entries(Paste::listed(of).limit(PAGE).after(cursor), db).await?)
    }
}

pub(crate) async fn list(
    State(App { db, .. }): State<App>,
    of: Result<Query<Listing>, QueryRejection>,
    turn: Result<Query<Turn>, QueryRejection>,
) -> Result<Html<String>, Failure> {
    let (Query(of), Query(turn)) = (of?, turn?);
    let page = turn.page(&of, &db).await?;
    let (listed, any_language, any_author) =
        (Paste::listed(&of), Paste::listed(&of.in_language(None)), Paste::listed(&of.by_author(None)));
    // At the same time: they share round trips.
    let (count, languages, authors) = tokio::try_join!(
        listed.count(&db),
        any_language.count_by(&db, |p| p.language),
        any_author.count_by(&db, |p| p.author),
    )?;
    let authors = authors.into_iter().filter_map(|(author, count)| Some((author?, count))).take(AUTHORS).collect();
    let list = List { of, count, languages, authors, entries: page.items, previous: page.previous, next: page.next };
    Ok(Html(list.render()?))
}

#[derive(Template)]
#[template(path = "paste.html")]
struct Shown {
    paste: Paste,
    /// `None` if the paste can be read once and was not asked for yet.
    html: Option<String>,
    /// The key of the paste, if this browser has it; else empty.
    key: String,
}

pub(crate) async fn show(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Html<String>, Failure> {
    let paste = find(&app.db, id).await?;
    let html = if paste.burn { None } else { Some(highlight::html(&app.db, &paste).await?) };
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut keys = cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|cookie| cookie.strip_prefix("key="));
    let key = keys.find(|key| *key == paste.delete_key).unwrap_or_default().to_owned();
    Ok(Html(Shown { paste, html, key }.render()?))
}

/// Shows a paste that can be read once. Not by `GET`, as programs such as chats open links too.
pub(crate) async fn burn(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Html<String>, Failure> {
    let paste = take(&app.db, id).await?;
    let html = Some(highlight::html(&app.db, &paste).await?);
    Ok(Html(Shown { paste, html, key: String::new() }.render()?))
}

/// Reads and deletes. Of several readers at the same time, one gets the paste.
pub(crate) async fn take(db: &Db, id: Result<Path<String>, PathRejection>) -> Result<Paste, Failure> {
    let paste = find(db, id).await?;
    if !paste.burn {
        return Err(Failure::no_such_page());
    }
    Paste::take(db, paste.id).await?.ok_or_else(Failure::no_such_page)
}

pub(crate) async fn raw(State(app): State<App>, id: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let paste = find(&app.db, id).await?;
    if paste.burn {
        return Ok(Redirect::to(&format!("/{}", paste.id)).into_response());
    }
    Ok(paste.text.into_response())
}

#[derive(Deserialize)]
pub(crate) struct Deletion {
    key: String,
}

pub(crate) async fn delete(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    deletion: Result<Form<Deletion>, FormRejection>,
) -> Result<Redirect, Failure> {
    let Form(Deletion { key }) = deletion?;
    remove(&app, id, key.trim()).await?;
    Ok(Redirect::to("/"))
}

pub(crate) async fn remove(app: &App, id: Result<Path<String>, PathRejection>, key: &str) -> Result<(), Failure> {
    let paste = find(&app.db, id).await?;
    if paste.delete_key != key {
        return Err(Failure::wrong_key());
    }
    paste.delete(&app.db).await?;
    highlight::forget(&app.db, &paste.id).await?;
    app.live.tell();
    Ok(())
}

pub(crate) async fn find(db: &Db, id: Result<Path<String>, PathRejection>) -> Result<Paste, Failure> {
    match id {
        // Other lengths are no ids, and the database would refuse very long ones.
        Ok(Path(id)) if id.len() == ID_LENGTH => Paste::load(db, id).await?.ok_or_else(Failure::no_such_page),
        _ => Err(Failure::no_such_page()),
    }
}
