//! `GET /api/v1/events`: the event log as server-sent events, from any point of it and on as it grows.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flash_model::wire::Problem;
use flash_model::{Code, LoggedEvent, Scope};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::State;
use super::extract::Asked;
use super::problem::Refusal;
use crate::service::Ending;
use crate::store::Store;

pub(super) const SUBSCRIBERS_MAX: usize = 64;
/// How soon a subscriber is told what whoever leads has logged.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// While the store does not answer.
const TROUBLE_PERIOD: Duration = Duration::from_secs(2);
const KEEP_ALIVE_PERIOD: Duration = Duration::from_secs(15);
/// Events in one chunk, and chunks that a slow reader may be behind.
const CHUNK_EVENTS_MAX: u32 = 100;
const CHUNKS_BUFFERED_MAX: usize = 4;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

#[derive(Debug, Deserialize)]
pub(super) struct From {
    /// Sequence of the last event that is known. What a reader reconnects with wins.
    after: Option<u64>,
}

pub(super) async fn get(
    Extract(state): Extract<State>,
    Asked(From { after }): Asked<From>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let handle = state.mothership()?;
    let known = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let permit = Arc::clone(&state.subscribers).try_acquire_owned().map_err(|_| {
        let detail = format!("{SUBSCRIBERS_MAX} readers follow the events already");
        Refusal::from(Problem::new(Code::Overloaded, 503, detail))
    })?;
    let (chunks, reader) = mpsc::channel(CHUNKS_BUFFERED_MAX);
    let follower = Follower {
        store: Arc::clone(handle.store()),
        scope: handle.scope().clone(),
        chunks,
        stopped: state.stopped.clone(),
        _permit: permit,
    };
    tokio::spawn(follower.run(known.or(after).unwrap_or(0)));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::new(Stream(reader))).into_response())
}

struct Follower {
    store: Arc<dyn Store>,
    scope: Scope,
    chunks: mpsc::Sender<Bytes>,
    stopped: watch::Receiver<Ending>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Until nobody reads any more, or the server stops.
    async fn run(mut self, mut after: u64) {
        let mut stopped = self.stopped.clone();
        let reader = self.chunks.clone();
        tokio::select! {
            biased;
            () = reader.closed() => {}
            _ = stopped.wait_for(|ending| *ending != Ending::None) => {}
            () = self.follow(&mut after) => {}
        }
    }

    async fn follow(&mut self, after: &mut u64) {
        let mut last_said = Instant::now();
        let mut chunk = String::from(": events of ");
        chunk.push_str(&self.scope.to_string());
        chunk.push_str("\n\n");
        loop {
            let pause = match self.store.events(&self.scope, *after, CHUNK_EVENTS_MAX).await {
                Ok(events) => {
                    for event in &events {
                        *after = event.sequence;
                        write(&mut chunk, event);
                    }
                    let more = events.len() == CHUNK_EVENTS_MAX as usize;
                    if more { Duration::ZERO } else { LOOK_PERIOD }
                }
                Err(error) => {
                    tracing::debug!(%error, "events not read");
                    TROUBLE_PERIOD
                }
            };
            if chunk.is_empty() && last_said.elapsed() >= KEEP_ALIVE_PERIOD {
                chunk.push_str(": still here\n\n");
            }
            if !chunk.is_empty() {
                last_said = Instant::now();
                if self.chunks.send(std::mem::take(&mut chunk).into()).await.is_err() {
                    return;
                }
            }
            sleep(pause).await;
        }
    }
}

/// JSON on one line has no line break that would end the field.
fn write(chunk: &mut String, event: &LoggedEvent) {
    let data = serde_json::to_string(event).unwrap_or_default();
    chunk.push_str(&format!("id: {}\ndata: {data}\n\n", event.sequence));
}

struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
