//! WebSockets of the user's own application: uvicorn in a real worker, behind the gateway.

use flash_testkit::websocket::{Message, WebSocket};
use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, file_appears, function, kill};

const ECHO: &str = r#"
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return await plain(scope, send)
    await receive()
    if scope["path"] == "/refuses":
        return await send({"type": "websocket.close"})
    await send({"type": "websocket.accept"})
    note("accepted", scope["path"])
    await send({"type": "websocket.send", "text": f"{scope['scheme']} {scope['path']}?{scope['query_string'].decode()}"})
    while (message := await receive())["type"] == "websocket.receive":
        text, data = message.get("text"), message.get("bytes")
        if text == "pid":
            text = str(os.getpid())
        if text == "flood":
            await flood(send)
        elif text == "close":
            return await send({"type": "websocket.close", "code": 4321})
        elif text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": data})
    note("left", message["code"])

def note(name, what):
    with open(name, "a") as file:
        print(what, file=file)
    return what

async def flood(send):
    how = "never held back"
    for _ in range(256):
        sending = asyncio.ensure_future(send({"type": "websocket.send", "bytes": bytes(1 << 20)}))
        if not (await asyncio.wait({sending}, timeout=0.5))[0] and how != "held back":
            how = note("flood", "held back")
        await sending
    if how != "held back":
        note("flood", how)

async def plain(scope, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"plain"})
"#;

fn application() -> Project {
    let code =
        ECHO.replace("import asyncio, os\n", "import asyncio, os; os.chdir(os.path.dirname(__file__))\n");
    Project::new("asgi", &code, json!([])).spec("asgi", json!("main:app"))
}

/// Past the greeting.
async fn open(endpoint: &Endpoint, path: &str) -> WebSocket {
    let mut socket = WebSocket::open(&endpoint.url, path).await;
    assert!(matches!(socket.receive().await, Message::Text(_)));
    socket
}

#[tokio::test]
async fn messages_go_both_ways_as_they_are() {
    let project = application();
    let endpoint = project.start().await;
    let mut socket = WebSocket::open(&endpoint.url, "/a%20b?c=%20d").await;
    assert_eq!(socket.receive().await, Message::from("ws /a b?c=%20d"));
    let large = Message::Binary((0..4_000_000_u32).map(|byte| byte as u8).collect());
    for message in [Message::from("hällo"), Message::Binary(vec![0, 255]), large, Message::from("")] {
        assert!(socket.exchange(&message).await == message, "{}", format!("{message:?}").len());
    }
    let answer = endpoint.get("/").await;
    assert_eq!((answer.status, answer.body), (200, json!("plain")), "requests go on beside it");
    drop(socket);
    endpoint.stop().await;
}

#[tokio::test]
async fn close_codes_arrive_at_the_other_end_and_so_does_the_end_of_the_connection() {
    let project = application();
    let endpoint = project.start().await;
    let mut closes = open(&endpoint, "/").await;
    assert_eq!(closes.exchange(&"close".into()).await, Message::Close(4321));
    closes.send(&Message::Close(4321)).await;
    assert_eq!(closes.receive().await, Message::Gone);

    let mut closed = open(&endpoint, "/").await;
    assert_eq!(closed.exchange(&Message::Close(4000)).await, Message::Close(4000));
    assert_eq!(closed.receive().await, Message::Gone);
    drop((closes, closed));
    eventually("the application to know", || async {
        let left = file_appears(&project.path("left")).await;
        (left == "4000\n").then_some(()).ok_or(left)
    })
    .await;

    drop(open(&endpoint, "/").await);
    eventually("the application to know that the caller went", || async {
        let left = file_appears(&project.path("left")).await;
        (left.lines().count() == 2).then_some(()).ok_or(left)
    })
    .await;
    endpoint.stop().await;
}

#[tokio::test]
async fn an_application_may_refuse_a_handshake_itself() {
    let project = application();
    let endpoint = project.start().await;
    let refused = WebSocket::ask(&endpoint.url, "/refuses", &[]).await.unwrap_err();
    assert_eq!(refused.status, 403);
    endpoint.stop().await;
}

