use serde_json::{Value, json};

use crate::world::{Project, TOKEN, eventually, file_appears, function, kill, route};

const CODE: &str = r#"
import asyncio, os, pathlib, time

async def add(x: int, y: int = 1):
    return {"sum": x + y}

def shout(text: str):
    return text.upper()

async def user(id: int, verbose: bool = False):
    return [id, verbose]

def broken():
    raise ValueError("no luck")

def odd():
    return object()

def pid():
    return os.getpid()

async def wait_for_ever():
    try:
        pathlib.Path("begun").write_text("yes")
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        pathlib.Path("cancelled").write_text("yes")
        raise

class Counter:
    def __init__(self):
        self.count = 0
    def up(self, by: int = 1):
        self.count += by
        return self.count
"#;

fn project() -> Project {
    let mut counter = function("Counter", false);
    counter["is_class"] = json!(true);
    counter["methods"] = json!([{"name": "up", "is_async": false}]);
    Project::new(
        "load_balanced",
        CODE,
        json!([
            route("add", true, "POST", "/add"),
            route("shout", false, "POST", "/shout"),
            route("user", true, "GET", "/users/{id}"),
            route("broken", false, "POST", "/broken"),
            route("odd", false, "GET", "/odd"),
            route("wait_for_ever", true, "POST", "/wait"),
            function("pid", false),
            counter,
        ]),
    )
}

#[tokio::test]
async fn routes_reach_functions_and_their_errors_reach_the_caller() {
    let project = project();
    let endpoint = project.start().await;

    let added = endpoint.post("/add", json!({"x": 1, "y": 2})).await;
    assert_eq!((added.status, added.body), (200, json!({"sum": 3})));
    assert_eq!(added.headers["content-type"], "application/json");
    assert_eq!(endpoint.post("/shout", json!({"text": "hi"})).await.body, "HI");
    let user = endpoint.get("/users/7?verbose=true").await;
    assert_eq!((user.status, user.body), (200, json!([7, true])));
    assert_eq!(endpoint.post("/add", json!({"x": "no"})).await.status, 422);
    // The client follows to where the slash does not matter.
    assert_eq!(endpoint.post("/add//", json!({"x": 1, "y": 2})).await.body, json!({"sum": 3}));
    assert_eq!(endpoint.get("/users/7/?verbose=1").await.body, json!([7, true]));

    let broken = endpoint.post("/broken", json!({})).await;
    assert_eq!((broken.status, &broken.body["code"]), (500, &json!("FL305")));
    assert_eq!(broken.headers["content-type"], "application/problem+json");
    assert_eq!(broken.body["exception"]["type"], "ValueError");
    assert_eq!(broken.body["exception"]["message"], "no luck");
    let traceback = broken.body["exception"]["traceback"].as_str().unwrap();
    assert!(traceback.contains("raise ValueError(\"no luck\")"), "{traceback}");

    let odd = endpoint.get("/odd").await;
    assert_eq!((odd.status, &odd.body["code"]), (500, &json!("FL306")), "{odd:?}");
}

#[tokio::test]
async fn what_is_not_there_says_what_is() {
    let project = project();
    let endpoint = project.start().await;
    let check = |response: crate::world::Response, status: u16, code: &str, hint: &str| {
        assert_eq!((response.status, response.body["code"].as_str()), (status, Some(code)), "{response:?}");
        assert!(response.body.to_string().contains(hint), "{hint} is not in {}", response.body);
    };
    check(endpoint.get("/nowhere").await, 404, "FL301", "POST /add");
    let wrong_method = endpoint.get("/add").await;
    assert_eq!(wrong_method.headers["allow"], "POST, OPTIONS");
    check(wrong_method, 405, "FL302", "POST");
    check(endpoint.get("/manifest").await, 403, "FL303", "mothership");
    check(endpoint.post("/_flash/call/nobody", json!({})).await, 404, "FL307", "wait_for_ever");
    check(endpoint.post("/_flash/call/Counter.down", json!({})).await, 404, "FL307", "Counter.up");
    check(endpoint.get("/_flash/identity").await, 401, "FL308", "Bearer");
    let pickle =
        endpoint.request("POST", "/_flash/call/add").header("content-type", "application/vnd.flash.pickle");
    check(endpoint.send(pickle.body("x")).await, 401, "FL308", "Bearer");
}

