//! The little HTTP that measuring needs beside the load generator.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;

use crate::server::Server;

/// Resolution of a measured start.
const POLL: Duration = Duration::from_micros(200);
const CALL_MAX: Duration = Duration::from_secs(10);
const LIVENESS_CHECK_EVERY: u32 = 500;

/// Time from the start of the process to its first 200 on `path`.
///
/// Blocks: an asynchronous timer's resolution of a millisecond would show in the result.
pub(crate) fn time_to_ok(server: &mut Server, path: &str, limit: Duration) -> Result<Duration> {
    let mut tries = 0_u32;
    loop {
        if matches!(status_of(server.address, path), Ok(200)) {
            return Ok(server.started.elapsed());
        }
        if server.started.elapsed() > limit {
            return Err(server.failure(&format!("did not answer {path} within {limit:?}")));
        }
        tries += 1;
        if tries.is_multiple_of(LIVENESS_CHECK_EVERY) {
            server.check_running()?;
        }
        thread::sleep(POLL);
    }
}

fn status_of(address: SocketAddr, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CALL_MAX))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // "HTTP/1.1 200"
    let mut start = [0_u8; 12];
    stream.read_exact(&mut start)?;
    Ok(std::str::from_utf8(&start[9..])?.parse()?)
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes)> {
    call(address, Method::GET, path, "").await
}

/// One request on a connection of its own; a body is JSON.
pub(crate) async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &'static str,
) -> Result<(StatusCode, Bytes)> {
    let request = Request::builder()
        .method(&method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(body))?;
    let mut sender = connect(address).await?;
    exchange(&mut sender, request).await.with_context(|| format!("{method} {path}"))
}

pub(crate) async fn connect<B>(address: SocketAddr) -> Result<SendRequest<B>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped; an error of it is one of the call that it interrupts.
    tokio::spawn(connection);
    Ok(sender)
}

/// Status and whole body of the answer.
pub(crate) async fn exchange<B: Body + 'static>(
    sender: &mut SendRequest<B>,
    request: Request<B>,
) -> Result<(StatusCode, Bytes)> {
    let exchange = async {
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
    };
    Ok(tokio::time::timeout(CALL_MAX, exchange)
        .await
        .with_context(|| format!("no answer within {CALL_MAX:?}"))??)
}
