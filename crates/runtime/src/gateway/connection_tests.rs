use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2 as client;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::gateway::respond;

/// The other end of a connection whose requests are answered with what they say under `Host` and `Cookie`.
struct Caller {
    stream: DuplexStream,
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

fn call() -> Caller {
    let (stream, ours) = tokio::io::duplex(1024);
    let (stop, stopping) = watch::channel(false);
    let answer = |request: Request<Incoming>| async move {
        let body = request.into_parts();
        let said = |name| body.0.headers.get(name).map_or("-", |value: &HeaderValue| value.to_str().unwrap());
        let text = format!("{} {}", said(HOST), said(COOKIE));
        drop(body.1.collect().await);
        sleep(Duration::from_secs(u64::from(body.0.uri.path() == "/slow") * 300)).await;
        respond::bytes(respond::JSON, text.into())
    };
    let ended = tokio::spawn(converse(ours, answer, stopping));
    Caller { stream, stop, ended }
}

impl Caller {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn answer(&mut self) -> String {
        let mut text = String::new();
        while !text.contains("\r\n\r\n") || !text.ends_with('-') {
            match self.stream.read_u8().await {
                Ok(byte) => text.push(char::from(byte)),
                Err(_) => break,
            }
        }
        text
    }

    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // What is reset was closed, too.
        let _ = self.stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off_and_silence_between_requests_is_not() {
    let mut caller = call();
    sleep(Duration::from_secs(70)).await;
    for _ in 0..3 {
        caller.send(GET).await;
        assert!(caller.answer().await.ends_with("here -"));
        sleep(Duration::from_secs(70)).await;
    }
    caller.send("GET / HTTP/1.1\r\nX: ").await;
    let begun = Instant::now();
    while caller.stream.write_all(b"x").await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
    caller.ended.await.unwrap();
    let took = begun.elapsed();
    assert!((HEAD_TIMEOUT..HEAD_TIMEOUT + Duration::from_secs(1)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_head_that_trickles_in_is_cut_off_too() {
    for first in ["GET / HTTP/1.1\r\n", "PRI * HT", "P"] {
        let mut caller = call();
        caller.send(first).await;
        let begun = Instant::now();
        assert_eq!(caller.rest().await, "", "{first}");
        assert!(begun.elapsed() <= HEAD_TIMEOUT * 2, "{first} {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_says_nothing_is_hung_up_on() {
    for first in ["", GET] {
        let mut caller = call();
        caller.send(first).await;
        caller.answer().await;
        caller.rest().await;
        caller.ended.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_as_long_as_its_function() {
    let mut caller = call();
    caller.send(GET.replace("/ ", "/slow ")).await;
    assert!(caller.answer().await.ends_with("here -"));
}

#[tokio::test]
async fn heads_have_a_limit() {
    let fill = |size: usize| format!("GET / HTTP/1.1\r\nHost: here\r\nX: {}\r\n\r\n", "x".repeat(size));
    let mut caller = call();
    caller.send(fill(60 * 1024)).await;
    assert!(caller.answer().await.starts_with("HTTP/1.1 200 "));
    let caller = call();
    let (mut reader, mut writer) = tokio::io::split(caller.stream);
    tokio::spawn(async move { writer.write_all(fill(HEAD_BYTES_MAX).as_bytes()).await });
    let mut bytes = [0; 12];
    reader.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 431");
    caller.ended.await.unwrap();
}

#[tokio::test]
async fn bad_framing_is_refused_and_the_connection_closed() {
    for bad in [
        "GET / HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: here\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : here\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: here\r\n folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\nH\0st: here\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "{}\r\n\r\n",
    ] {
        let mut caller = call();
        caller.send(bad).await;
        let answer = caller.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?}: {answer:?}");
        caller.ended.await.unwrap();
    }
}

async fn http2(caller: DuplexStream) -> (client::SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) = client::handshake(TokioExecutor::new(), TokioIo::new(caller)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn asked(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("http://there:80{path}"));
    request.header(COOKIE, "a=1").header(COOKIE, "b=2").body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn http_2_is_answered_at_once_in_parallel_and_until_it_is_silent() {
    let caller = call();
    let (mut sender, connection) = http2(caller.stream).await;
    let slow = tokio::spawn(sender.send_request(asked("/slow")));
    for _ in 0..3 {
        let answer = sender.send_request(asked("/")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "there:80 a=1; b=2");
    }
    assert!(!slow.is_finished());
    slow.await.unwrap().unwrap().into_body().collect().await.unwrap();
    // Nobody asks any more: the connection is closed by our side, in good order.
    caller.ended.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_finished_when_the_endpoint_stops() {
    let caller = call();
    let (mut sender, connection) = http2(caller.stream).await;
    sender.send_request(asked("/")).await.unwrap();
    let slow = tokio::spawn(sender.send_request(asked("/slow")));
    sleep(Duration::from_secs(1)).await;
    caller.stop.send_replace(true);
    sleep(Duration::from_secs(1)).await;
    assert!(!slow.is_finished() && !caller.ended.is_finished());
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK);
    caller.ended.await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_http_2_caller_who_answers_nothing_is_hung_up_on() {
    let mut caller = call();
    caller.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    caller.rest().await;
    caller.ended.await.unwrap();
}