#[tokio::test]
async fn a_web_page_cannot_drive_it() {
    let project = project();
    let endpoint = project.start().await;
    for (header, value) in
        [("host", "evil.com"), ("host", "evil.com:80"), ("origin", "http://evil.com"), ("origin", "null")]
    {
        let answer = endpoint.send(endpoint.request("GET", "/ping").header(header, value)).await;
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("FL313")), "{header}: {value}");
    }
    let fine =
        endpoint.send(endpoint.request("GET", "/ping").header("origin", "http://localhost:3000")).await;
    assert_eq!(fine.status, 200);
}

#[tokio::test]
async fn identity_is_for_token_holders() {
    let project = project();
    let endpoint = project.start().await;
    let client = flash_client::Endpoint::new(endpoint.url.clone(), Some(flash_model::Secret::new(TOKEN)));
    assert_eq!(client.ping().await.unwrap(), flash_client::Ping::Healthy);
    let identity = client.identity().await.unwrap();
    assert_eq!((identity.endpoint_id.as_str(), identity.pid), ("it-1", std::process::id()));
    let stranger = flash_client::Endpoint::new(endpoint.url.clone(), Some(flash_model::Secret::new("guess")));
    let error = stranger.identity().await.unwrap_err();
    assert_eq!(error.problem().map(|problem| problem.status), Some(401));
    assert_eq!(error.retry(), flash_model::Retry::Never);
    let bare = endpoint.request("GET", "/_flash/identity").header("authorization", TOKEN);
    assert_eq!(endpoint.send(bare).await.status, 200);
}

#[tokio::test]
async fn a_class_keeps_its_state() {
    let project = project();
    let endpoint = project.start().await;
    for expected in 1..=3 {
        let answer = endpoint.post("/_flash/call/Counter.up", json!({})).await;
        assert_eq!((answer.status, answer.body), (200, json!(expected)));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_call() {
    let project = project();
    let endpoint = project.start().await;
    let call = tokio::spawn(endpoint.request("POST", "/wait").send());
    file_appears(&project.path("begun")).await;
    call.abort();
    file_appears(&project.path("cancelled")).await;
}

#[tokio::test]
async fn a_killed_worker_costs_one_call() {
    let project = project();
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    let call = tokio::spawn(endpoint.request("POST", "/wait").send());
    file_appears(&project.path("begun")).await;
    kill(pid);
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.status(), 502);
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "FL304");
    assert!(problem["detail"].as_str().unwrap().contains("SIGKILL"), "{problem}");
    assert_eq!(endpoint.post("/add", json!({"x": 1})).await.body, json!({"sum": 2}));
    assert_ne!(endpoint.worker_pid().await, pid);
}

#[tokio::test]
async fn code_that_cannot_be_imported_is_reported_and_tried_again() {
    let project = project();
    project.write_code("import nothing_of_that_name\n");
    let endpoint = project.start_unready().await;
    let ping = eventually("the import to fail", || async {
        let ping = endpoint.get("/ping").await;
        if ping.status == 503 { Ok(ping) } else { Err(format!("{ping:?}")) }
    })
    .await;
    assert_eq!(ping.body["code"], "FL312");
    assert_eq!(ping.body["exception"]["type"], "ModuleNotFoundError");
    assert!(ping.body["exception"]["traceback"].as_str().unwrap().contains("main.py"), "{}", ping.body);
    let call = endpoint.post("/add", json!({"x": 1})).await;
    assert_eq!((call.status, &call.body["code"]), (503, &json!("FL312")));
    assert!(call.headers.contains_key("retry-after"));

    project.write_code(CODE);
    eventually("the corrected code to be served", || async {
        let answer = endpoint.post("/add", json!({"x": 1})).await;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(endpoint.get("/ping").await.status, 200);
}

#[tokio::test]
async fn a_call_that_runs_too_long_is_ended() {
    let project = project().spec("executionTimeoutMs", json!(300));
    let endpoint = project.start().await;
    let answer = endpoint.post("/wait", json!({})).await;
    assert_eq!((answer.status, &answer.body["code"]), (504, &json!("FL310")));
    assert_eq!(endpoint.post("/add", json!({"x": 1})).await.status, 200);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let project = project();
    let endpoint = project.start().await;
    let body = vec![b' '; 30 * 1024 * 1024 + 1];
    let answer =
        endpoint.request("POST", "/shout").header("content-type", "application/json").body(body).send().await;
    // The server may hang up before it has read all of it.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(
        endpoint.post("/shout", json!({"text": "x".repeat(5_000_000)})).await.body,
        "X".repeat(5_000_000)
    );
}
