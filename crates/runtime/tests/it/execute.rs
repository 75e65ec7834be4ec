//! `POST /execute` of live endpoints, with requests as the reference's stub sends them.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, Response, TOKEN, function, route};

// cloudpickle's base64 of numbers.
const TWENTY_ONE: &str = "gAVLFS4=";
const TWO: &str = "gAVLAi4=";
const FORTY_TWO: &str = "gAVLKi4=";

fn project() -> Project {
    Project::new(
        "load_balanced",
        "async def pid():\n    return 1\n",
        json!([route("pid", true, "GET", "/pid")]),
    )
}

fn request(code: &str) -> Value {
    json!({
        "function_name": "f", "function_code": code, "dependencies": [], "system_dependencies": [],
        "accelerate_downloads": true, "args": [TWENTY_ONE], "kwargs": {"times": TWO},
    })
}

fn bare(code: &str) -> Value {
    json!({"function_name": "f", "function_code": code})
}

async fn execute(endpoint: &Endpoint, body: Value) -> Response {
    endpoint.send(endpoint.request("POST", "/execute").bearer_auth(TOKEN).json(&body)).await
}

#[tokio::test]
async fn source_of_a_function_runs_in_a_worker() {
    let project = project();
    let endpoint = project.start().await;
    let sync = "def f(x, times):\n    print('doubling', x)\n    return x * times\n";
    let answer = execute(&endpoint, request(sync)).await;
    let expected = json!({"success": true, "result": FORTY_TWO, "stdout": "doubling 21\n"});
    assert_eq!((answer.status, &answer.body), (200, &expected));

    let code = "import asyncio\nasync def f(x, times):\n    await asyncio.sleep(0)\n    print('later')\n    return x * times\n";
    let answer = execute(&endpoint, json!({"input": request(code)})).await;
    let expected = json!({"success": true, "result": FORTY_TWO, "stdout": "later\n"});
    assert_eq!((answer.status, &answer.body), (200, &expected));

    let answer = execute(&endpoint, bare("import os\ndef f():\n    raise ValueError(os.getpid())\n")).await;
    let pid = answer.body["error"].as_str().unwrap().lines().next().unwrap().parse::<u32>().unwrap();
    assert_ne!(pid, std::process::id());
}

#[tokio::test]
async fn what_the_code_does_wrong_is_an_answer() {
    let project = project();
    let endpoint = project.start().await;
    for (code, expected) in [
        ("def f():\n    print('before')\n    raise ValueError('bad')\n", "ValueError: bad"),
        ("def f(:\n", "SyntaxError"),
        ("def other(): pass\n", "the code defines no function 'f'"),
        ("import threading\ndef f():\n    return threading.Lock()\n", "pickle"),
    ] {
        let answer = execute(&endpoint, bare(code)).await;
        assert_eq!((answer.status, &answer.body["success"]), (200, &json!(false)), "{answer:?}");
        assert!(answer.body["error"].as_str().unwrap().contains(expected), "{answer:?}");
    }
    let answer = execute(&endpoint, bare("def f():\n    print('before')\n    1 / 0\n")).await;
    assert_eq!(answer.body["stdout"], "before\n");
    assert!(answer.body["error"].as_str().unwrap().contains("Traceback"), "{answer:?}");
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let project = project();
    let endpoint = project.start().await;
    for (body, status) in [
        (json!([1]), 400),
        (json!({"function_name": "f"}), 422),
        (bare(""), 422),
        (json!({"function_name": "f", "function_code": "def f(): pass", "args": ["%"]}), 422),
        (json!({"function_name": "f", "function_code": "def f(): pass", "args": {}}), 422),
        (json!({"execution_type": "class", "class_name": "C", "class_code": "class C: pass"}), 422),
    ] {
        let answer = execute(&endpoint, body.clone()).await;
        assert_eq!((answer.status, answer.body["code"].is_string()), (status, true), "{body} {answer:?}");
    }
    let broken = endpoint.request("POST", "/execute").bearer_auth(TOKEN).body("{");
    assert_eq!(endpoint.send(broken).await.status, 400);
    let answer = endpoint.send(endpoint.request("GET", "/execute").bearer_auth(TOKEN)).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn code_is_taken_from_token_holders_only() {
    let project = project();
    let endpoint = project.start().await;
    let marker = project.path("ran");
    let code = format!("def f():\n    open({:?}, 'w').close()\n", marker.to_str().unwrap());
    let refused = endpoint.post("/execute", bare(&code)).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("FL308")));
    let wrong = endpoint.request("POST", "/execute").bearer_auth("wrong").json(&bare(&code));
    assert_eq!(endpoint.send(wrong).await.status, 401);
    assert!(!marker.exists());
    assert_eq!(execute(&endpoint, bare(&code)).await.body["success"], true);
    assert!(marker.exists());
}

#[tokio::test]
async fn only_live_load_balanced_endpoints_have_it() {
    let endpoint_of = |project: Project| async move {
        let endpoint = project.start().await;
        let answer = execute(&endpoint, bare("def f(): pass\n")).await;
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("FL301")));
        answer.body["detail"].as_str().unwrap().to_owned()
    };
    assert!(endpoint_of(project().not_live()).await.contains("not live"));
    let queue = Project::new("queue", "def g(): pass\n", json!([function("g", false)]));
    assert!(endpoint_of(queue).await.contains("queue endpoint"));
}

#[tokio::test]
async fn a_route_of_the_project_at_execute_stands_before_it() {
    let functions = json!([route("own", true, "POST", "/execute")]);
    let project = Project::new("load_balanced", "async def own():\n    return 'mine'\n", functions);
    let endpoint = project.start().await;
    assert_eq!(endpoint.post("/execute", json!({})).await.body, "mine");
    assert_eq!(execute(&endpoint, json!({})).await.body, "mine");
}

#[tokio::test]
async fn the_execution_timeout_ends_sent_code() {
    let project = project().spec("executionTimeoutMs", json!(300));
    let endpoint = project.start().await;
    for code in [
        "import threading\ndef f():\n    threading.Event().wait()\n",
        "import asyncio\nasync def f():\n    await asyncio.Event().wait()\n",
    ] {
        let answer = execute(&endpoint, bare(code)).await;
        assert_eq!((answer.status, answer.body["code"].is_string()), (504, true), "{answer:?}");
    }
}

#[tokio::test]
async fn packages_that_are_missing_are_named() {
    let project = project();
    let endpoint = project.start().await;
    let code = "def f():\n    return 42\n";
    let with = |dependencies: Value, system: Value| {
        json!({
            "function_name": "f", "function_code": code, "dependencies": dependencies,
            "system_dependencies": system,
        })
    };
    let answer =
        execute(&endpoint, with(json!(["Cloud_Pickle-is-not-this", "cloudpickle>=1"]), json!([]))).await;
    let error = answer.body["error"].as_str().unwrap();
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(false)));
    assert!(error.contains("not installed in this environment: Cloud_Pickle-is-not-this. "), "{error}");
    assert!(error.contains("@remote(dependencies=["), "{error}");
    let answer = execute(&endpoint, with(json!([]), json!(["no-such-system-package"]))).await;
    assert!(answer.body["error"].as_str().unwrap().contains("no-such-system-package"), "{answer:?}");
    let answer = execute(&endpoint, with(json!(["CloudPickle>=1"]), json!([]))).await;
    assert_eq!(answer.body["result"], FORTY_TWO);
}
