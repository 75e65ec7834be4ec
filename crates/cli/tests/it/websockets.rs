//! WebSockets of a project's own application, through the mothership's front door.

use flash_testkit::websocket::{Message, WebSocket};
use serde_json::{Value, json};

use crate::support::Project;

const ECHO: &str = r#"
from fastapi import WebSocket

@app.websocket("/echo/{name}")
async def echo(socket: WebSocket, name: str):
    await socket.accept()
    await socket.send_text(f"hello {name} at {socket.url}")
    while True:
        text = await socket.receive_text()
        if text == "close":
            return await socket.close(4321)
        await socket.send_text(text)
"#;

#[tokio::test]
async fn the_front_door_passes_websockets_to_the_application_and_to_nobody_else() {
    let project = Project::example("webapp");
    let main = std::fs::read_to_string(project.root().join("main.py")).unwrap();
    project.write("main.py", &(main + ECHO));
    let mut running = project.run();
    let manifest = running.until_ready().await;
    let url = running.url.clone();

    let resources = manifest["resources"].as_object().unwrap();
    let (name, _) = resources.iter().find(|(_, resource)| resource["spec"]["kind"] == "asgi").unwrap();
    let host = url.strip_prefix("http://").unwrap();
    for door in ["".to_owned(), format!("/lb/{name}")] {
        let mut socket = WebSocket::open(&url, &format!("{door}/echo/you?q=1")).await;
        assert_eq!(socket.receive().await, Message::Text(format!("hello you at ws://{host}/echo/you?q=1")));
        assert_eq!(socket.exchange(&"there and back".into()).await, "there and back".into());
        assert_eq!(socket.exchange(&"close".into()).await, Message::Close(4321));
        socket.send(&Message::Close(4321)).await;
        assert_eq!(socket.receive().await, Message::Gone);
    }

    let page = [("origin", "https://evil.example"), ("sec-fetch-mode", "websocket")];
    let foreign = WebSocket::ask(&url, "/echo/you", &page);
    let other = WebSocket::ask(&url, "/echo/you", &[("upgrade", "TLS/1.0")]);
    let queue = WebSocket::ask(&url, "/v2/cpu_worker/run", &[]);
    let (foreign, other, queue) = tokio::join!(foreign, other, queue);
    for (refused, status, code) in [(foreign, 403, "FL313"), (other, 426, "FL321"), (queue, 404, "FL321")] {
        let refused = refused.unwrap_err();
        let problem: Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!((refused.status, &problem["code"]), (status, &json!(code)), "{refused:?}");
        assert_eq!(status == 426, refused.head.contains("\r\nupgrade: websocket\r\n"), "{refused:?}");
    }

    let mut socket = WebSocket::open(&url, "/echo/last").await;
    assert!(matches!(socket.receive().await, Message::Text(_)));
    let ended = tokio::task::spawn_blocking(move || running.interrupt());
    assert_eq!(socket.receive().await, Message::Close(1012), "service restart");
    assert_eq!(ended.await.unwrap().code(), Some(0));
    assert_eq!(socket.receive().await, Message::Gone);
}
