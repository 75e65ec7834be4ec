//! The HTTP surface, over a real port.

use std::time::Duration;

use flash_client::{Fetched, Mothership};
use reqwest::Method;
use serde_json::Value;

use crate::support::{Rig, TOKEN, front, front_for};

async fn get(url: String, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn ping_and_manifest_answer_before_there_is_a_project() {
    let front = front();
    let (status, body) = get(format!("{}/ping", front.url()), &[]).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("healthy")));
    let (status, body) = get(format!("{}/manifest", front.url()), &[]).await;
    assert_eq!((status, body["resources"].as_object().map(|resources| resources.len())), (200, Some(0)));
}

/// A mothership that was started again a moment ago: who is told 404 does not ask again.
#[tokio::test]
async fn nothing_is_said_not_to_be_there_before_the_project_is_known() {
    let front = front();
    for path in ["/lb/a/x", "/v2/a/status/1", "/_flash/call/f", "/page"] {
        let request = match path {
            "/_flash/call/f" => reqwest::Client::new().post(format!("{}{path}", front.url())),
            _ => reqwest::Client::new().get(format!("{}{path}", front.url())),
        };
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap()),
            "{path}"
        );
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "FL208", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_document() {
    let front = front();
    let response = reqwest::Client::new().post(format!("{}/ping", front.url())).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "FL302");
}

#[tokio::test]
async fn the_manifest_is_conditional_and_can_be_waited_for() {
    let (rig, ..) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let client = Mothership::new(rig.handle.url(), None);
    let Fetched::Document { etag, .. } = client.manifest(None, None).await.unwrap() else {
        panic!("no document")
    };
    assert_eq!(client.manifest(etag.as_deref(), None).await.unwrap(), Fetched::NotModified);
    let waiting = client.manifest(etag.as_deref(), Some(Duration::from_secs(20)));
    let changing = async { rig.want(&[("a", 1), ("b", 1)]) };
    let (fetched, ()) = tokio::join!(waiting, changing);
    let Fetched::Document { manifest, etag: newer } = fetched.unwrap() else { panic!("no document") };
    assert!(manifest.resources.contains_key("b"));
    assert_ne!(newer, etag);
}

#[tokio::test]
async fn where_tokens_are_on_nothing_but_a_ping_is_answered_without_one() {
    let front = front_for(true);
    let right = format!("Bearer {TOKEN}");
    for path in
        ["/manifest", "/manifest?wait=1", "/api/v1/resources", "/api/v1/events", "/lb/a/x", "/nothing"]
    {
        let url = format!("{}{path}", front.url());
        for wrong in [&[][..], &[("authorization", "Bearer wr0ng")], &[("authorization", "Basic Og==")]] {
            let (status, body) = get(url.clone(), wrong).await;
            assert_eq!((status, body["code"].as_str()), (401, Some("FL308")), "{path} {wrong:?}");
        }
    }
    assert_eq!(get(format!("{}/ping", front.url()), &[]).await.0, 200);
    let manifest = reqwest::Client::new().get(format!("{}/manifest", front.url()));
    let served = manifest.try_clone().unwrap().header("authorization", &right).send().await.unwrap();
    assert_eq!(served.status(), 200);
    let etag = served.headers()["etag"].clone();
    let known = manifest.try_clone().unwrap().header("if-none-match", etag.clone());
    assert_eq!(known.try_clone().unwrap().send().await.unwrap().status(), 401, "a known version is no pass");
    let unchanged = known.header("authorization", &right).send().await.unwrap();
    assert_eq!((unchanged.status().as_u16(), &unchanged.headers()["etag"]), (304, &etag));
}

