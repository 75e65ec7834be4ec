use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Endpoint, Project, route};

const DEADLINE: Duration = Duration::from_secs(30);
const CODE: &str = "
async def size(data: bytes):
    return len(data)
";

fn project() -> Project {
    Project::new("load_balanced", CODE, json!([route("size", true, "POST", "/size")]))
}

async fn connect(endpoint: &Endpoint) -> TcpStream {
    TcpStream::connect(endpoint.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// What is answered until the endpoint closes the connection.
async fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // What is reset was closed, too.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let project = project();
    let endpoint = project.start().await;
    let head = |length: usize| {
        let more = "Host: localhost\r\nConnection: close\r\nExpect: 100-continue";
        format!("POST /size HTTP/1.1\r\n{more}\r\nContent-Length: {length}\r\n\r\n")
    };
    let mut stream = connect(&endpoint).await;
    stream.write_all(head(30 * 1024 * 1024 + 1).as_bytes()).await.unwrap();
    let refused = answer(stream).await;
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains("FL317"), "{refused}");

    let mut stream = connect(&endpoint).await;
    stream.write_all(head(3).as_bytes()).await.unwrap();
    stream.write_all(b"abc").await.unwrap();
    let taken = answer(stream).await;
    assert!(taken.starts_with("HTTP/1.1 100 ") && taken.ends_with("\r\n\r\n3"), "{taken}");

    let mut stream = connect(&endpoint).await;
    stream
        .write_all(b"POST /size HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    for _ in 0..40 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    // It hangs up while it is still being sent to, which may lose the answer.
    let refused = answer(stream).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 413 "), "{refused}");
    assert_eq!(endpoint.get("/ping").await.status, 200);
}

#[tokio::test]
async fn headers_that_are_too_large_are_431() {
    let project = project();
    let endpoint = project.start().await;
    let large = endpoint.request("POST", "/size").header("x-large", "x".repeat(60_000));
    assert_eq!(endpoint.send(large.body("abc")).await.body, 3);
    let mut stream = connect(&endpoint).await;
    // Exactly as much as is read, so that nothing is left over when it hangs up.
    let mut head = b"POST /size HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    head.resize(64 * 1024, b'x');
    stream.write_all(&head).await.unwrap();
    assert!(answer(stream).await.starts_with("HTTP/1.1 431 "));
}

/// xorshift64*: the same bytes in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Bytes of any kind, or a message with some of its bytes changed, left out or repeated.
    fn message(&mut self, messages: &[&[u8]]) -> Vec<u8> {
        if self.below(4) == 0 {
            return (0..self.below(2000)).map(|_| self.next() as u8).collect();
        }
        let mut message = messages[self.below(messages.len())].to_vec();
        for _ in 0..=self.below(8) {
            let at = self.below(message.len());
            match self.below(3) {
                0 => message[at] = self.next() as u8,
                1 => drop(message.remove(at)),
                _ => message.insert(at, b"\r\n :0\xff\0/"[self.below(8)]),
            }
        }
        message
    }
}

#[tokio::test]
async fn whatever_comes_is_answered_or_hung_up_on() {
    let project = project();
    let endpoint = project.start().await;
    let http2 = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    // HEADERS of stream 1: a GET of `/` by entries of the static table.
    let headers = [http2.as_slice(), &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86]].concat();
    let messages: [&[u8]; 5] = [
        b"GET /size?x=%20 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        b"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /size HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        &http2,
        &headers,
    ];
    let mut noise = Noise(20_260_131);
    for _ in 0..400 {
        let message = noise.message(&messages);
        let mut stream = connect(&endpoint).await;
        // It may have hung up before the end.
        let _ = stream.write_all(&message).await;
        let _ = stream.shutdown().await;
        answer(stream).await;
    }
    assert_eq!(endpoint.get("/ping").await.status, 200);
    assert_eq!(endpoint.send(endpoint.request("POST", "/size").body("abc")).await.body, 3);
}
