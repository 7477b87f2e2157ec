//! Which function answers which address.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use subconscious::RedisModel;

use crate::failure::Failure;
use crate::paste::Paste;
use crate::{App, api, layers, pages};

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
        .route("/live.js", get(script(include_str!("../templates/live.js"))))
        .route("/copy.js", get(script(include_str!("../templates/copy.js"))))
        .fallback(async || Failure::no_such_page())
        .layer(middleware::map_response(layers::guard))
        .layer(middleware::from_fn(layers::log))
        .with_state(app)
}

/// A file that is the same until the program changes.
fn fixed(kind: &'static str, text: &'static str) -> impl IntoResponse + Clone {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=600")], text)
}

fn script(text: &'static str) -> impl IntoResponse + Clone {
    fixed("text/javascript; charset=utf-8", text)
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