#[tokio::test]
async fn the_death_of_the_worker_closes_the_connection_and_the_next_one_finds_another() {
    let project = application();
    let endpoint = project.start().await;
    let mut socket = open(&endpoint, "/").await;
    let Message::Text(pid) = socket.exchange(&"pid".into()).await else { panic!("no text") };
    kill(pid.parse().unwrap());
    assert_eq!(socket.receive().await, Message::Gone);
    drop(socket);
    eventually("another worker", || async {
        let refused = |refused| format!("{refused:?}");
        let mut next = WebSocket::ask(&endpoint.url, "/", &[]).await.map_err(refused)?;
        next.receive().await;
        assert_ne!(next.exchange(&"pid".into()).await, Message::Text(pid.clone()));
        Ok(())
    })
    .await;
    endpoint.stop().await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_the_application_back() {
    let project = application();
    let endpoint = project.start().await;
    let mut socket = open(&endpoint, "/").await;
    socket.send(&"flood".into()).await;
    // What fits in between on the way is sent; then it waits, as nobody reads.
    assert_eq!(file_appears(&project.path("flood")).await, "held back\n");
    for _ in 0..256 {
        assert_eq!(socket.receive().await, Message::Binary(vec![0; 1 << 20]));
    }
    drop(socket);
    endpoint.stop().await;
}

#[tokio::test]
async fn a_connection_takes_a_slot_for_as_long_as_it_lives() {
    let project = application().spec("maxConcurrency", json!(1));
    let endpoint = project.start().await;
    let mut first = open(&endpoint, "/first").await;
    let workers = async |state: &str| {
        let metrics = endpoint.get("/_flash/metrics").await.body;
        let mut lines = metrics.as_str().unwrap().lines().filter(|line| line.starts_with("flash_workers{"));
        lines.find(|line| line.contains(state)).unwrap().ends_with(" 1")
    };
    assert!(workers("running").await && !workers("idle").await, "a worker that is not idle is not stopped");
    let mut second = Box::pin(open(&endpoint, "/second"));
    let while_first_lives = async {
        assert_eq!(first.exchange(&"still".into()).await, "still".into());
        first.exchange(&Message::Close(1000)).await;
    };
    tokio::select! {
        biased;
        _ = &mut second => panic!("there was no slot"),
        () = while_first_lives => {}
    }
    drop(second.await);
    assert_eq!(file_appears(&project.path("accepted")).await, "/first\n/second\n");
    eventually("the worker to be idle", || async {
        workers("idle").await.then_some(()).ok_or_else(|| "it is not".to_owned())
    })
    .await;
    endpoint.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_and_rebound_names_are_refused() {
    let project = application();
    let endpoint = project.start().await;
    for header in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let browser = [("sec-fetch-mode", "websocket"), header];
        let refused = WebSocket::ask(&endpoint.url, "/", &browser).await.unwrap_err();
        assert_eq!(refused.status, 403, "{header:?}");
        assert!(refused.body.contains("FL313"), "{}", refused.body);
    }
    let own = [("origin", endpoint.url.as_str()), ("sec-fetch-mode", "websocket")];
    WebSocket::ask(&endpoint.url, "/", &own).await.unwrap();
    endpoint.stop().await;
}

#[tokio::test]
async fn other_upgrades_and_other_kinds_of_endpoints_say_what_cannot_be() {
    let project = application();
    let endpoint = project.start().await;
    let refused = WebSocket::ask(&endpoint.url, "/", &[("upgrade", "TLS/1.0")]).await.unwrap_err();
    assert_eq!(refused.status, 426);
    assert!(refused.head.contains("\r\nupgrade: websocket\r\n"), "{}", refused.head);
    assert!(refused.body.contains("FL321"), "{}", refused.body);
    // Java's client offers it with each request, and is content with HTTP/1.1.
    let offer =
        [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")];
    let plain = WebSocket::ask(&endpoint.url, "/", &offer).await.unwrap_err();
    assert_eq!((plain.status, plain.body.as_str()), (200, "plain"));
    endpoint.stop().await;

    for kind in ["queue", "load_balanced"] {
        let project = Project::new(kind, "def f(): ...", json!([function("f", false)]));
        let endpoint = project.start().await;
        for path in ["/", "/run", "/metrics"] {
            let refused = WebSocket::ask(&endpoint.url, path, &[]).await.unwrap_err();
            let problem: Value = serde_json::from_str(&refused.body).unwrap();
            assert_eq!((refused.status, &problem["code"]), (404, &json!("FL321")), "{kind} {path}");
        }
        endpoint.stop().await;
    }
}

#[tokio::test]
async fn connections_go_on_while_the_endpoint_drains() {
    let project = application();
    let endpoint = project.start().await;
    let mut socket = open(&endpoint, "/").await;
    let url = endpoint.url.clone();
    endpoint.begin_drain();
    eventually("the endpoint to take nothing new", || async {
        reqwest::get(&url).await.is_err().then_some(()).ok_or("it answers".to_owned())
    })
    .await;
    assert_eq!(socket.exchange(&"still there".into()).await, "still there".into());
    socket.send(&Message::Close(1000)).await;
    drop(socket);
    endpoint.ended().await;
}

#[tokio::test]
async fn at_the_cutoff_the_application_s_server_says_goodbye() {
    let project = application();
    let endpoint = project.start().await;
    let mut socket = open(&endpoint, "/").await;
    endpoint.begin_stop();
    assert_eq!(socket.receive().await, Message::Close(1012), "service restart");
    endpoint.ended().await;
    assert_eq!(socket.receive().await, Message::Gone);
}

#[tokio::test]
async fn without_a_package_for_it_a_handshake_is_told_what_to_install() {
    let project = application();
    for package in ["websockets", "wsproto"] {
        std::fs::write(project.path(&format!("{package}.py")), "raise ImportError").unwrap();
    }
    let endpoint = project.start().await;
    let refused = WebSocket::ask(&endpoint.url, "/", &[]).await.unwrap_err();
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!((refused.status, &problem["code"]), (501, &json!("FL321")), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("websockets"), "{problem}");
    assert_eq!(endpoint.get("/").await.body, json!("plain"));
    endpoint.stop().await;
}
