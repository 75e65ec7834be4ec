//! A project folder, endpoints of it, and a client.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flash_client::TrustedRoots;
use flash_model::{EndpointId, Manifest, MothershipId, Owner};
use flash_runtime::{
    CorsOrigins, GpuSettings, Log, Recycling, Settings, Stop, TraceExport, serve, serve_until,
};
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const TOKEN: &str = "t0ken";
const DEADLINE: Duration = Duration::from_secs(30);

/// One resource, its code in `main.py`.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    manifest: Value,
    pub(crate) sdk_path: PathBuf,
    pub(crate) mothership_url: Option<String>,
    endpoint_id: &'static str,
    endpoint_dir: &'static str,
    queue_dir: Option<&'static str>,
    pub(crate) recycling: Recycling,
    pub(crate) sync_threads: u32,
    pub(crate) cors_origins: Option<CorsOrigins>,
    pub(crate) gpus: GpuSettings,
    pub(crate) limits_workers: bool,
    pub(crate) trusted_roots: TrustedRoots,
    pub(crate) trace_export: Option<TraceExport>,
    /// A program in the project's folder that is run instead of a Python.
    pub(crate) python: Option<&'static str>,
}

impl Project {
    pub(crate) fn new(kind: &str, code: &str, functions: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = json!({});
        for function in functions.as_array().unwrap() {
            registry[function["name"].as_str().unwrap()] = json!("it");
        }
        let manifest = json!({
            "version": "1.0", "generated_at": "", "project_name": "test", "function_registry": registry,
            "resources": {"it": {
                "spec": {
                    "kind": kind, "hardware": {"type": "cpu", "instanceIds": []}, "workersMin": 0, "workersMax": 1,
                    "idleTimeout": 60, "scaler": {"type": "QUEUE_DELAY", "value": 0}, "executionTimeoutMs": 0,
                    "maxConcurrency": if kind == "queue" { 1 } else { 8 }, "flashboot": false,
                },
                "resource_type": "", "handler_file": "", "functions": functions, "is_load_balanced": kind != "queue",
                "is_live_resource": true, "config_variable": null, "files": [], "imports": [], "code_digest": "",
                "config_hash": "",
            }},
        });
        let sdk_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python").canonicalize().unwrap();
        let project = Self {
            folder,
            manifest,
            sdk_path,
            mothership_url: None,
            endpoint_id: "it-1",
            endpoint_dir: "endpoint",
            queue_dir: None,
            recycling: Recycling::default(),
            sync_threads: 1,
            cors_origins: None,
            gpus: GpuSettings::default(),
            limits_workers: true,
            trusted_roots: TrustedRoots::default(),
            trace_export: None,
            python: None,
        };
        project.write_code(code);
        project
    }

    /// What is started from now on is this endpoint of the resource, whose queue is in a folder of its own.
    pub(crate) fn version(&mut self, endpoint_id: &'static str) {
        (self.endpoint_id, self.endpoint_dir, self.queue_dir) = (endpoint_id, endpoint_id, Some("queue"));
    }

    pub(crate) fn spec(mut self, name: &str, value: Value) -> Self {
        self.manifest["resources"]["it"]["spec"][name] = value;
        self
    }

    pub(crate) fn not_live(mut self) -> Self {
        self.manifest["resources"]["it"]["is_live_resource"] = json!(false);
        self
    }

