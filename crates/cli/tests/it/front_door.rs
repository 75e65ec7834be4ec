//! What the front door adds to an endpoint: where its paths are, and which pages may ask.

use serde_json::json;

use crate::support::Project;

const CODE: &str = r#"
from tetra_rp import LiveLoadBalancer, remote

api = LiveLoadBalancer(name="api", env={"FLASH_CORS_ORIGINS": "https://app.example"})
closed = LiveLoadBalancer(name="closed")

@remote(api, method="POST", path="/double")
async def double(x: int) -> int:
    return 2 * x

@remote(closed, method="GET", path="/value")
async def value() -> int:
    return 1
"#;

#[tokio::test]
async fn endpoints_describe_themselves_and_let_in_the_pages_that_their_owner_names() {
    let project = Project::of(&[("main_api.py", CODE)]);
    let mut running = project.run();
    running.until_ready().await;
    let document = running.get("/lb/api/openapi.json").await.json();
    let server = document["servers"][0]["url"].as_str().unwrap();
    assert_eq!(server, "/lb/api");
    let path = document["paths"].as_object().unwrap().keys().next().unwrap();
    assert_eq!(running.post(&format!("{server}{path}"), json!({"x": 4})).await.json(), 8);
    assert_eq!(running.post("/lb/api/double/", json!({"x": 4})).await.json(), 8, "sent to where it is");
    let page = running.get("/lb/api/docs").await;
    assert!(page.text.contains("<b>POST</b>/lb/api/double"), "{}", page.text);

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked_by = async |origin: &str, method: reqwest::Method, path: &str| {
        let request = client.request(method, format!("{}{path}", running.url));
        let request = request
            .header("origin", origin)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "cors");
        let response = request
            .header("access-control-request-method", "POST")
            .json(&json!({"x": 4}))
            .send()
            .await
            .unwrap();
        let allowed = response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), allowed)
    };
    let app = "https://app.example";
    assert_eq!(asked_by(app, reqwest::Method::OPTIONS, "/lb/api/double").await, (204, Some(app.to_owned())));
    assert_eq!(asked_by(app, reqwest::Method::POST, "/lb/api/double").await, (200, Some(app.to_owned())));
    for (origin, method, path) in [
        ("https://evil.example", reqwest::Method::POST, "/lb/api/double"),
        ("https://evil.example", reqwest::Method::OPTIONS, "/lb/api/double"),
        (app, reqwest::Method::GET, "/lb/closed/value"),
        (app, reqwest::Method::GET, "/manifest"),
        (app, reqwest::Method::POST, "/api/v1/call/double"),
    ] {
        assert_eq!(asked_by(origin, method.clone(), path).await, (403, None), "{origin} {method} {path}");
    }
}
