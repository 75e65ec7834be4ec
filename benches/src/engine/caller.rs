//! One connection of the load generator. What a call costs here is taken from the servers that share the machine, so a request is a
//! text that was put together before, and an answer is looked at no further than needed to know that it is the right one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 32;

/// What every caller of a target sends, and the body that it shall be answered.
#[derive(Debug)]
pub(super) struct Call {
    request: Vec<u8>,
    answer: &'static [u8],
}

impl Call {
    pub(super) fn post(address: SocketAddr, path: &str, body: &str, answer: &'static [u8]) -> Self {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Self { request: request.into_bytes(), answer }
    }
}

#[derive(Debug)]
pub(super) struct Caller {
    stream: TcpStream,
    call: Arc<Call>,
    received: Vec<u8>,
}

impl Caller {
    pub(super) async fn connect(address: SocketAddr, call: Arc<Call>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, call, received: Vec::with_capacity(ANSWER_BYTES_MAX) })
    }

    /// Latency of each call in microseconds. Any answer but the right one is an error.
    pub(super) async fn call_until(mut self, deadline: Instant) -> Result<Vec<f64>> {
        let mut latencies_us = Vec::new();
        let mut sent = Instant::now();
        while sent < deadline {
            self.stream.write_all(&self.call.request).await?;
            self.take_answer().await?;
            let answered = Instant::now();
            latencies_us.push((answered - sent).as_secs_f64() * 1e6);
            sent = answered;
        }
        Ok(latencies_us)
    }

    async fn take_answer(&mut self) -> Result<()> {
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed");
            }
            if let Some(body) = body_of(&self.received)? {
                if body.trim_ascii() != self.call.answer {
                    bail!("another answer than expected: {}", String::from_utf8_lossy(&self.received));
                }
                return Ok(());
            }
            if self.received.len() >= ANSWER_BYTES_MAX {
                bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            }
        }
    }
}

/// `None` until all of it is there. An answer without a length, or of another status than 200, is an error.
fn body_of(received: &[u8]) -> Result<Option<&[u8]>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begin) = head.parse(received)? else { return Ok(None) };
    if head.code != Some(200) {
        bail!("{}", String::from_utf8_lossy(received));
    }
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize =
        std::str::from_utf8(length.context("an answer without a length")?.value)?.trim().parse()?;
    let body = &received[begin..];
    if body.len() > length {
        bail!("more than one answer: {}", String::from_utf8_lossy(received));
    }
    Ok((body.len() == length).then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n3\n";
        for cut in 0..answer.len() {
            assert_eq!(body_of(&answer[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(body_of(answer).unwrap(), Some(&b"3\n"[..]));
    }

    #[test]
    fn anything_else_is_an_error() {
        for answer in [
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n3",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n3",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n3HTTP/1.1 200 OK\r\n",
            "hello\r\n\r\n",
        ] {
            assert!(body_of(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
