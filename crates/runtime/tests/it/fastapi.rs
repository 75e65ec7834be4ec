//! The same functions on FastAPI and on a load-balanced endpoint, asked the same: the same status, the same JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, route};

const MAIN: &str = include_str!("fastapi/main.py");
const SERVE: &str = include_str!("fastapi/serve.py");

struct Case {
    /// Method and path.
    asked: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<String>,
    /// Where both differ on purpose: FastAPI's status, ours, and why.
    differs: Option<(u16, u16, &'static str)>,
}

fn get(asked: &'static str) -> Case {
    Case { asked, headers: vec![], body: None, differs: None }
}

fn send(asked: &'static str, body: Value) -> Case {
    get(asked).text("application/json", &body.to_string())
}

impl Case {
    fn text(mut self, content_type: &'static str, body: &str) -> Self {
        self.body = Some(body.to_owned());
        if content_type.is_empty() { self } else { self.header("content-type", content_type) }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn differs(self, theirs: u16, ours: u16, why: &'static str) -> Self {
        Self { differs: Some((theirs, ours, why)), ..self }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }

    /// Place and type of each mismatch.
    fn mismatches(&self) -> Option<Vec<String>> {
        let document = self.json()?;
        let details = document["detail"].as_array()?;
        let mut found: Vec<_> =
            details.iter().map(|detail| format!("{} {}", detail["loc"], detail["type"])).collect();
        found.sort();
        Some(found)
    }

    fn is_problem(&self) -> bool {
        self.content_type == "application/problem+json"
    }
}

async fn ask(client: &reqwest::Client, url: &str, case: &Case) -> Answer {
    let (method, path) = case.asked.split_once(' ').unwrap();
    let mut request = client.request(method.parse().unwrap(), format!("{url}{path}"));
    for (name, value) in &case.headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    let response = request.send().await.unwrap();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        text: response.text().await.unwrap(),
    }
}

/// Why the two answers are not what the case says, if so.
fn difference(case: &Case, theirs: &Answer, ours: &Answer) -> Option<String> {
    let statuses = (theirs.status, ours.status);
    if let Some((their_status, our_status, _)) = case.differs {
        let is_as_told = statuses == (their_status, our_status);
        let are_equal = theirs.status == ours.status && theirs.text == ours.text;
        return match () {
            () if !is_as_told => Some(format!("statuses are {statuses:?}")),
            () if are_equal => Some("they do not differ".to_owned()),
            () => None,
        };
    }
    if theirs.status != ours.status {
        return Some(format!("statuses are {statuses:?}"));
    }
    match theirs.status {
        422 => (theirs.mismatches() != ours.mismatches()).then(|| "other mismatches".to_owned()),
        // Our own refusals are problem documents.
        400.. if ours.is_problem() => None,
        _ if theirs.content_type != ours.content_type => Some("other content types".to_owned()),
        _ => (theirs.json() != ours.json() || theirs.json().is_none() && theirs.text != ours.text)
            .then(|| "other bodies".to_owned()),
    }
}

/// FastAPI on uvicorn, until it is dropped.
struct FastApi {
    url: String,
    routes: Value,
    _folder: tempfile::TempDir,
    _process: tokio::process::Child,
}

async fn start_fastapi() -> FastApi {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    #[allow(clippy::disallowed_methods, reason = "which Python to test with is the caller's choice")]
    let python = std::env::var_os("FLASH_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let process = tokio::process::Command::new(python)
        .arg("serve.py")
        .current_dir(folder.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let served: Value = eventually("FastAPI to listen", || async {
        let text =
            std::fs::read_to_string(folder.path().join("served.json")).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    })
    .await;
    let url = format!("http://127.0.0.1:{}", served["port"]);
    FastApi { url, routes: served["routes"].clone(), _folder: folder, _process: process }
}

fn write_files(folder: &Path) {
    std::fs::write(folder.join("main.py"), MAIN).unwrap();
    std::fs::write(folder.join("serve.py"), SERVE).unwrap();
}

async fn start_flash(fastapi: &FastApi) -> (Project, Endpoint) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let functions: Vec<Value> = fastapi
        .routes
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            let is_async = each["is_async"].as_bool().unwrap();
            route(&text(&each["name"]), is_async, &text(&each["method"]), &text(&each["path"]))
        })
        .collect();
    let project = Project::new("load_balanced", MAIN, json!(functions));
    let endpoint = project.start().await;
    (project, endpoint)
}

