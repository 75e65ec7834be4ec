//! Bytes that nobody should send, to the port and from workers. `FLASH_FUZZ_SECONDS=600 cargo test -p flash-runtime --release rubbish`
//! tries for longer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::world::{Endpoint, Project, eventually, function};

/// READY, and then to every call what its number says: the right answer, or rubbish of some kind.
const WORKER: &str = r#"#!/usr/bin/env python3
import json, os, random, socket, struct, sys

gateway = socket.socket(fileno=0)
noise = random.Random(os.getpid())

def frame(kind, call, header=b"", body=b"", length=None):
    size = 9 + len(header) + len(body) if length is None else length
    return struct.pack("<IBII", size, kind, call, len(header)) + header + body

def exactly(size):
    received = b""
    while len(received) < size:
        piece = gateway.recv(size - len(received))
        if not piece:
            os._exit(0)
        received += piece
    return received

def receive():
    length, kind, call, header = struct.unpack("<IBII", exactly(13))
    exactly(header)
    exactly(length - 9 - header)
    return kind, call

def damaged(whole):
    whole = bytearray(whole)
    for _ in range(1 + noise.randrange(6)):
        whole[noise.randrange(len(whole))] = noise.randrange(256)
    return bytes(whole)

receive()
gateway.sendall(frame(2, 0, json.dumps({"pid": os.getpid()}).encode()))
while True:
    kind, call = receive()
    if kind == 8:
        os._exit(0)
    if kind != 4:
        continue
    right = frame(5, call, b"", b"7")
    choice = noise.randrange(12)
    if choice == 0:
        gateway.sendall(noise.randbytes(noise.randrange(300)))
    elif choice == 1:
        gateway.sendall(damaged(right))
    elif choice == 2:
        gateway.sendall(frame(noise.randrange(256), call, noise.randbytes(5), noise.randbytes(5)))
    elif choice == 3:
        gateway.sendall(frame(5, call + 1000, b"", b"8") + right + right)
    elif choice == 4:
        gateway.sendall(frame(5, call, b"", b"", length=noise.randrange(2**32)))
    elif choice == 5:
        gateway.sendall(right[: noise.randrange(len(right))])
        os._exit(noise.randrange(3))
    elif choice == 6:
        gateway.sendall(frame(4, call, noise.choice([b"{", b"null", b'{"form":"pickle","function":"f"}']), b"x") + right)
    elif choice == 7:
        gateway.sendall(frame(2, 0, noise.choice([b"", b"{", b'{"pid":-1}', b'{"pid":1,"port":0}'])) + right)
    elif choice == 8:
        gateway.sendall(frame(6, call, noise.choice([b"", b"[]", b"{", b'{"status":99999}', b'{"status":100,"code":7}'])))
    else:
        gateway.sendall(right)
"#;
const CODE: &str = "def seven(x=0):\n    return 7\n";
const CALLS_MIN: u32 = 160;
const CALLERS: usize = 8;
const CALL_MAX: Duration = Duration::from_secs(30);
const MESSAGES_MIN: u32 = 400;
/// Of `/proc/net/tcp`.
const ESTABLISHED: &str = "01";
const CLOSE_WAIT: &str = "08";

#[tokio::test]
async fn workers_that_send_rubbish_are_replaced_and_every_call_is_answered() {
    let mut project = Project::new("queue", CODE, json!([function("seven", false)]))
        .spec("workersMin", json!(2))
        .spec("workersMax", json!(2))
        .spec("maxConcurrency", json!(4))
        .spec("executionTimeoutMs", json!(500));
    let program = project.path("worker.py");
    fs::write(&program, WORKER).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    project.python = Some("worker.py");
    let endpoint = std::sync::Arc::new(project.start().await);
    let until = Instant::now() + fuzz_time();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let endpoint = std::sync::Arc::clone(&endpoint);
        callers.spawn(async move {
            let client = reqwest::Client::builder().no_proxy().timeout(CALL_MAX).build().unwrap();
            let (mut right, mut calls) = (0, 0);
            while calls < CALLS_MIN / CALLERS as u32 || Instant::now() < until {
                let call = client.post(format!("{}/_flash/call/seven", endpoint.url)).json(&json!({}));
                let answer = call.send().await.unwrap();
                let status = answer.status().as_u16();
                let body = answer.bytes().await.unwrap();
                right += u32::from(status == 200 && *body == *b"7");
                assert!((200..600).contains(&status), "{status}");
                calls += 1;
            }
            right
        });
    }
    let mut right = 0;
    while let Some(of_one) = callers.join_next().await {
        right += of_one.unwrap();
    }
    assert!(right > 0, "no call was answered rightly");
    goes_on(&endpoint).await;
    let endpoint = std::sync::Arc::into_inner(endpoint).unwrap();
    endpoint.stop().await;
}