    pub(crate) fn write_code(&self, code: &str) {
        std::fs::write(self.folder.path().join("main.py"), code).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn settings(&self) -> Settings {
        let manifest_path = self.path("flash_manifest.json");
        std::fs::write(&manifest_path, self.manifest.to_string()).unwrap();
        Manifest::from_json(&self.manifest.to_string()).unwrap();
        let owner: Owner =
            serde_json::from_value(json!({"scope": {"app": "a", "environment": "e"}, "resource": "it"}))
                .unwrap();
        #[allow(clippy::disallowed_methods, reason = "which Python to test with is the caller's choice")]
        let python = std::env::var_os("FLASH_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
        Settings {
            endpoint_id: EndpointId::new(self.endpoint_id).unwrap(),
            owner,
            mothership_id: MothershipId::new("m-1").unwrap(),
            mothership_url: self.mothership_url.clone(),
            token: flash_model::Secret::new(TOKEN),
            manifest_path,
            import_root: self.folder.path().to_owned(),
            python: self.python.map_or(python, |program| self.path(program)),
            sdk_path: self.sdk_path.clone(),
            endpoint_dir: self.path(self.endpoint_dir),
            queue_dir: self.queue_dir.map(|dir| self.path(dir)),
            recycling: self.recycling,
            sync_threads: self.sync_threads.try_into().unwrap(),
            cors_origins: self.cors_origins.clone(),
            log: Log::default(),
            gpus: self.gpus.clone(),
            limits_workers: self.limits_workers,
            trusted_roots: self.trusted_roots.clone(),
            trace_export: self.trace_export.clone(),
            host: [127, 0, 0, 1].into(),
            port: 0,
        }
    }

    /// Serves until the returned endpoint is stopped or dropped; ready when this returns.
    pub(crate) async fn start(&self) -> Endpoint {
        let endpoint = self.start_unready().await;
        eventually("the endpoint to be healthy", || async {
            let response = endpoint.get("/ping").await;
            (response.status == 200).then_some(()).ok_or(response.body.to_string())
        })
        .await;
        endpoint
    }

    pub(crate) async fn start_unready(&self) -> Endpoint {
        // The lock of one that was dropped hard is free when its runtime has ended.
        eventually("the endpoint to listen", || async {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (stop, told) = watch::channel(None);
            let mut served = runtime.spawn(serve_until(self.settings(), told));
            let path = self.path(self.endpoint_dir).join("endpoint.json");
            let announced = async {
                loop {
                    let text = std::fs::read(&path).unwrap_or_default();
                    match serde_json::from_slice::<flash_model::wire::EndpointAnnouncement>(&text) {
                        Ok(announcement) if reqwest::get(format!("{}/ping", announcement.url)).await.is_ok() => {
                            return announcement;
                        }
                        _ => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            };
            tokio::select! {
                announcement = announced => {
                    Ok(Endpoint { url: announcement.url, runtime: Some(runtime), stop: Some(stop), served: Some(served) })
                }
                result = &mut served => {
                    runtime.shutdown_background();
                    Err(format!("{result:?}"))
                }
            }
        })
        .await
    }
}

pub(crate) struct Endpoint {
    pub(crate) url: String,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Option<watch::Sender<Option<Stop>>>,
    served: Option<tokio::task::JoinHandle<Result<(), serve::Error>>>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Endpoint {
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.send(self.request("POST", path).json(&body)).await
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        client.request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Response {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Response { status, headers, body }
    }

    /// A job when it is in one of the final states.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        eventually("the job to finish", || async {
            let view = self.get(&format!("/status/{id}")).await.body;
            match view["status"].as_str() {
                Some("COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT") => Ok(view),
                _ => Err(view.to_string()),
            }
        })
        .await
    }

    pub(crate) async fn worker_pid(&self) -> i32 {
        let answer = self.post("/_flash/call/pid", json!({})).await;
        answer.body.as_i64().unwrap_or_else(|| panic!("{answer:?}")) as i32
    }

    pub(crate) fn begin_stop(&self) {
        self.tell(Stop::Soon);
    }

    pub(crate) fn begin_drain(&self) {
        self.tell(Stop::WhenIdle);
    }

    fn tell(&self, stop: Stop) {
        self.stop.as_ref().unwrap().send_replace(Some(stop));
    }

    /// In good order, to the end.
    pub(crate) async fn stop(self) {
        self.begin_stop();
        self.ended().await;
    }

    /// When it has ended by itself, in good order.
    pub(crate) async fn ended(mut self) {
        self.served.take().unwrap().await.unwrap().unwrap();
    }
}

/// Dropping is what `kill -9` is to a process: nothing is finished, nothing cleaned up.
impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) async fn eventually<T, F>(what: &str, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(now) => assert!(started.elapsed() < DEADLINE, "waited too long for {what}; it is: {now}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn file_appears(path: &Path) -> String {
    eventually("a file", || async { std::fs::read_to_string(path).map_err(|error| error.to_string()) }).await
}

pub(crate) fn function(name: &str, is_async: bool) -> Value {
    json!({"name": name, "module": "main", "is_async": is_async, "is_class": false})
}

pub(crate) fn route(name: &str, is_async: bool, method: &str, path: &str) -> Value {
    let mut function = function(name, is_async);
    function["is_load_balanced"] = json!(true);
    function["http_method"] = json!(method);
    function["http_path"] = json!(path);
    function
}

/// What has ended but was not waited for does not count.
pub(crate) async fn process_ends(pid: impl std::fmt::Display) {
    eventually("a process to end", || async {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    })
    .await;
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