#[tokio::test]
async fn a_function_answers_as_it_does_on_fastapi() {
    let fastapi = start_fastapi().await;
    let (_project, endpoint) = start_flash(&fastapi).await;
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let cases: Vec<Case> = [scalars(), lists_and_models_aside(), bodies(), results(), protocol()]
        .into_iter()
        .flatten()
        .collect();
    let mut differences = Vec::new();
    for case in &cases {
        let theirs = ask(&client, &fastapi.url, case).await;
        let ours = ask(&client, &endpoint.url, case).await;
        if let Some(what) = difference(case, &theirs, &ours) {
            let why = case.differs.map_or("", |(_, _, why)| why);
            differences.push(format!(
                "{} {}: {what} {why}\n  FastAPI {} {}\n  Flash   {} {}",
                case.asked,
                case.body.as_deref().unwrap_or_default(),
                theirs.status,
                theirs.text,
                ours.status,
                ours.text,
            ));
        }
    }
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), cases.len(), differences.join("\n"));
}

fn scalars() -> Vec<Case> {
    let mut cases = vec![];
    for asked in [
        "GET /scalars/1?text=a",
        "GET /scalars/-1?text=&ratio=2&flag=yes&maybe=3",
        "GET /scalars/1.0?text=a&ratio=nan&flag=OFF",
        "GET /scalars/1.5?text=a",
        "GET /scalars/x?ratio=y&flag=z&maybe=w",
        "GET /scalars/1",
        "GET /scalars/1?text=a&text=b&unknown=1",
        "GET /scalars/1?text=a&maybe=",
        "GET /scalars/1?text=%C3%BC%20+b&flag=1&ratio=1e3",
        "GET /scalars/%20%31%20?text=a",
        "GET /scalars/1_000?text=a",
        "GET /scalars/99999999999999999999999?text=a",
        "GET /scalars_sync/1?text=a&flag=t",
        "GET /scalars_sync/x",
        "GET /bare?text=1",
        "GET /bare?other=1",
        "GET /bare?text=1&other=",
        "DELETE /scalars/3?force=true",
        "DELETE /scalars/x?force=maybe",
        "GET /limits/5",
        "GET /limits/0?text=A",
        "GET /limits/10?text=x",
        "GET /limits/9?text=xyz",
        "GET /files/a/b%20c/d.txt",
        "GET /files/",
        "GET /digits/12",
        "GET /digits/x",
        "GET /digits/-1",
        "GET /digits/special",
        "GET /required_kinds/00000000-0000-0000-0000-000000000007/2026-01-31/red?when=2026-01-31T12:00:00Z&amount=1.50",
        "GET /required_kinds/7/31.1.2026/green?when=now&amount=much",
        "GET /required_kinds/00000000000000000000000000000007/2026-02-31/RED",
    ] {
        cases.push(get(asked));
    }
    for asked in [
        "when=2026-01-31T12:30:00",
        "when=2026-01-31",
        "when=2026-01-31%2012:30",
        "when=2026-01-31T12:30:00.123456789Z",
        "when=2026-01-31t12:30:00.5%2B02:00",
        "when=2026-01-31T12:30:00-0530",
        "when=1700000000",
        "when=1700000000000",
        "when=1700000000.5",
        "when=-1",
        "when=2026-13-01T00:00:00",
        "when=2026-01-31T25:00:00",
        "when=",
        "when=x",
        "when=2026-W05-6",
        "day=2026-01-31",
        "day=2026-1-31",
        "day=2026-01-31T00:00:00",
        "day=2026-01-31T01:00:00",
        "day=1700006400",
        "day=1700000001",
        "day=20260131",
        "day=x",
        "at=12:30",
        "at=12:30:05.25",
        "at=12:30:05Z",
        "at=12:30:05%2B01:00",
        "at=24:00",
        "at=45000",
        "at=x",
        "span=P1DT2H3M4.5S",
        "span=-PT5M",
        "span=P1W",
        "span=01:02:03",
        "span=1%20day,%2001:02:03",
        "span=3%20days",
        "span=x",
        "span=",
        "span=25:00",
        "id=00000000-0000-0000-0000-000000000007",
        "id=%7B00000000-0000-0000-0000-000000000007%7D",
        "id=urn:uuid:00000000-0000-0000-0000-000000000007",
        "id=0000",
        "amount=1.50",
        "amount=1e3",
        "amount=NaN",
        "amount=Infinity",
        "amount=x",
        "amount=",
        "color=red",
        "color=RED",
        "level=1",
        "level=3",
        "level=x",
        "level=1.0",
        "size=s",
        "size=l",
        "count=1",
        "file=/a/../b",
        "number=%2B5",
        "number=0x10",
        "number=1e3",
        "ratio=inf",
        "ratio=1_0",
        "flag=ON",
        "flag=2",
        "flag=",
        "either=1",
        "either=x",
    ] {
        cases.push(get(Box::leak(format!("GET /kinds?{asked}").into_boxed_str())));
    }
    cases.push(get("GET /kinds?span=90").differs(422, 200, "a number of seconds in a query is text"));
    cases
}

