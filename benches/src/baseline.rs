//! The ceiling: the same function on bare hyper, without any Python. Shows what the load generator can do at most.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/ping") => (StatusCode::OK, r#"{"status":"healthy"}"#.to_owned()),
        (&Method::POST, "/add") => match request.into_body().collect().await {
            Ok(body) => add(&body.to_bytes()),
            Err(_) => (StatusCode::BAD_REQUEST, String::new()),
        },
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

fn add(body: &[u8]) -> (StatusCode, String) {
    let arguments: Value = serde_json::from_slice(body).unwrap_or_default();
    match (arguments["x"].as_i64(), arguments["y"].as_i64()) {
        (Some(x), Some(y)) => (StatusCode::OK, (x + y).to_string()),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, String::new()),
    }
}
