use serde_json::{Value, json};

use crate::world::{Project, TOKEN, route};

const CODE: &str = r#"
import pathlib
from typing import Optional

import fastapi
import starlette.requests
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from tetra_rp.http import Request, Response

async def whole(id: int, request: Request):
    return {
        "id": id, "method": request.method, "path": request.path, "query": request.query_pairs, "agent": request.headers["User-Agent"],
        "all": request.headers.get_all("x-many"), "cookies": request.cookies, "params": request.path_params,
        "body": request.json() if request.body else None, "token": request.headers.get("authorization"),
    }

def whole_sync(request: Request, x: int = 1):
    return [x, request.text()]

async def starlettes(request: starlette.requests.Request, name: str):
    return {
        "name": name, "url": request.url.path, "query": dict(request.query_params), "body": (await request.body()).decode(),
        "cookies": request.cookies, "type": request.headers["content-type"],
    }

async def fastapis(request: fastapi.Request):
    return await request.json()

def raw():
    return b"\x00\xff"

def text():
    return "plain"

def nothing():
    return None

def made():
    response = Response({"a": 1}, 201, {"X-Own": "yes"})
    response.set_cookie("session", "abc", httponly=True)
    response.set_cookie("other", "x", max_age=60)
    return response

def page():
    return Response("<p>ü</p>", media_type="text/html")

def gone():
    return Response(status_code=204)

async def events():
    async def tell():
        for number in range(3):
            yield f"data: {number}\n\n"
    return Response(tell(), media_type="text/event-stream", headers={"cache-control": "no-store"})

def counted():
    return StreamingResponse(iter(["a", b"b"]), media_type="text/csv", status_code=203)

def file():
    return FileResponse(pathlib.Path(__file__).with_name("data.bin"), filename="data.bin")

def missing_file():
    return FileResponse("nowhere.bin")

def moved():
    return RedirectResponse("/text", status_code=307)

def taught():
    response = PlainTextResponse("teapot", status_code=418, headers={"x-a": "1"})
    response.headers.append("x-a", "2")
    return response

def refused():
    raise fastapi.HTTPException(401, {"why": "who?"}, headers={"WWW-Authenticate": "Basic"})

def broken(what: str):
    if what == "status":
        return Response(status_code=99)
    if what == "header":
        return Response("x", headers={"x-a": "line\nbreak"})
    return Response(iter([{"not": "bytes"}]))
"#;

fn project() -> Project {
    let get = |name: &str| route(name, name == "events", "GET", &format!("/{name}"));
    let mut functions = vec![
        route("whole", true, "POST", "/whole/{id}"),
        route("whole_sync", false, "POST", "/whole_sync"),
        route("starlettes", true, "POST", "/starlettes"),
        route("fastapis", true, "POST", "/fastapis"),
    ];
    let names = [
        "raw",
        "text",
        "nothing",
        "made",
        "page",
        "gone",
        "events",
        "counted",
        "file",
        "missing_file",
        "moved",
        "taught",
        "refused",
        "broken",
    ];
    functions.extend(names.map(get));
    Project::new("load_balanced", CODE, json!(functions))
}

#[tokio::test]
async fn a_parameter_can_be_the_request() {
    let project = project();
    let endpoint = project.start().await;
    let request = endpoint
        .request("POST", "/whole/7?a=1&a=%C3%BC")
        .header("user-agent", "test")
        .header("x-many", "1")
        .header("x-many", "2")
        .header("cookie", "a=b; c=\"d e\"")
        .header("authorization", format!("Bearer {TOKEN}"))
        .json(&json!({"some": "body"}));
    let expected = json!({
        "id": 7, "method": "POST", "path": "/whole/7", "query": [["a", "1"], ["a", "ü"]], "agent": "test", "all": ["1", "2"],
        "cookies": {"a": "b", "c": "d e"}, "params": {"id": "7"}, "body": {"some": "body"}, "token": null,
    });
    assert_eq!(endpoint.send(request).await.body, expected);

    let sync = endpoint.send(endpoint.request("POST", "/whole_sync").json(&json!({"x": 5}))).await;
    assert_eq!(sync.body, json!([5, "{\"x\":5}"]));
    let request = endpoint.request("POST", "/starlettes?q=1").header("cookie", "a=b");
    let expected = json!({
        "name": "me", "url": "/starlettes", "query": {"q": "1"}, "body": "{\"name\":\"me\"}", "cookies": {"a": "b"},
        "type": "application/json",
    });
    assert_eq!(endpoint.send(request.json(&json!({"name": "me"}))).await.body, expected);
    assert_eq!(endpoint.post("/fastapis", json!([1, 2])).await.body, json!([1, 2]));
    // A caller's own credentials are for the function.
    let own = endpoint.request("POST", "/whole/7").header("user-agent", "test").bearer_auth("mine");
    assert_eq!(endpoint.send(own).await.body["token"], "Bearer mine");
}

