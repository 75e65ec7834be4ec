//! A worker that serves a web application itself: here a stand-in for the shim, so that no ASGI server is needed.

use serde_json::json;

use crate::world::Project;

const STAND_IN: &str = r#"
import http.server, json, os, socket, struct, threading

class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/ping":
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = json.dumps({"path": self.path, "host": self.headers["host"], "te": self.headers["te"],
                           "forwarded": self.headers["x-forwarded-host"],
                           "traceparent": self.headers["traceparent"]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("x-own", "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in (body[:2], body[2:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
threading.Thread(target=server.serve_forever, daemon=True).start()
gateway = socket.socket(fileno=os.dup(0))
header = json.dumps({"pid": os.getpid(), "python": "3", "port": server.server_port}).encode()
gateway.sendall(struct.pack("<IBII", 9 + len(header), 2, 0, len(header)) + header)
while True:
    data = gateway.recv(65536)
    if not data or b"\x09\x00\x00\x00\x08" in data:
        os._exit(0)
"#;

pub(crate) fn project() -> Project {
    let mut project = Project::new("asgi", "", json!([])).spec("asgi", json!("main:app"));
    std::fs::create_dir_all(project.path("sdk/tetra_rp")).unwrap();
    std::fs::write(project.path("sdk/tetra_rp/__init__.py"), "").unwrap();
    std::fs::write(project.path("sdk/tetra_rp/_worker.py"), STAND_IN).unwrap();
    project.sdk_path = project.path("sdk");
    project
}

#[tokio::test]
async fn everything_but_flash_s_own_goes_to_the_application() {
    let endpoint = project().start().await;

    let host = endpoint.url.strip_prefix("http://").unwrap();
    for path in ["/", "/a/b?c=%20d", "/manifest"] {
        let answer = endpoint.send(endpoint.request("GET", path).header("te", "trailers")).await;
        assert_eq!(
            answer.body,
            json!({"path": path, "host": host, "te": null, "forwarded": host, "traceparent": null})
        );
        assert_eq!(answer.headers["x-own"], "1");
    }
    let echoed = endpoint.send(endpoint.request("POST", "/").body("streamed")).await;
    assert_eq!((echoed.status, echoed.body), (201, json!("streamed")));
    assert_eq!(endpoint.get("/_flash/identity").await.status, 401);
    endpoint.stop().await;
}
