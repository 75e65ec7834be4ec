//! Parts of requests, refused with problem documents.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use flash_model::wire::Problem;
use flash_model::{Code, ResourceName};
use serde::de::DeserializeOwned;

use super::super::problem::Refusal;

/// A manifest of ten thousand resources has room.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Captures of the path, percent-decoded.
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(captures)) => Ok(Self(captures)),
            Err(error) => Err(Problem::new(Code::NoRoute, 404, error.body_text()).into()),
        }
    }
}

/// Parameters after the `?`.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(Problem::new(Code::InvalidBody, 400, error.body_text()).into()),
        }
    }
}

/// A JSON body, whatever its content type says.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|error| {
            let too_large = std::error::Error::source(&error)
                .is_some_and(|source| source.to_string().contains("length limit"));
            if too_large {
                let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
                Problem::new(Code::PayloadTooLarge, 413, detail)
            } else {
                Problem::new(Code::InvalidBody, 400, "the body ended before it was complete")
            }
        })?;
        let value = serde_json::from_slice(&body).map_err(|error| unfit(&error))?;
        Ok(Self(value))
    }
}

/// A document that is not what it should be.
pub(super) fn unfit(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidBody, 422, format!("the body is not what this request takes: {error}"))
}

pub(super) fn resource_name(text: String) -> Result<ResourceName, Refusal> {
    ResourceName::new(text)
        .map_err(|invalid| Problem::new(Code::StateNotFound, 404, invalid.to_string()).into())
}
