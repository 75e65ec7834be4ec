//! One connection: HTTP/1.1, or HTTP/2 for callers who begin with it. Each wait has an end, whatever the caller does.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{COOKIE, HOST};
use http::{HeaderValue, Request};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::content::Content;
use super::head_clock::{HEAD_TIMEOUT, HeadClock, IDLE_TIMEOUT, Watched};
use super::respond::Response;
use super::version::{Start, Version, version};

/// The request line and the headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests under way on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// Answers what comes on `stream` until it ends; once `stopping` only what has come already.
pub(super) async fn converse<S, F, R>(stream: S, answer: F, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response> + Send + 'static,
{
    let mut stream = stream;
    let told = tokio::select! {
        told = version(&mut stream) => told,
        _ = stopping.wait_for(|stopping| *stopping) => return,
    };
    match told {
        Ok(Some((Version::Http1, start))) => speak_http1(stream, start, answer, stopping).await,
        Ok(Some((Version::Http2, start))) => speak_http2(stream, start, answer, stopping).await,
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "connection ended before a request"),
    }
}

async fn speak_http1<S, F, R>(stream: S, start: Start, answer: F, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response> + Send + 'static,
{
    let service = service_fn(|request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let clock = HeadClock::new();
    let connection = http1::Builder::new()
        .timer(clock.clone())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Watched::new(stream, start, clock)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = &mut connection => return ended(result),
        _ = stopping.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
    }
    ended(connection.await);
}

async fn speak_http2<S, F, R>(stream: S, start: Start, answer: F, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Response> + Send + 'static,
{
    let requests = Arc::new(Requests::default());
    let service = service_fn(|request| {
        let hold = Hold::new(&requests);
        let answering = answer(as_http1(request));
        async move { Ok::<_, Infallible>(answering.await.map(|content| Held { content, _hold: hold })) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(Watched::new(stream, start, HeadClock::new())), service);
    let mut connection = std::pin::pin!(connection);
    let is_silent = tokio::select! {
        result = &mut connection => return ended(result),
        _ = stopping.wait_for(|stopping| *stopping) => false,
        () = requests.are_over() => true,
    };
    connection.as_mut().graceful_shutdown();
    if !is_silent {
        return ended(connection.await);
    }
    match timeout(HEAD_TIMEOUT, connection).await {
        Ok(result) => ended(result),
        Err(_) => tracing::debug!("a silent connection is closed, whatever its caller says"),
    }
}

fn ended(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// As it would have come over HTTP/1.1: with `Host`, and with all cookies in one header (RFC 9113 §8.2.3, §8.3.1).
fn as_http1(mut request: Request<Incoming>) -> Request<Incoming> {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = host {
        headers.insert(HOST, host);
    }
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(all) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, all);
    }
    request
}

/// Those of one HTTP/2 connection.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    /// Until the last byte of their answers.
    under_way: AtomicU64,
}

impl Requests {
    /// When none is under way, and none came for a while.
    async fn are_over(&self) {
        let mut before = None;
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            if before.replace(begun) == Some(begun) && self.under_way.load(Ordering::Relaxed) == 0 {
                return;
            }
            sleep(IDLE_TIMEOUT).await;
        }
    }
}

#[derive(Debug)]
struct Hold(Arc<Requests>);

impl Hold {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.begun.fetch_add(1, Ordering::Relaxed);
        requests.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that is under way until its body has ended.
#[derive(Debug)]
struct Held {
    content: Content,
    _hold: Hold,
}

impl Body for Held {
    type Data = Bytes;
    type Error = <Content as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().content).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