#[tokio::test]
async fn results_have_the_type_that_they_are() {
    let project = project();
    let endpoint = project.start().await;
    let raw = endpoint.request("GET", "/raw").send().await.unwrap();
    assert_eq!(raw.headers()["content-type"], "application/octet-stream");
    assert_eq!(raw.bytes().await.unwrap().as_ref(), [0, 255]);
    for (path, text) in [("/text", "\"plain\""), ("/nothing", "null")] {
        let response = endpoint.request("GET", path).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.text().await.unwrap(), text);
    }
}

#[tokio::test]
async fn response_objects_decide_status_and_headers() {
    let project = project();
    std::fs::write(project.path("data.bin"), vec![7_u8; 200_000]).unwrap();
    let endpoint = project.start().await;
    let made = endpoint.get("/made").await;
    assert_eq!((made.status, made.body), (201, json!({"a": 1})));
    assert_eq!(made.headers["x-own"], "yes");
    assert_eq!(made.headers["content-type"], "application/json");
    let cookies: Vec<_> = made.headers.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        ["session=abc; HttpOnly; Path=/; SameSite=lax", "other=x; Max-Age=60; Path=/; SameSite=lax"]
    );
    let page = endpoint.get("/page").await;
    assert_eq!((page.status, page.body), (200, json!("<p>ü</p>")));
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let gone = endpoint.get("/gone").await;
    assert_eq!((gone.status, gone.headers.get("content-type"), gone.body), (204, None, json!("")));

    let taught = endpoint.get("/taught").await;
    assert_eq!((taught.status, taught.body), (418, json!("teapot")));
    assert_eq!(taught.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    let file = endpoint.request("GET", "/file").send().await.unwrap();
    assert_eq!(file.headers()["content-disposition"], "attachment; filename=\"data.bin\"");
    assert_eq!(file.bytes().await.unwrap().len(), 200_000);
    // Followed by the client.
    assert_eq!(endpoint.get("/moved").await.body, "plain");
    let refused = endpoint.get("/refused").await;
    assert_eq!((refused.status, &refused.body), (401, &json!({"detail": {"why": "who?"}})));
    assert_eq!(refused.headers["www-authenticate"], "Basic");
}

#[tokio::test]
async fn streams_can_have_a_status_and_a_type() {
    let project = project();
    let endpoint = project.start().await;
    let events = endpoint.request("GET", "/events").send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(events.headers()["cache-control"], "no-store");
    assert_eq!(events.text().await.unwrap(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    let counted = endpoint.get("/counted").await;
    assert_eq!((counted.status, counted.body), (203, json!("ab")));
    assert_eq!(counted.headers["content-type"], "text/csv; charset=utf-8");
}

#[tokio::test]
async fn responses_that_cannot_be_sent_are_errors() {
    let project = project();
    let endpoint = project.start().await;
    let check = |answer: crate::world::Response, code: &str, words: &str| {
        assert_eq!((answer.status, &answer.body["code"]), (500, &Value::from(code)), "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(words), "{}", answer.body);
    };
    check(endpoint.get("/broken?what=status").await, "FL306", "99");
    check(endpoint.get("/broken?what=header").await, "FL306", "invalid header");
    check(endpoint.get("/missing_file").await, "FL305", "nowhere.bin");
    let begun = endpoint.request("GET", "/broken?what=item").send().await.unwrap();
    assert_eq!(begun.status(), 200);
    begun.text().await.unwrap_err();
}