fn lists_and_models_aside() -> Vec<Case> {
    vec![
        get("GET /lists?tag=a&tag=b&number=1&number=2&maybe=1.5&unique=1&unique=1"),
        get("GET /lists?tag="),
        get("GET /lists"),
        get("GET /lists?tag=a&number=x&number=1&number=y&unique=z"),
        get("GET /filter?needed=1&limit=5&orderBy=name&tags=a&tags=b"),
        get("GET /filter?needed=1&order_by=name"),
        get("GET /filter?limit=101&needed=maybe"),
        get("GET /filter"),
        get("GET /strict_filter?limit=3"),
        get("GET /strict_filter?limit=3&other=1&other=2"),
        get("GET /headers").header("x-token", "t").header("x-many", "1").header("x-many", "2"),
        get("GET /headers").header("x-many", "x"),
        get("GET /cookies").header("cookie", "session=s; count=3; other=1"),
        get("GET /cookies").header("cookie", "count=x"),
        get("GET /marked?query=x")
            .header("user-agent", "me")
            .header("cookie", "session=s")
            .header("x-many", "1"),
        get("GET /marked"),
    ]
}

fn bodies() -> Vec<Case> {
    let item = || json!({"name": "ab", "price": "1.5", "tags": [{"name": "t"}], "color": "red", "madeAt": "2026-01-31T12:00:00Z"});
    let mut cases = vec![
        send("POST /dict", json!({"a": [1, {"b": null}]})),
        send("POST /dict_sync", json!({})),
        send("POST /any_values", json!({"a": [1, {"b": null}]})),
        send("POST /counts", json!({"a": 1, "b": "2"})),
        send("POST /counts", json!({"a": "x", "b": null})),
        send("POST /list", json!([1, "2"])),
        send("POST /list", json!([1, "x", null])),
        send("POST /list", json!({"a": 1})),
        send("POST /item", item()),
        send("POST /item_sync", item()),
        send(
            "POST /item",
            json!({"name": "a", "price": "x", "tags": [{"weight": "y"}], "color": "green", "madeAt": "z"}),
        ),
        send("POST /item", json!({"name": "ab", "extra": 1})),
        send("POST /item", json!({"name": "ab", "made_at": "2026-01-31T12:00:00Z"})),
        send("POST /item", json!({})),
        send("POST /strict", json!({"x": 1, "y": 2})),
        send("POST /strict", json!({"x": 1})),
        send("POST /items", json!([item(), item()])),
        send("POST /items", json!([item(), {"name": 1}])),
        send("POST /optional_item", json!(null)),
        send("POST /optional_item", item()),
        get("POST /optional_item"),
        send("POST /point", json!({"x": 1})),
        send("POST /point", json!({"x": "1", "y": 2.0, "z": 3})),
        send("POST /point", json!({"y": "a"})),
        send("POST /line", json!({"start": {"x": 1}, "end": {"x": 2, "y": 3}, "label": null})),
        send("POST /line", json!({"start": {"y": 1.5}, "end": [1], "label": 1})),
        send("POST /either", json!({"name": "ab"})),
        send("POST /either", json!({"x": 1, "y": 2})),
        send("POST /either", json!({"name": "a"})),
        send("POST /two", json!({"item": item(), "point": {"x": 1}})),
        send("POST /two", json!({"item": item()})),
        send("POST /two", json!({"item": null, "point": {"x": "a"}})),
        send("PUT /mixed/3?q=x&short=1", item()),
        send("PUT /mixed/3", item()),
        send("PUT /mixed/x?short=2", json!({"name": "a"})),
        send("PATCH /embedded", json!({"item": item()})),
        send("PATCH /embedded", item()),
        send("POST /fields", json!({"x": 1})),
        send("POST /fields", json!({"x": "1", "y": null, "text": "a"})),
        send("POST /fields", json!({"x": null, "text": null})),
        send("POST /fields", json!({"x": 1, "y": "a", "text": 1})),
        send("POST /number", json!(3)),
        send("POST /number", json!("7")),
        send("POST /number", json!(2)),
        send("POST /tags", json!(["a", "b"])),
        send("POST /tags", json!("a")),
        send("POST /tags", json!({"tags": ["a"]})).differs(
            422,
            200,
            "what is alone may also be under its name",
        ),
        send("POST /item", json!({"item": item()})).differs(
            422,
            200,
            "what is alone may also be under its name",
        ),
        send("DELETE /scalars/3", json!({"force": true})).differs(
            200,
            200,
            "scalars may also be fields of the body",
        ),
        send("POST /in_query", json!({"x": 1})).differs(422, 200, "scalars may also be fields of the body"),
        get("POST /in_query?x=1&y=2"),
        get("POST /in_query?y=2").differs(
            422,
            422,
            "they are missed in the body, where most callers write them",
        ),
        get("POST /nothing"),
        send("POST /nothing", json!({"ignored": 1})),
        get("GET /tags?tags=a&tags=b").differs(422, 200, "a GET has no body; FastAPI expects the list there"),
    ];
    for path in [
        "POST /item",
        "POST /point",
        "POST /dict",
        "POST /list",
        "POST /two",
        "POST /fields",
        "PATCH /embedded",
        "POST /number",
    ] {
        cases.push(get(path));
        for body in ["null", "1", "\"text\"", "[]", "[1]", "{", "{\"a\":}", "", " {} ", "[[", "{} x"] {
            cases.push(get(path).text("application/json", body));
        }
    }
    for body in [
        json!({"when": "2026-01-31T12:30:00Z", "day": "2026-01-31", "at": "12:30", "span": "PT1H", "id": "00000000-0000-0000-0000-000000000007"}),
        json!({"when": 1_700_000_000, "day": 1_700_006_400, "at": 3600, "span": 90.5}),
        json!({"when": 1.5, "day": 1.5, "at": 1.5, "span": "P1D"}),
        json!({"when": true, "day": true, "at": true, "span": true, "id": true, "amount": true}),
        json!({"when": [], "day": [], "at": [], "span": [], "id": 1, "amount": []}),
        json!({"amount": 1, "number": 1.0, "ratio": 1, "flag": 1, "text": "a"}),
        json!({"amount": 1.25, "number": "5", "ratio": "1.5", "flag": "yes"}),
        json!({"number": 1.5, "ratio": "x", "flag": 2, "text": 1}),
        json!({"number": true, "ratio": true, "flag": 0.0, "text": true}),
        json!({"number": [], "ratio": {}, "flag": [], "text": []}),
        json!({"color": "red", "level": 2, "size": "m", "count": 1}),
        json!({"color": "RED", "level": 3, "size": "l", "count": 3}),
        json!({"color": 1, "level": "2", "size": 1, "count": "1"}),
        json!({"level": 1.0, "count": true}),
        json!({"level": true, "count": 1.0}),
        json!({"either": 1, "many": 1, "pair": [1, "a"], "several": [1, 2], "unique": [1, 1]}),
        json!({"either": "1", "many": [1], "pair": ["1", "a"], "several": [], "unique": []}),
        json!({"either": 1.5, "many": "x", "pair": [1], "several": ["x"], "unique": ["x"]}),
        json!({"either": [], "many": ["x"], "pair": [1, "a", 2], "several": 1, "unique": {}}),
        json!({"either": true, "many": true, "pair": "ab", "several": {}, "unique": "a"}),
        json!({"named": {"a": 1}, "numbered": {"1": true}}),
        json!({"named": {"a": "x", "b": []}, "numbered": {"x": "y"}}),
        json!({"named": [], "numbered": 1}),
        json!({"file": "/a/../b"}),
        json!({"file": 1}),
    ] {
        cases.push(send("POST /kinds", body));
    }
    cases
}

