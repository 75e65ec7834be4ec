use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use flash_model::{Secret, hmac_sha256_hex};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::queue;
use crate::world::{TOKEN, eventually};

/// A server that answers with the given statuses, then with 200, and keeps what it was sent.
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Delivery>>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Receiver {
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/done?key=1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let status = statuses.pop_front().unwrap_or(200);
                    if let Some(delivery) = receive(stream, status).await {
                        seen.lock().unwrap().push(delivery);
                    }
                }
            }
        });
        Self { url, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Delivery> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) async fn told(&self, count: usize) -> Vec<Delivery> {
        eventually("a webhook", || async {
            let seen = self.seen();
            if seen.len() >= count { Ok(seen) } else { Err(format!("{seen:?}")) }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request.
pub(crate) async fn receive(stream: impl AsyncRead + AsyncWrite + Unpin, status: u16) -> Option<Delivery> {
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
    let delivery = Delivery { line: first, headers, body: String::new() };
    let mut body = vec![0; delivery.header("content-length").parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()?;
    Some(Delivery { body: String::from_utf8(body).unwrap(), ..delivery })
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// As a receiver would check it.
    fn is_signed(&self) -> bool {
        let (time, signature) = self.header("flash-signature").split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let message = [time.as_bytes(), b".", self.body.as_bytes()];
        hmac_sha256_hex(&Secret::new(TOKEN), &message) == signature
    }
}

pub(crate) fn job(function: &str, kwargs: Value, webhook: &str) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}, "webhook": webhook})
}

#[tokio::test]
async fn whoever_asked_for_it_is_told_of_the_end_and_again_until_it_is_taken() {
    let receiver = Receiver::start(&[500, 302]).await;
    let project = queue::project();
    let endpoint = project.start().await;
    let id = endpoint.post("/run", job("double", json!({"x": 2}), &receiver.url)).await.body["id"].clone();
    let told = receiver.told(3).await;
    let view = endpoint.get(&format!("/status/{}", id.as_str().unwrap())).await.body;
    assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &json!(4)));
    for (index, delivery) in told.iter().enumerate() {
        assert_eq!(serde_json::from_str::<Value>(&delivery.body).unwrap(), view);
        assert_eq!(delivery.line, "POST /done?key=1 HTTP/1.1");
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("flash-job-id"), id.as_str().unwrap());
        assert_eq!(delivery.header("flash-delivery-attempt"), (index + 1).to_string());
        assert!(delivery.is_signed(), "{delivery:?}");
    }
    let failed = endpoint.post("/run", job("broken", json!({"text": "x"}), &receiver.url)).await.body;
    let told: Value = serde_json::from_str(&receiver.told(4).await[3].body).unwrap();
    assert_eq!((&told["id"], &told["status"]), (&failed["id"], &json!("FAILED")));
}

#[tokio::test]
async fn a_webhook_survives_a_hard_end_and_is_not_repeated_once_taken() {
    // Nobody listens there until the endpoint has died.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/done?key=1");
    let project = queue::project();
    let endpoint = project.start().await;
    let id = endpoint.post("/run", job("double", json!({"x": 3}), &url)).await.body["id"].clone();
    // The first attempt is made and left without an answer.
    let (unanswered, _) = listener.accept().await.unwrap();
    drop(endpoint);
    drop(unanswered);
    drop(listener);
    let endpoint = project.start().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let delivery = eventually("the webhook to come again", || async {
        let (stream, _) = listener.accept().await.unwrap();
        receive(stream, 200).await.ok_or("cut off".to_owned())
    })
    .await;
    let told: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!((&told["id"], &told["output"]), (&id, &json!(6)));
    assert!(delivery.is_signed());
    // Its order shows that nothing of the first is left: the next message is the next job's.
    let next = endpoint.post("/run", job("double", json!({"x": 4}), &url)).await.body["id"].clone();
    let (stream, _) = listener.accept().await.unwrap();
    let told: Value = serde_json::from_str(&receive(stream, 200).await.unwrap().body).unwrap();
    assert_eq!(told["id"], next);
}
