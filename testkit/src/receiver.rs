//! A server that is posted to, and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers with the given statuses, then with 200.
#[derive(Debug)]
pub struct Receiver {
    /// Without a path.
    pub url: String,
    seen: Arc<Mutex<Vec<Delivery>>>,
    task: JoinHandle<()>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `POST /path HTTP/1.1`
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Receiver {
    pub async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let status = statuses.pop_front().unwrap_or(200);
                    if let Some(delivery) = Delivery::receive(stream, status).await {
                        seen.lock().unwrap().push(delivery);
                    }
                }
            }
        });
        Self { url, seen, task }
    }

    pub fn seen(&self) -> Vec<Delivery> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Delivery {
    /// `None` of a caller who leaves before the end of its request.
    pub async fn receive(stream: impl AsyncRead + AsyncWrite + Unpin, status: u16) -> Option<Self> {
        let mut stream = BufReader::new(stream);
        let (mut headers, mut line) = (Vec::new(), String::new());
        stream.read_line(&mut line).await.ok()?;
        let first = line.trim_end().to_owned();
        loop {
            line.clear();
            stream.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let delivery = Self { line: first, headers, body: String::new() };
        let mut body = vec![0; delivery.header("content-length").parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        Some(Self { body: String::from_utf8(body).unwrap(), ..delivery })
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}
