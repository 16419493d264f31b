//! Answers that refuse a request, and bodies that are read.

use axum::Json;
use axum::http::StatusCode;
use core_manifest::ServiceName;

use super::types::{Failure, ServicesRequest};

/// An answer, or why there is none.
pub(super) type Answered<T> = Result<T, (StatusCode, Json<Failure>)>;

pub(super) fn failure(status: StatusCode, code: &str, message: &str) -> (StatusCode, Json<Failure>) {
    (status, Json(Failure { code: code.to_owned(), message: message.to_owned(), problems: Vec::new() }))
}

/// The answer if a command is carried out, but its change is not on disk and may be lost.
pub(super) fn not_saved(unsaved: &str) -> (StatusCode, Json<Failure>) {
    let message = format!("it is being done, but {unsaved}; a supervisor that took over now would not know of it");
    failure(StatusCode::INSUFFICIENT_STORAGE, "unsaved", &message)
}

pub(super) fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Answered<T> {
    // If every key is optional, so is the body.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        failure(StatusCode::BAD_REQUEST, "bad-request", &format!("the request cannot be read: {error}"))
    })
}

pub(super) fn services(body: &[u8]) -> Answered<Vec<ServiceName>> {
    let request: ServicesRequest = read(body)?;
    if request.services.is_empty() {
        return Err(failure(StatusCode::BAD_REQUEST, "bad-request", "no service is named"));
    }
    names(&request.services)
}

pub(super) fn names(services: &[String]) -> Answered<Vec<ServiceName>> {
    services
        .iter()
        .map(|name| {
            ServiceName::made(name).map_err(|_| {
                failure(StatusCode::NOT_FOUND, "unknown-service", &format!("there is no service `{name}`"))
            })
        })
        .collect()
}