fn results() -> Vec<Case> {
    let mut cases = vec![];
    for kind in [
        "none",
        "text",
        "numbers",
        "tuple",
        "set",
        "enum",
        "int_enum",
        "uuid",
        "datetime",
        "naive",
        "date",
        "timedelta",
        "path",
        "dataclass",
        "model",
        "aliased",
        "int_keys",
        "enum_keys",
        "uuid_keys",
        "nested",
        "empty",
        "nan",
    ] {
        cases.push(get(Box::leak(format!("GET /result/{kind}").into_boxed_str())));
        cases.push(get(Box::leak(format!("GET /result_sync/{kind}").into_boxed_str())));
    }
    cases.extend([
        get("GET /result/decimal").differs(200, 200, "a decimal stays what it is, as in a pydantic model"),
        get("GET /result/bytes").differs(200, 200, "bytes are sent as they are"),
        get("GET /result/object"),
        get("GET /result/instance").differs(
            200,
            500,
            "an object of any class is no JSON; FastAPI shows its attributes",
        ),
        get("GET /result/nothing"),
        get("GET /status/teapot"),
        get("GET /status/missing"),
        get("GET /status/created"),
        get("GET /status/text"),
        get("GET /status/empty"),
        get("GET /status/error"),
        get("GET /typed").differs(200, 200, "a result is sent as it is, not made to fit its annotation"),
    ]);
    cases
}

