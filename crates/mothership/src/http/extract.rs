//! Parts of requests, refused with problem documents. Handlers take no others: the framework's refuse in plain text.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use flash_model::Code;
use flash_model::wire::Problem;
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// A manifest of ten thousand resources has room, and so has every plan file that is read.
const BODY_BYTES_MAX: usize = flash_plan::PLAN_FILE_BYTES_MAX;

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

/// The whole body.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
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
        Ok(Self(body))
    }
}

/// A JSON body, whatever its content type says.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Body(body) = Body::from_request(request, state).await?;
        let value = serde_json::from_slice(&body).map_err(|error| unfit(&error))?;
        Ok(Self(value))
    }
}

/// A document that is not what it should be.
pub(super) fn unfit(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidBody, 422, format!("the body is not what this request takes: {error}"))
}
