//! HTTP/2 in the clear, by callers who know beforehand that it is understood.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::world::{Endpoint, Project, TOKEN, file_appears, route};

const CODE: &str = r#"
import asyncio, pathlib
from tetra_rp.http import Request

async def size(data: bytes):
    return len(data)

async def seen(request: Request):
    return [request.headers.get("host"), request.cookies, request.query, request.headers.get("authorization")]

async def items():
    for number in range(100):
        yield f"{number};"

async def waits():
    pathlib.Path("begun").write_text("yes")
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.005)
    return "done"
"#;

fn project() -> Project {
    let gets = ["seen", "items", "waits"].map(|name| route(name, true, "GET", &format!("/{name}")));
    Project::new("load_balanced", CODE, json!([&[route("size", true, "POST", "/size")], &gets[..]].concat()))
}

struct Caller {
    sender: http2::SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    url: String,
}

async fn call(endpoint: &Endpoint) -> Caller {
    let stream = TcpStream::connect(endpoint.url.strip_prefix("http://").unwrap()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Caller { sender, connection: tokio::spawn(connection), url: endpoint.url.clone() }
}

impl Caller {
    async fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self.sender.clone().send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let text =
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

#[tokio::test]
async fn one_connection_carries_many_calls_bodies_and_streams() {
    let project = project();
    let endpoint = project.start().await;
    let caller = call(&endpoint).await;
    let host = endpoint.url.strip_prefix("http://").unwrap();
    let expected = json!([host, {"a": "1", "b": "2"}, {"x": "1"}, null]);
    assert_eq!(caller.send("GET", "/seen?x=1", "").await, (200, expected));
    assert_eq!(caller.send("POST", "/size", vec![0; 5_000_000]).await, (200, json!(5_000_000)));
    let stream: String = (0..100).map(|number| format!("{number};")).collect();
    assert_eq!(caller.send("GET", "/items", "").await, (200, json!(stream)));
    let (status, problem) = caller.send("GET", "/nowhere", "").await;
    assert_eq!((status, &problem["code"]), (404, &json!("FL301")));
    assert_eq!(caller.send("POST", "/size", vec![0; 31 * 1024 * 1024]).await.0, 413);

    let waiting = caller.send("GET", "/waits", "");
    let others = async {
        file_appears(&project.path("begun")).await;
        for size in 0..100 {
            assert_eq!(caller.send("POST", "/size", vec![0; size]).await, (200, json!(size)));
        }
        std::fs::write(project.path("go"), "").unwrap();
    };
    assert_eq!(tokio::join!(waiting, others).0, (200, json!("done")));
    // HTTP/1.1 is as it was.
    assert_eq!(endpoint.send(endpoint.request("POST", "/size").body("abc")).await.body, 3);
}

#[tokio::test]
async fn a_host_that_is_not_loopback_is_refused_here_too() {
    let project = project();
    let endpoint = project.start().await;
    let mut caller = call(&endpoint).await;
    caller.url = "http://evil.example".to_owned();
    let (status, problem) = caller.send("GET", "/seen", "").await;
    assert_eq!((status, &problem["code"]), (403, &json!("FL313")));
}

#[tokio::test]
async fn calls_under_way_are_finished_when_the_endpoint_stops() {
    let project = project();
    let endpoint = project.start().await;
    let caller = call(&endpoint).await;
    let waiting = caller.send("GET", "/waits", "");
    let stopping = async {
        file_appears(&project.path("begun")).await;
        endpoint.begin_drain();
        std::fs::write(project.path("go"), "").unwrap();
        endpoint.ended().await;
    };
    assert_eq!(tokio::join!(waiting, stopping).0, (200, json!("done")));
    caller.connection.await.unwrap().unwrap();
}
