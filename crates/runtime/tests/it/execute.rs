//! Functions that come as source, as the reference's stub of a live load-balanced endpoint sends them.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, Response, TOKEN, eventually, route};

const CODE: &str = r#"
import os
def execute():
    return "of the project"
def pid():
    return os.getpid()
"#;
/// `pickle.dumps(21)` and `pickle.dumps(42)`, protocols 4 and 5.
const PICKLED_21: &str = "gARLFS4=";
const PICKLED_42: &str = "gAVLKi4=";

fn live() -> Project {
    Project::new("load_balanced", CODE, json!([route("pid", false, "POST", "/pid")]))
}

fn source(code: &str, args: Value) -> Value {
    json!({
        "function_name": "double", "function_code": code, "args": args, "dependencies": [], "system_dependencies": [],
        "accelerate_downloads": true,
    })
}

async fn execute(endpoint: &Endpoint, body: &Value) -> Response {
    endpoint.send(endpoint.request("POST", "/execute").bearer_auth(TOKEN).json(body)).await
}

#[tokio::test]
async fn sync_and_async_functions_are_run_by_a_worker() {
    let (project, golden) = (live(), json!({"success": true, "result": PICKLED_42}));
    let endpoint = project.start().await;
    for code in ["def double(x):\n    return 2 * x", "async def double(x):\n    return 2 * x"] {
        let answer = execute(&endpoint, &source(code, json!([PICKLED_21]))).await;
        assert_eq!((answer.status, &answer.body), (200, &golden), "{code}");
    }
    let wrapped = json!({"input": source("def double(*, x):\n    return 2 * x", json!([]))});
    let mut by_keyword = wrapped.clone();
    by_keyword["input"]["kwargs"] = json!({"x": PICKLED_21});
    assert_eq!(execute(&endpoint, &by_keyword).await.body, golden);
    let in_a_worker =
        source("def double():\n    import os, main\n    return os.getpid() == main.pid()", json!([]));
    assert_eq!(execute(&endpoint, &in_a_worker).await.body["result"], "gAWILg==");
}

#[tokio::test]
async fn what_fails_says_why_and_forgets_everything() {
    let project = live();
    let endpoint = project.start().await;
    for (code, words) in [
        ("def double(x):\n    raise ValueError('no luck')", "no luck"),
        ("def double(x) return x", "(<double>, line 1)"),
        ("import not_there\ndef double(x): pass", "not_there"),
        ("left = 1", "does not define a function double"),
        ("def double(x):\n    return left", "left"),
        ("def double(x):\n    raise SystemExit(3)", "3"),
    ] {
        let answer = execute(&endpoint, &source(code, json!([PICKLED_21]))).await;
        assert_eq!(answer.status, 200, "{code}: {answer:?}");
        assert_eq!(answer.body["success"], false, "{code}");
        let error = answer.body["error"].as_str().unwrap();
        assert!(error.contains(words), "{code}: {error}");
    }
    let mut needs = source("def double(): pass", json!([]));
    needs["dependencies"] = json!(["cloudpickle>=1", "surely-not-installed==1"]);
    let error = execute(&endpoint, &needs).await.body["error"].clone();
    assert!(
        error.as_str().unwrap().starts_with("not installed in this endpoint: surely-not-installed==1."),
        "{error}"
    );
    let no_base64 = execute(&endpoint, &source("def double(x): pass", json!(["%"]))).await.body;
    assert_eq!(no_base64["success"], false, "{no_base64}");
}

#[tokio::test]
async fn only_holders_of_the_token_may_and_only_where_it_is_live() {
    let project = live();
    let endpoint = project.start().await;
    let body = source("def double(): pass", json!([]));
    let refused = endpoint.post("/execute", body.clone()).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("FL308")));
    let wrong = endpoint.send(endpoint.request("GET", "/execute").bearer_auth(TOKEN)).await;
    assert_eq!(wrong.status, 405);
    for (body, why) in [
        (json!([]), "it is no object"),
        (json!({"function_name": "f"}), "function_name and function_code are needed"),
        (json!({"function_name": "f", "function_code": "x", "args": 3}), "args is an array"),
        (
            json!({"function_name": "f", "function_code": "x", "execution_type": "class"}),
            "objects of classes",
        ),
    ] {
        let answer = execute(&endpoint, &body).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("FL311")), "{body}");
        assert!(answer.body["detail"].as_str().unwrap().contains(why), "{answer:?}");
    }

    let deployed = live().deployed();
    let endpoint = deployed.start().await;
    let answer = execute(&endpoint, &body).await;
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!("FL301")), "{answer:?}");
}

#[tokio::test]
async fn a_route_of_the_project_stands_before_it() {
    let routes = json!([route("execute", false, "POST", "/execute")]);
    let project = Project::new("load_balanced", CODE, routes);
    let endpoint = project.start().await;
    assert_eq!(endpoint.post("/execute", json!({})).await.body, "of the project");
}

#[tokio::test]
async fn one_that_does_not_end_is_ended() {
    let project = live().spec("executionTimeoutMs", json!(1000));
    let endpoint = project.start().await;
    let code = "def double():\n    while True: pass";
    let answer = execute(&endpoint, &source(code, json!([]))).await;
    assert_eq!((answer.status, &answer.body["code"]), (504, &json!("FL310")), "{answer:?}");
    // Until its worker is gone, others wait behind it.
    eventually("another worker", || async {
        let answer = endpoint.post("/pid", json!({})).await;
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}
