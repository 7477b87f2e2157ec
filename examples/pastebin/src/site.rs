//! Which address leads where, and what holds for all of them.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use subconscious::RedisModel;

use crate::failure::Failure;
use crate::paste::Paste;
use crate::{App, api, pages};

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(pages::home).post(pages::create))
        .route("/pastes", get(pages::list))
        .route("/live", get(async |State(app): State<App>| app.live.events(&app.db).await))
        .route("/{id}", get(pages::show))
        .route("/{id}/burn", post(pages::burn))
        .route("/{id}/delete", post(pages::delete))
        .route("/raw/{id}", get(pages::raw))
        .route("/api/pastes", get(api::list).post(api::create))
        .route("/api/pastes/{id}", get(api::show).delete(api::delete))
        .route("/api/pastes/{id}/burn", post(api::burn))
        .route("/api/languages", get(api::languages))
        .route("/healthz", get(health))
        .route("/style.css", get(fixed("text/css; charset=utf-8", include_str!("../templates/style.css"))))
        .route("/live.js", get(fixed("text/javascript; charset=utf-8", include_str!("../templates/live.js"))))
        .fallback(async || Failure::no_such_page())
        .layer(middleware::map_response(guard))
        .layer(middleware::from_fn(log))
        .with_state(app)
}

/// A file that is the same until the program changes.
fn fixed(kind: &'static str, text: &'static str) -> impl IntoResponse + Clone {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=600")], text)
}

/// Whether the database answers.
async fn health(State(app): State<App>) -> Result<&'static str, (StatusCode, &'static str)> {
    match Paste::exists(&app.db, "healthz").await {
        Ok(_) => Ok("ok\n"),
        Err(error) => {
            tracing::error!(error = %error, "not healthy");
            Err((StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"))
        }
    }
}

async fn guard(mut response: Response) -> Response {
    // What is pasted never runs, even if a mistake of ours let it into a page as it is.
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                  form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The address of an unlisted paste is known to nobody else.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What was burnt, deleted or has expired is gone.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A line for each request: with its route, as the address of a paste may be a secret.
async fn log(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let begin = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, microseconds) = (response.status().as_u16(), begin.elapsed().as_micros() as u64);
    tracing::info!(%method, route, status, microseconds, "request");
    response
}
