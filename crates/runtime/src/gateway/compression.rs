//! Answers in fewer bytes, for callers who ask for it (`coding.rs`): those that are there as a whole, and large enough to gain from it.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use hyper::body::Body as _;
use tokio::sync::Semaphore;

use super::coding::Coding;
use super::content::Content;
use super::respond::Response;

/// Less than that goes in one packet anyway.
const SIZE_MIN_BYTES: u64 = 1024;
/// What is compressed on the spot, within a fraction of a millisecond; more is a thread's work.
const INLINE_SIZE_MAX_BYTES: u64 = 16 * 1024;
/// Answers compressed at the same time. Those beyond go as they are: waiting would take longer than sending them.
const THREADS_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Compressor {
    threads: Semaphore,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Self { threads: Semaphore::new(THREADS_MAX) }
    }

    /// `asked_for`: see [`Coding::asked_for`].
    pub(super) async fn compress(&self, response: Response, asked_for: Option<Coding>) -> Response {
        if !is_worthwhile(&response) {
            return response;
        }
        let (mut head, content) = response.into_parts();
        head.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        let Content::Whole(body) = content else { return Response::from_parts(head, content) };
        let size = body.size_hint().lower();
        let plain = body.into_inner().unwrap_or_default();
        let compressed = match asked_for {
            None => None,
            Some(coding) if size <= INLINE_SIZE_MAX_BYTES => coding.pack(&plain),
            Some(coding) => self.on_thread(coding, plain.clone()).await,
        };
        let body = match (compressed, asked_for) {
            (Some(compressed), Some(coding)) if compressed.len() < plain.len() => {
                describe(&mut head.headers, coding);
                compressed
            }
            _ => plain,
        };
        Response::from_parts(head, Content::Whole(Full::new(body)))
    }

    async fn on_thread(&self, coding: Coding, plain: Bytes) -> Option<Bytes> {
        let _permit = self.threads.try_acquire().ok()?;
        tokio::task::spawn_blocking(move || coding.pack(&plain)).await.ok().flatten()
    }
}

fn is_worthwhile(response: &Response) -> bool {
    let Content::Whole(body) = response.body() else { return false };
    let headers = response.headers();
    body.size_hint().lower() >= SIZE_MIN_BYTES
        && response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_compressible)
        && !headers.get_all(CACHE_CONTROL).iter().any(|value| contains(value, "no-transform"))
}

fn contains(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
}

/// Text of some kind. Server-sent events are not held up, whole or not.
fn is_compressible(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.split_once('/') {
        Some(("text", subtype)) => subtype != "event-stream",
        Some((_, subtype)) => {
            matches!(subtype, "json" | "jsonl" | "x-ndjson" | "javascript" | "xml")
                || subtype.ends_with("+json")
                || subtype.ends_with("+xml")
        }
        None => false,
    }
}

/// The same thing in other bytes is not equal byte by byte (RFC 9110 §8.8.1).
fn describe(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, coding.name());
    headers.remove(ACCEPT_RANGES);
    if let Some(etag) = headers.get(ETAG)
        && !etag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::header::CONTENT_LENGTH;

    use super::*;
    use crate::gateway::respond;

    fn made(content_type: &'static str, size: usize) -> Response {
        respond::bytes(HeaderValue::from_static(content_type), vec![b'x'; size].into())
    }

    async fn is_compressed(response: Response) -> bool {
        let compressor = Compressor::new();
        compressor.compress(response, Some(Coding::Gzip)).await.headers().contains_key(CONTENT_ENCODING)
    }

    #[tokio::test]
    async fn texts_above_a_size_are_compressed_and_nothing_else() {
        for kind in
            ["application/json", "text/html; charset=utf-8", "image/svg+xml", "application/problem+json"]
        {
            assert!(is_compressed(made(kind, 1024)).await, "{kind}");
            assert!(!is_compressed(made(kind, 1023)).await, "{kind}");
        }
        for kind in ["text/event-stream", "application/octet-stream", "image/png", "json", ""] {
            assert!(!is_compressed(made(kind, 100_000)).await, "{kind}");
        }
        for (name, value) in [
            (CONTENT_ENCODING, "br"),
            (CONTENT_RANGE, "bytes 0-1/2"),
            (CACHE_CONTROL, "private, No-Transform"),
        ] {
            let mut response = made("text/plain", 10_000);
            response.headers_mut().insert(name.clone(), HeaderValue::from_static(value));
            let response = Compressor::new().compress(response, Some(Coding::Gzip)).await;
            assert_ne!(
                response.headers().get(CONTENT_ENCODING),
                Some(&HeaderValue::from_static("gzip")),
                "{name}"
            );
            assert!(!response.headers().contains_key(VARY), "{name}");
        }
        let mut noise = vec![0; 5000];
        getrandom::fill(&mut noise).unwrap();
        let noise = respond::bytes(HeaderValue::from_static("text/plain"), noise.into());
        assert!(!is_compressed(noise).await, "it would be larger");
    }

    #[tokio::test]
    async fn headers_fit_what_is_sent() {
        for (coding, size) in
            [(Coding::Gzip, 2000), (Coding::Gzip, 3_000_000), (Coding::Zstd, 2000), (Coding::Zstd, 3_000_000)]
        {
            let mut response = made("text/plain", size);
            response.headers_mut().insert(ETAG, HeaderValue::from_static("\"one\""));
            response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            let response = Compressor::new().compress(response, Some(coding)).await;
            let headers = response.headers();
            assert_eq!(
                (&headers[CONTENT_ENCODING], &headers[ETAG]),
                (&coding.name(), &HeaderValue::from_static("W/\"one\""))
            );
            assert_eq!(headers[VARY], "accept-encoding");
            assert!(!headers.contains_key(ACCEPT_RANGES) && !headers.contains_key(CONTENT_LENGTH));
            let Content::Whole(body) = response.into_body() else { panic!("it was whole") };
            let packed = body.into_inner().unwrap();
            assert!(packed.len() < size / 10);
            let mut plain = Vec::new();
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap(),
                Coding::Zstd => zstd::Decoder::new(&packed[..]).unwrap().read_to_end(&mut plain).unwrap(),
            };
            assert_eq!(plain, vec![b'x'; size]);
        }
    }

    #[tokio::test]
    async fn who_does_not_ask_is_told_that_it_may_differ_for_others() {
        let mut response = made("text/plain", 2000);
        response.headers_mut().insert(ETAG, HeaderValue::from_static("\"one\""));
        let response = Compressor::new().compress(response, None).await;
        assert_eq!(
            (&response.headers()[VARY], &response.headers()[ETAG]),
            (&HeaderValue::from_static("accept-encoding"), &HeaderValue::from_static("\"one\""))
        );
        assert_eq!(response.body().size_hint().exact(), Some(2000));
    }

    #[tokio::test]
    async fn what_nobody_has_time_to_compress_is_sent_as_it_is() {
        let compressor = Compressor { threads: Semaphore::new(0) };
        let response = compressor.compress(made("text/plain", 100_000), Some(Coding::Gzip)).await;
        assert_eq!(response.body().size_hint().exact(), Some(100_000));
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
    }
}
