//! `POST /_flash/call/{function}`: one function called by name, past routes and queue.

use flash_model::Code;
use flash_model::wire::PICKLE_CONTENT_TYPE;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use hyper::body::Incoming;

use super::Gateway;
use super::respond::{self, Response};
use super::spans::trace_of;
use crate::refusal::Refusal;
use crate::worker::Call;
use crate::worker::protocol::CallHeader;

impl Gateway {
    pub(super) async fn call_function(
        &self,
        name: &str,
        request: Request<Incoming>,
    ) -> Result<Response, Refusal> {
        let form = form(&request)?;
        if form == Form::Pickle || !self.guard.is_loopback() {
            self.authorize(request.headers())?;
        }
        let target = self.functions.find(name)?;
        let header = CallHeader {
            form: form.name().into(),
            function: Some(target.function.name.as_str().into()),
            // A pickle names its method itself.
            method: target.method.filter(|_| form == Form::Json).map(Into::into),
            ..CallHeader::default()
        };
        let (parts, body) = request.into_parts();
        let call = Call {
            function: name,
            is_sync: target.is_sync(),
            trace: trace_of(&parts.extensions),
            header: header.encode(),
            body: respond::read_body(body).await?,
        };
        Ok(respond::bytes(form.content_type(), self.pool.call(call).await?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Pickle,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Pickle => "pickle",
        }
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Self::Json => respond::JSON,
            Self::Pickle => HeaderValue::from_static(PICKLE_CONTENT_TYPE),
        }
    }
}

fn form(request: &Request<Incoming>) -> Result<Form, Refusal> {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type {
        "application/json" => Ok(Form::Json),
        PICKLE_CONTENT_TYPE => Ok(Form::Pickle),
        other => {
            let detail =
                format!("content type {other:?} is neither application/json nor {PICKLE_CONTENT_TYPE}");
            Err(Refusal::new(Code::InvalidBody, 415, detail))
        }
    }
}