fn protocol() -> Vec<Case> {
    vec![
        get("GET /nowhere"),
        get("GET /"),
        get("POST /bare?text=1"),
        send("GET /item", json!({})),
        get("PUT /scalars/1"),
        get("TRACE /item"),
        get("GET /scalars/1/2"),
        get("GET /scalars/a%2Fb?text=a"),
        get("GET /bare/?text=1"),
        get("GET /scalars/1/?text=a"),
        send("POST /item/", json!({})),
        get("GET //bare?text=1"),
        get("HEAD /bare?text=1").differs(405, 200, "HEAD is answered as GET (RFC 9110 §9.3.2)"),
        get("OPTIONS /item").differs(405, 204, "OPTIONS is answered with the methods"),
        get("POST /item").text("application/vnd.own+json; charset=utf-8", r#"{"name":"ab"}"#),
        get("POST /item").text("APPLICATION/JSON", r#"{"name":"ab"}"#),
        get("POST /item").text("text/plain", r#"{"name":"ab"}"#).differs(
            422,
            200,
            "a body that is JSON is read as such",
        ),
        get("POST /item").text("", r#"{"name":"ab"}"#).differs(
            422,
            200,
            "a body that is JSON is read as such",
        ),
        get("POST /item").text("application/xml", "<a/>").differs(422, 415, "nobody reads that type"),
        get("POST /item").text("application/x-www-form-urlencoded", "name=ab").differs(
            422,
            200,
            "a form is an object, too",
        ),
        get("POST /number").text("application/json", "NaN").differs(500, 422, "NaN is not JSON"),
        get("POST /dict").text("application/json", "{\"a\": Infinity}").differs(
            500,
            422,
            "Infinity is not JSON",
        ),
    ]
}
