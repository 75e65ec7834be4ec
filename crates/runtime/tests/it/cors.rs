use serde_json::json;

use crate::world::{Endpoint, Project, Response, route};

const CODE: &str = "
from tetra_rp.http import Response

async def add(x: int):
    return x

async def own():
    return Response('x', headers={'Access-Control-Allow-Origin': 'https://own.example'})
";
const APP: &str = "https://app.example";

fn project(origins: Option<&str>) -> Project {
    let functions = json!([route("add", true, "POST", "/add"), route("own", true, "GET", "/own")]);
    let mut project = Project::new("load_balanced", CODE, functions);
    project.cors_origins = origins.map(|text| text.parse().unwrap());
    project
}

async fn asked_by(endpoint: &Endpoint, origin: &str, method: &str, path: &str) -> Response {
    let request =
        endpoint.request(method, path).header("origin", origin).header("sec-fetch-site", "cross-site");
    endpoint.send(request.header("sec-fetch-mode", "cors").json(&json!({"x": 7}))).await
}

async fn preflight(endpoint: &Endpoint, origin: &str) -> Response {
    let request = endpoint.request("OPTIONS", "/add").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    endpoint.send(request.header("access-control-request-headers", "authorization, content-type")).await
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_read() {
    let project = project(Some("https://other.example, https://app.example"));
    let endpoint = project.start().await;
    let first = preflight(&endpoint, APP).await;
    assert_eq!((first.status, header(&first, "access-control-allow-origin")), (204, Some(APP)));
    assert!(header(&first, "access-control-allow-methods").unwrap().contains("POST"));
    assert_eq!(header(&first, "access-control-allow-headers"), Some("authorization, content-type"));
    assert!(first.headers.contains_key("access-control-max-age"));

    let answer = asked_by(&endpoint, APP, "POST", "/add").await;
    assert_eq!((answer.status, &answer.body), (200, &json!(7)));
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(APP));
    assert_eq!(header(&answer, "vary"), Some("origin"));
    // What went wrong can be read, too.
    let missing = asked_by(&endpoint, APP, "GET", "/nowhere").await;
    assert_eq!((missing.status, header(&missing, "access-control-allow-origin")), (404, Some(APP)));
    let own = asked_by(&endpoint, APP, "GET", "/own").await;
    assert_eq!(header(&own, "access-control-allow-origin"), Some("https://own.example"));
    // Whoever asks without an origin is told nothing, but that it may differ for others.
    let bare = endpoint.post("/add", json!({"x": 7})).await;
    assert_eq!((header(&bare, "vary"), header(&bare, "access-control-allow-origin")), (Some("origin"), None));
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_out() {
    let listed = project(Some(APP));
    let endpoint = listed.start().await;
    for origin in ["https://evil.example", "http://app.example", "null"] {
        for answer in [preflight(&endpoint, origin).await, asked_by(&endpoint, origin, "POST", "/add").await]
        {
            assert_eq!((answer.status, &answer.body["code"]), (403, &json!("FL313")), "{origin}");
            assert_eq!(header(&answer, "access-control-allow-origin"), None);
        }
    }
    // What is not a route is for nobody's pages.
    let call = asked_by(&endpoint, APP, "POST", "/_flash/call/add").await;
    assert_eq!((call.status, &call.body["code"]), (403, &json!("FL313")));
    let rebound = endpoint.request("POST", "/add").header("host", "evil.example").header("origin", APP);
    assert_eq!(endpoint.send(rebound).await.status, 403);

    let closed = project(None);
    let endpoint = closed.start().await;
    assert_eq!(preflight(&endpoint, APP).await.status, 403);
    assert_eq!(asked_by(&endpoint, APP, "POST", "/add").await.status, 403);
}

#[tokio::test]
async fn a_star_lets_all_pages_in() {
    let project = project(Some("*"));
    let endpoint = project.start().await;
    let answer = asked_by(&endpoint, "https://any.example", "POST", "/add").await;
    assert_eq!((answer.status, header(&answer, "access-control-allow-origin")), (200, Some("*")));
    assert_eq!(header(&answer, "vary"), None);
    assert_eq!(preflight(&endpoint, "null").await.status, 204);
}
