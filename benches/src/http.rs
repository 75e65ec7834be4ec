//! The little HTTP that measuring needs beside the load generator.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;

use crate::server::Server;

/// Resolution of a measured start.
const POLL: Duration = Duration::from_micros(200);
const CALL_MAX: Duration = Duration::from_secs(5);
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
    tokio::time::timeout(CALL_MAX, async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request =
            Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        driver.abort();
        Ok((status, body))
    })
    .await
    .with_context(|| format!("no answer to GET {path} within {CALL_MAX:?}"))?
}
