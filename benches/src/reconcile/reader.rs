//! Whoever asks a mothership while it works.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode, header};
use tokio::task::JoinSet;

use crate::http::connect;

const CALL_MAX: Duration = Duration::from_secs(10);
/// By then a request that was sent has arrived.
const ASKED_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Compressed,
    Plain,
    NotModified,
}

impl Answer {
    pub(super) const ALL: [Self; 3] = [Self::Compressed, Self::Plain, Self::NotModified];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Compressed => "`/manifest`, gzip",
            Self::Plain => "`/manifest`, not compressed",
            Self::NotModified => "`/manifest`, 304",
        }
    }
}

/// Answers in a second.
pub(super) async fn rate(address: SocketAddr, answer: Answer, readers: usize, time: Duration) -> Result<f64> {
    let mut sender = connect(address).await?;
    let (_, etag, _) = get(&mut sender, address, "/manifest", &[]).await?;
    let etag = etag.context("/manifest has no ETag")?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (mut sender, etag) = (connect(address).await?, etag.clone());
        tasks.spawn(async move {
            let (headers, expected) = match answer {
                Answer::Compressed => (vec![(header::ACCEPT_ENCODING, "gzip".to_owned())], StatusCode::OK),
                Answer::Plain => (vec![], StatusCode::OK),
                Answer::NotModified => (vec![(header::IF_NONE_MATCH, etag)], StatusCode::NOT_MODIFIED),
            };
            let mut count = 0_u64;
            while begun.elapsed() < time {
                let (status, _, body) = get(&mut sender, address, "/manifest", &headers).await?;
                if status != expected || (status == StatusCode::OK && body == 0) {
                    bail!("/manifest answered {status} with {body} bytes");
                }
                count += 1;
            }
            Ok(count)
        });
    }
    let mut count = 0;
    while let Some(counted) = tasks.join_next().await {
        count += counted??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Readers that wait for something newer than what is served now; milliseconds from `begun` to each one's answer.
pub(super) struct Waiting(JoinSet<Result<Instant>>);

/// All of them have asked when this comes back.
pub(super) async fn waiting(address: SocketAddr, readers: usize) -> Result<Waiting> {
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let mut sender = connect(address).await?;
        let (_, etag, _) = get(&mut sender, address, "/manifest", &[]).await?;
        let etag = etag.context("/manifest has no ETag")?;
        tasks.spawn(async move {
            let headers = [(header::IF_NONE_MATCH, etag), (header::ACCEPT_ENCODING, "gzip".to_owned())];
            let path = format!("/manifest?wait={}", CALL_MAX.as_secs());
            match get(&mut sender, address, &path, &headers).await? {
                (StatusCode::OK, _, _) => Ok(Instant::now()),
                (status, _, _) => bail!("a waiting reader was answered {status}"),
            }
        });
    }
    tokio::time::sleep(ASKED_AFTER).await;
    Ok(Waiting(tasks))
}

impl Waiting {
    pub(super) async fn told_since(mut self, begun: Instant) -> Result<Vec<f64>> {
        let mut took_ms = Vec::new();
        while let Some(told) = self.0.join_next().await {
            took_ms.push(told??.saturating_duration_since(begun).as_secs_f64() * 1e3);
        }
        Ok(took_ms)
    }
}

/// Status, ETag and length of the body, which is read to its end.
async fn get(
    sender: &mut SendRequest<Empty<Bytes>>,
    address: SocketAddr,
    path: &str,
    headers: &[(header::HeaderName, String)],
) -> Result<(StatusCode, Option<String>, usize)> {
    let mut request = Request::get(path).header(header::HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new())?;
    tokio::time::timeout(CALL_MAX, async {
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let etag =
            response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok((status, etag, length))
    })
    .await
    .with_context(|| format!("no answer in {CALL_MAX:?}"))?
}
