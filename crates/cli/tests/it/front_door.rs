//! What the front door adds to an endpoint: where its paths are.

use serde_json::json;

use crate::support::Project;

const CODE: &str = r#"
from tetra_rp import LiveLoadBalancer, remote

api = LiveLoadBalancer(name="api")

@remote(api, method="POST", path="/double")
async def double(x: int) -> int:
    return 2 * x
"#;

#[tokio::test]
async fn endpoints_describe_themselves() {
    let project = Project::of(&[("main_api.py", CODE)]);
    let mut running = project.run();
    running.until_ready().await;
    let document = running.get("/lb/api/openapi.json").await.json();
    let server = document["servers"][0]["url"].as_str().unwrap();
    assert_eq!(server, "/lb/api");
    let path = document["paths"].as_object().unwrap().keys().next().unwrap();
    assert_eq!(running.post(&format!("{server}{path}"), json!({"x": 4})).await.json(), 8);
    let page = running.get("/lb/api/docs").await;
    assert!(page.text.contains("<b>POST</b>/lb/api/double"), "{}", page.text);
}