#[tokio::test]
async fn whatever_comes_to_the_port_of_a_queue_leaves_its_workers_and_no_connection() {
    let project = Project::new("queue", CODE, json!([function("seven", false)])).spec("workersMin", json!(1));
    let endpoint = project.start().await;
    goes_on(&endpoint).await;
    let worker = endpoint.get("/health").await.body["workers"].clone();
    let http2 = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let messages: Vec<Vec<u8>> = [
        post("/run", "application/json", r#"{"input":{"x":1},"policy":{"maxRetries":1,"ttl":60000},"webhook":"http://127.0.0.1:9/"}"#),
        post("/runsync?wait=1", "application/json", r#"{"input":{"function_name":"seven","kwargs":{"x":[1,{"a":null}]}}}"#),
        post("/runsync?wait=1", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n"),
        post("/redrive/none", "application/json", "{}"),
        "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"input\":{\"x\":1}}\r\n0\r\n\r\n".to_owned(),
        "GET /stream/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([http2])
    .collect();
    let seed = u64::from(std::process::id());
    let mut noise = Noise(seed | 1);
    let until = Instant::now() + fuzz_time();
    let mut sent = 0;
    while sent < MESSAGES_MIN || Instant::now() < until {
        for _ in 0..50 {
            say(&endpoint, &noise.message(&messages)).await;
            sent += 1;
        }
        assert_eq!(endpoint.get("/ping").await.status, 200, "seed {seed}");
    }
    eventually("jobs to end", || async {
        let jobs = endpoint.get("/health").await.body["jobs"].clone();
        if jobs["inQueue"] == 0 && jobs["inProgress"] == 0 { Ok(()) } else { Err(jobs.to_string()) }
    })
    .await;
    goes_on(&endpoint).await;
    assert_eq!(endpoint.get("/health").await.body["workers"], worker, "seed {seed}");
    let metrics = endpoint.get("/metrics").await.body.as_str().unwrap().to_owned();
    assert!(!metrics.contains("flash_worker_exits_total"), "seed {seed}: {metrics}");
    eventually("connections to be closed", || async {
        match open_connections(&endpoint) {
            0 => Ok(()),
            open => Err(format!("{open} are open; seed {seed}")),
        }
    })
    .await;
}

fn post(path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Sends, says that nothing more comes, and reads to the end.
async fn say(endpoint: &Endpoint, message: &[u8]) {
    let mut stream = TcpStream::connect(endpoint.url.strip_prefix("http://").unwrap()).await.unwrap();
    // It may hang up before it has been told everything.
    let _ = stream.write_all(message).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(CALL_MAX, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "neither answered nor hung up on: {:?}", String::from_utf8_lossy(message));
}

async fn goes_on(endpoint: &Endpoint) {
    eventually("a right answer", || async {
        let answer = endpoint.post("/_flash/call/seven", json!({})).await;
        if answer.body == 7 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

/// At the endpoint's side, those included that only it has not closed.
fn open_connections(endpoint: &Endpoint) -> usize {
    let port: u16 = endpoint.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let (own, states) = (format!(":{port:04X}"), [ESTABLISHED, CLOSE_WAIT]);
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[1].ends_with(&own) && states.contains(&fields[3])).count()
}

fn fuzz_time() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "how long to try is the caller's choice")]
    let seconds = std::env::var("FLASH_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().expect("FLASH_FUZZ_SECONDS is a number")))
}

/// xorshift64*.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn message(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        if self.below(5) == 0 {
            return (0..self.below(2_000)).map(|_| self.below(256) as u8).collect();
        }
        let mut message = messages[self.below(messages.len())].clone();
        for _ in 0..self.below(6) {
            if message.is_empty() {
                break;
            }
            let at = self.below(message.len());
            match self.below(4) {
                0 => message[at] = self.below(256) as u8,
                1 => drop(message.remove(at)),
                2 => message.truncate(at + 1),
                _ => message.insert(at, b"\r\n :0{\"[,\xff\0/-"[self.below(13)]),
            }
        }
        message
    }
}