#[tokio::test]
async fn foreign_pages_and_rebound_names_are_refused() {
    let front = front();
    for header in
        [("origin", "https://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "cross-site")]
    {
        let (status, body) = get(format!("{}/manifest", front.url()), &[header]).await;
        assert_eq!((status, body["code"].as_str()), (403, Some("FL313")), "{header:?}");
    }
}

#[tokio::test]
async fn unknown_endpoints_functions_and_paths_say_what_there_is() {
    let (rig, ..) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let url = rig.handle.url();
    for (path, code, hint) in [
        ("/lb/nope/x", "FL315", "/v2/a/runsync"),
        ("/nothing", "FL301", "/v2/a/runsync"),
        ("/lb/a/x", "FL301", "/v2/a"),
    ] {
        let (status, body) = get(format!("{url}{path}"), &[]).await;
        assert_eq!((status, body["code"].as_str()), (404, Some(code)), "{path}");
        assert!(body["hint"].as_str().unwrap().contains(hint), "{body}");
    }
    let error = Mothership::new(url, None).call_json("nope", &Value::Null).await.unwrap_err();
    assert!(error.to_string().contains("nope"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_document_and_strangers_are_not_told() {
    let (rig, ..) = Rig::simulated().await;
    rig.until_leading().await;
    let ask = |method: Method, path: &str, kind: Option<&str>, body: &'static str, token: Option<&str>| {
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", rig.handle.url()));
        request = request.body(body);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.unwrap()["code"].as_str().unwrap().to_owned())
        }
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    for path in ["/manifest?wait=abc", "/manifest?wait=-1", "/api/v1/events?after=x"] {
        assert_eq!(ask(Method::GET, path, None, "", None).await, refused(400, "FL311"), "{path}");
    }
    for path in ["/lb/%ff", "/lb/%ff/x", "/v2/%ff/run"] {
        assert_eq!(ask(Method::GET, path, None, "", None).await, refused(404, "FL301"), "{path}");
    }
    let called = ask(Method::POST, "/api/v1/call/%ff", None, "{}", None);
    assert_eq!(called.await, refused(404, "FL301"));

    let json = Some("application/json");
    for (path, kind, body, status, code) in [
        ("/api/v1/rollback", None, "", 422, "FL311"),
        ("/api/v1/rollback", Some("text/plain"), "back!", 422, "FL311"),
        ("/api/v1/rollback", json, "{", 422, "FL311"),
        ("/api/v1/rollback", json, r#"{"generation": "one"}"#, 422, "FL311"),
        ("/api/v1/rollback?wait=abc", json, r#"{"generation": 1}"#, 400, "FL311"),
        ("/api/v1/rollback", Some("text/plain"), r#"{"generation": 1}"#, 404, "FL413"),
        ("/api/v1/apply?wait=abc", json, "", 400, "FL311"),
        ("/api/v1/apply", None, "", 400, "FL410"),
    ] {
        let answered = ask(Method::POST, path, kind, body, Some(TOKEN)).await;
        assert_eq!(answered, refused(status, code), "{path} {kind:?} {body}");
        for stranger in [None, Some("wr0ng")] {
            let answered = ask(Method::POST, path, kind, body, stranger).await;
            assert_eq!(answered, refused(401, "FL308"), "{path} {kind:?} {body}");
        }
    }
}

#[tokio::test]
async fn a_plan_without_end_is_not_read() {
    let (rig, ..) = Rig::simulated().await;
    let body = vec![b' '; flash_plan::PLAN_FILE_BYTES_MAX + 1024 * 1024];
    let request = reqwest::Client::new().post(format!("{}/api/v1/apply", rig.handle.url()));
    // Told while it still sends, a client may find the connection closed first.
    if let Ok(response) = request.bearer_auth(TOKEN).body(body).send().await {
        assert_eq!(response.status(), 413);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "FL317");
    }
    assert_eq!(get(format!("{}/ping", rig.handle.url()), &[]).await.0, 200, "it still answers");
}

#[tokio::test]
async fn pickles_need_the_token_even_on_loopback() {
    let (rig, ..) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let post = |token: Option<&str>| {
        let mut request = reqwest::Client::new()
            .post(format!("{}/api/v1/call/a", rig.handle.url()))
            .header("content-type", flash_model::wire::PICKLE_CONTENT_TYPE);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send()
    };
    assert_eq!(post(None).await.unwrap().status(), 401);
    assert_eq!(post(Some("wrong")).await.unwrap().status(), 401);
    // Past the guard the simulated endpoint cannot be reached, which is another matter.
    assert_ne!(post(Some(TOKEN)).await.unwrap().status(), 401);
}
