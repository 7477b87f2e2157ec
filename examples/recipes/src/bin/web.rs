//! A web service with axum: the `Db` is its state, and each error becomes an HTTP status.
//!
//! It uses a unique column and a version, which is sent as an `ETag`. A change of an old version is
//! answered with 412.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use subconscious::{Db, Error, RedisModel};
use tower::ServiceExt;

#[derive(Debug, RedisModel, Serialize)]
struct Account {
    #[column(primary_key, auto_increment)]
    id: u64,
    #[column(unique)]
    email: String,
    name: String,
    #[column(version)]
    #[serde(skip)]
    version: u64,
}

/// What a client sends.
#[derive(Deserialize)]
struct Draft {
    email: String,
    name: String,
}

/// One `Db` serves all requests: a clone is cheap, and all clones share a connection.
fn service(db: Db) -> Router {
    Router::new().route("/accounts", post(create)).route("/accounts/{id}", get(show).put(change)).with_state(db)
}

async fn create(State(db): State<Db>, Json(draft): Json<Draft>) -> Result<Response, Failure> {
    let mut account = Account { id: 0, email: draft.email, name: draft.name, version: 0 };
    account.insert(&db).await?;
    Ok((StatusCode::CREATED, tagged(account)).into_response())
}

async fn show(State(db): State<Db>, Path(id): Path<u64>) -> Result<Response, Failure> {
    let account = Account::load(&db, id).await?.ok_or(StatusCode::NOT_FOUND)?;
    Ok(tagged(account).into_response())
}

async fn change(
    State(db): State<Db>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    Json(draft): Json<Draft>,
) -> Result<Response, Failure> {
    let tag = headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()?.trim_matches('"').parse().ok());
    let version = tag.ok_or(StatusCode::PRECONDITION_REQUIRED)?;
    let mut account = Account { id, email: draft.email, name: draft.name, version };
    account.update(&db).await?;
    Ok(tagged(account).into_response())
}

fn tagged(account: Account) -> impl IntoResponse {
    ([(header::ETAG, format!("\"{}\"", account.version))], Json(account))
}

struct Failure(StatusCode);

impl From<StatusCode> for Failure {
    fn from(status: StatusCode) -> Self {
        Self(status)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(match error {
            _ if error.is_conflict() => StatusCode::PRECONDITION_FAILED,
            _ if error.is_duplicate() => StatusCode::CONFLICT,
            _ if error.is_not_found() => StatusCode::NOT_FOUND,
            Error::BadData { .. } | Error::OutOfRange { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => {
                eprintln!("{error}");
                StatusCode::SERVICE_UNAVAILABLE
            }
        })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (db, _server) = recipes::open("recipes-web").await?;
    let service = service(db.clone());
    // A real program would call `axum::serve` now. This one calls itself.
    let ask = async |method: Method, path: &str, tag: Option<&str>, body: &str| {
        let mut request = Request::builder().method(&method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(tag) = tag {
            request = request.header(header::IF_MATCH, tag);
        }
        let response = service.clone().oneshot(request.body(body.to_owned()).unwrap_or_default()).await?;
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or("none");
        println!("{method} {path}: {}, tag {tag}", response.status());
        Ok::<_, std::convert::Infallible>(())
    };
    ask(Method::POST, "/accounts", None, r#"{"email": "ada@example.org", "name": "Ada"}"#).await?;
    ask(Method::POST, "/accounts", None, r#"{"email": "ada@example.org", "name": "Another"}"#).await?;
    ask(Method::GET, "/accounts/1", None, "").await?;
    ask(Method::PUT, "/accounts/1", Some("\"1\""), r#"{"email": "ada@example.org", "name": "Ada L."}"#).await?;
    // Somebody who has seen only the first version.
    ask(Method::PUT, "/accounts/1", Some("\"1\""), r#"{"email": "ada@example.org", "name": "ada"}"#).await?;
    ask(Method::GET, "/accounts/2", None, "").await?;
    Account::all().delete(&db).await?;
    Ok(())
}
