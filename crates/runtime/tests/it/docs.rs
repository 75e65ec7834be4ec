use serde_json::json;

use crate::world::{Project, route};

const CODE: &str = "
async def add(x: int, y: int = 1):
    return x + y

async def mine():
    return 'mine'
";

fn project(more: Vec<serde_json::Value>) -> Project {
    let mut add = route("add", true, "POST", "/add/{x}");
    add["doc"] = json!("Adds <two> numbers.");
    add["parameters"] =
        json!([{"name": "x", "kind": "positional_or_keyword", "schema": {"type": "integer"}}]);
    Project::new("load_balanced", CODE, json!([vec![add], more].concat()))
}

#[tokio::test]
async fn an_endpoint_says_what_it_offers_to_programs_and_to_people() {
    let project = project(vec![]);
    let endpoint = project.start().await;
    let document = endpoint.get("/openapi.json").await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(document.body["servers"], json!([{"url": "/"}]));
    assert_eq!(document.body["info"]["title"], "test it");
    assert_eq!(document.body["paths"]["/add/{x}"]["post"]["operationId"], "add");

    let page = endpoint.send(endpoint.request("GET", "/docs")).await;
    assert_eq!(
        (page.status, &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let text = page.body.as_str().unwrap();
    assert!(text.contains("Adds &lt;two&gt; numbers.") && text.contains("<b>POST</b>/add/{x}"), "{text}");
    // Nothing of it is elsewhere.
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("<script"), "{text}");
    assert_eq!(endpoint.send(endpoint.request("HEAD", "/docs")).await.status, 200);
    assert_eq!(endpoint.post("/docs", json!({})).await.headers["allow"], "GET");
}

#[tokio::test]
async fn behind_a_proxy_its_paths_are_the_proxys() {
    let project = project(vec![]);
    let endpoint = project.start().await;
    let behind = async |path| {
        endpoint.send(endpoint.request("GET", path).header("x-forwarded-prefix", "/lb/it")).await
    };
    assert_eq!(behind("/openapi.json").await.body["servers"], json!([{"url": "/lb/it"}]));
    assert!(behind("/docs").await.body.as_str().unwrap().contains("<b>POST</b>/lb/it/add/{x}"));
}

#[tokio::test]
async fn a_route_of_the_project_is_the_projects() {
    let project = project(vec![route("mine", true, "GET", "/docs"), route("mine", true, "GET", "/{name}")]);
    let endpoint = project.start().await;
    for path in ["/docs", "/openapi.json"] {
        assert_eq!(endpoint.get(path).await.body, "mine", "{path}");
    }
    let queue = Project::new("queue", CODE, json!([crate::world::function("mine", true)]));
    assert_eq!(queue.start().await.get("/docs").await.status, 404);
}
