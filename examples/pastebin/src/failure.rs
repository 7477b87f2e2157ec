//! What went wrong, and the page that says so.

use askama::Template;
use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

#[derive(Debug, Template)]
#[template(path = "failure.html")]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn no_such_page() -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", text: "There is no paste at this address.".into() }
    }

    pub(crate) fn wrong_key() -> Self {
        let text = "This is not the key of the paste. Whoever created the paste has it.".into();
        Self { status: StatusCode::FORBIDDEN, title: "Wrong key", text }
    }

    pub(crate) fn slow() -> Self {
        Self::not_a_paste(StatusCode::REQUEST_TIMEOUT, "The paste took too long to arrive. Please try again.".into())
    }

    pub(crate) fn not_a_paste(status: StatusCode, text: String) -> Self {
        Self { status, title: "Paste not accepted", text }
    }

    fn no_such_list(text: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "List not found", text }
    }

    /// The log has the details. The page does not show them.
    fn ours(status: StatusCode, error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "no answer");
        Self { status, title: "Not available", text: "Something is wrong on our side. Please try again later.".into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Html(self.render().unwrap_or(self.text))).into_response()
    }
}

impl From<subconscious::Error> for Failure {
    fn from(error: subconscious::Error) -> Self {
        match error {
            subconscious::Error::InvalidCursor { .. } => {
                Self::no_such_list("This link does not lead to a page of this list.".into())
            }
            error => Self::ours(StatusCode::SERVICE_UNAVAILABLE, &error),
        }
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Self::ours(StatusCode::INTERNAL_SERVER_ERROR, &error)
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::ours(StatusCode::INTERNAL_SERVER_ERROR, &error)
    }
}

impl From<FormRejection> for Failure {
    fn from(rejection: FormRejection) -> Self {
        Self::not_a_paste(rejection.status(), rejection.body_text())
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self::not_a_paste(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::no_such_list(rejection.body_text())
    }
}
