use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::world::{Project, TOKEN, eventually, function};

/// Serves a manifest, as far as children ask for it.
pub(crate) struct Mothership {
    pub(crate) url: String,
    manifest: Arc<Mutex<Value>>,
    task: tokio::task::JoinHandle<()>,
}

impl Mothership {
    pub(crate) async fn start(manifest: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manifest = Arc::new(Mutex::new(manifest));
        let served = Arc::clone(&manifest);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let served = Arc::clone(&served);
                let service =
                    hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let body = served.lock().unwrap().to_string();
                        async move {
                            assert_eq!(request.uri().path(), "/manifest");
                            Ok::<_, Infallible>(http::Response::new(Full::<bytes::Bytes>::from(body)))
                        }
                    });
                let server = hyper::server::conn::http1::Builder::new();
                connections.spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, manifest, task }
    }
}

pub(crate) fn manifest(endpoints: &[(&str, &str, Option<&str>)]) -> Value {
    let mut manifest = json!({
        "version": "1.0", "generated_at": "", "project_name": "test", "resources": {}, "function_registry": {},
    });
    for (resource, function, url) in endpoints {
        manifest["function_registry"][function] = json!(resource);
        manifest["resources"][resource] = json!({
            "spec": {
                "kind": "queue", "hardware": {"type": "cpu", "instanceIds": []}, "workersMin": 0, "workersMax": 1,
                "idleTimeout": 60, "scaler": {"type": "QUEUE_DELAY", "value": 4}, "executionTimeoutMs": 0,
                "maxConcurrency": 1, "flashboot": false,
            },
            "resource_type": "", "handler_file": "", "functions": [], "is_load_balanced": false,
            "is_live_resource": true, "config_variable": null, "files": [], "imports": [], "code_digest": "",
            "config_hash": "",
        });
        if let Some(url) = url {
            manifest["resources"][resource]["endpoint_id"] = json!("e-1");
            manifest["resources"][resource]["endpoint_url"] = json!(url);
            manifest["resources"][resource]["status"] = json!("ready");
        }
    }
    manifest
}

const CALLER: &str = r#"
from tetra_rp import CpuLiveServerless, remote

other = CpuLiveServerless(name="other")

@remote(other)
def triple(x):
    raise AssertionError("runs elsewhere")

@remote(other)
def broken(x):
    raise AssertionError("runs elsewhere")

@remote(other)
def unheard_of(x):
    raise AssertionError("runs elsewhere")

async def call(x: int):
    return await triple(x)

async def call_broken():
    try:
        await broken(1)
    except Exception as error:
        return [type(error).__name__, error.code, str(error)]

async def call_unknown():
    try:
        await unheard_of(1)
    except Exception as error:
        return [type(error).__name__, error.code, str(error)]
"#;

fn caller() -> Project {
    let functions = ["call", "call_broken", "call_unknown"].map(|name| function(name, true));
    Project::new("load_balanced", CALLER, json!(functions))
}

fn callee() -> Project {
    let code = "def triple(x):\n    return x * 3\ndef broken(x):\n    raise ValueError('from afar')\n";
    Project::new("queue", code, json!([function("triple", false), function("broken", false)]))
}

#[tokio::test]
async fn functions_of_other_endpoints_are_found_called_and_their_errors_come_back() {
    let callee_project = callee();
    let callee = callee_project.start().await;
    let mothership =
        Mothership::start(manifest(&[("other", "triple", None), ("other2", "broken", None)])).await;
    let mut project = caller();
    project.mothership_url = Some(mothership.url.clone());
    let caller = project.start().await;

    // Known, but not ready: the call waits for it.
    let waiting = tokio::spawn(caller.request("POST", "/_flash/call/call").json(&json!({"x": 5})).send());
    let url = Some(callee.url.as_str());
    *mothership.manifest.lock().unwrap() = manifest(&[("other", "triple", url), ("other2", "broken", url)]);
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "15");

    let broken = caller.post("/_flash/call/call_broken", json!({})).await.body;
    assert_eq!((&broken[0], &broken[1]), (&json!("RemoteExecutionError"), &json!("FL305")), "{broken}");
    assert!(broken[2].as_str().unwrap().contains("from afar"), "{broken}");
    let unknown = caller.post("/_flash/call/call_unknown", json!({})).await.body;
    assert_eq!((&unknown[0], &unknown[1]), (&json!("UnknownFunctionError"), &json!("FL307")), "{unknown}");
    assert!(unknown[2].as_str().unwrap().contains("triple"), "{unknown}");
}

#[tokio::test]
async fn the_last_good_table_outlives_the_mothership_and_the_endpoint() {
    let callee_project = callee();
    let callee = callee_project.start().await;
    let mothership = Mothership::start(manifest(&[("other", "triple", Some(&callee.url))])).await;
    let project = caller();
    let caller = project.start().await;
    let client = flash_client::Endpoint::new(caller.url.clone(), Some(flash_model::Secret::new(TOKEN)));
    client.announce_mothership(&mothership.url).await.unwrap();
    let call = |caller: &crate::world::Endpoint| {
        caller.request("POST", "/_flash/call/call").json(&json!({"x": 2})).send()
    };
    assert_eq!(call(&caller).await.unwrap().text().await.unwrap(), "6");
    eventually("the table to be kept", || async {
        let text = std::fs::read_to_string(project.path("endpoint/routes.json"))
            .map_err(|error| error.to_string())?;
        if text.contains("triple") { Ok(()) } else { Err(text) }
    })
    .await;

    mothership.task.abort();
    assert_eq!(call(&caller).await.unwrap().text().await.unwrap(), "6");
    caller.stop().await;
    let caller = project.start().await;
    assert_eq!(call(&caller).await.unwrap().text().await.unwrap(), "6");
}
