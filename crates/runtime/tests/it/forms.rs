use serde_json::{Value, json};

use crate::world::{Endpoint, Project, Response, route};

const CODE: &str = r#"
from typing import Annotated, Optional

import fastapi
import pydantic
from fastapi import Body, Cookie, File, Form, Header, Path, Query
from tetra_rp.http import UploadFile

async def upload(file: UploadFile, note: str = "none"):
    return {"name": file.filename, "type": file.content_type, "size": file.size, "text": (await file.read()).decode(), "note": note}

def upload_sync(files: list[UploadFile], count: int):
    return [[file.filename, file.read()[:3].decode()] for file in files] + [count]

async def theirs(file: fastapi.UploadFile, optional: Optional[fastapi.UploadFile] = None):
    return [file.filename, (await file.read()).decode(), file.content_type, optional is None]

async def marked(
    q: int = Query(5, ge=1, alias="query"), agent: str = Header(alias="user-agent"), x_token: Annotated[Optional[str], Header()] = None,
    session: str = Cookie("nobody"), x_many: list[int] = Header([]),
):
    return [q, agent, x_token, session, x_many]

async def login(name: str = Form(min_length=2), tags: Annotated[list[str], Form()] = [], remember: bool = Form(False)):
    return [name, tags, remember]

class Person(pydantic.BaseModel):
    name: str
    age: int = 3

async def person(person: Annotated[Person, Form()]):
    return person

async def blob(data: bytes = File(), text: str = Form("t")):
    return [len(data), text]

async def number(value: int = Body(gt=2)):
    return value

async def embedded(value: int = Body(embed=True), q: str = "q"):
    return [value, q]

async def raw(data: bytes):
    return len(data)

async def fields(x: int, y: str = "y"):
    return [x, y]

async def at(item: int = Path(ge=1)):
    return item
"#;

fn project() -> Project {
    let mut functions = vec![
        route("marked", true, "GET", "/marked"),
        route("at", true, "GET", "/at/{item}"),
        route("upload_sync", false, "POST", "/upload_sync"),
    ];
    let posts =
        ["upload", "theirs", "login", "person", "blob", "number", "embedded", "raw", "fields"].into_iter();
    functions.extend(posts.map(|name| route(name, true, "POST", &format!("/{name}"))));
    Project::new("load_balanced", CODE, json!(functions))
}

const BOUNDARY: &str = "X-boundary";

/// Each a `Content-Disposition`'s rest, other headers, and the content.
fn multipart(parts: &[(&str, &str, &str)]) -> String {
    let mut body = String::from("preamble\r\n");
    for (disposition, headers, content) in parts {
        body.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n{content}\r\n"
        ));
    }
    body + &format!("--{BOUNDARY}--\r\nepilogue")
}

async fn send(
    endpoint: &Endpoint,
    path: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Response {
    endpoint.send(endpoint.request("POST", path).header("content-type", content_type).body(body)).await
}

async fn send_parts(endpoint: &Endpoint, path: &str, parts: &[(&str, &str, &str)]) -> Response {
    send(endpoint, path, &format!("multipart/form-data; boundary=\"{BOUNDARY}\""), multipart(parts)).await
}

#[tokio::test]
async fn files_of_multipart_forms() {
    let project = project();
    let endpoint = project.start().await;
    let file =
        ("name=\"file\"; filename=\"ü \\\"a\\\".txt\"", "Content-Type: text/x-own\r\n", "line\r\n--X-bound");
    let answer = send_parts(&endpoint, "/upload", &[file, ("name=note", "", "hello")]).await;
    let expected = json!({
        "name": "ü \"a\".txt", "type": "text/x-own", "size": 15, "text": "line\r\n--X-bound", "note": "hello",
    });
    assert_eq!((answer.status, answer.body), (200, expected));
    let two = [
        ("name=files; filename=a", "", "aaaa"),
        ("name=count", "", "7"),
        ("name=files; filename*=UTF-8''b%C3%BC", "", "bbbb"),
    ];
    let answer = send_parts(&endpoint, "/upload_sync", &two).await;
    assert_eq!(answer.body, json!([["a", "aaa"], ["bü", "bbb"], 7]));
    let one = [("name=files; filename=a", "", "aaaa"), ("name=count", "", "7")];
    assert_eq!(send_parts(&endpoint, "/upload_sync", &one).await.body, json!([["a", "aaa"], 7]));
    let answer =
        send_parts(&endpoint, "/theirs", &[("name=file; filename=x", "Content-Type: a/b\r\n", "y")]).await;
    assert_eq!(answer.body, json!(["x", "y", "a/b", true]));
    let answer = send_parts(&endpoint, "/blob", &[("name=data; filename=x", "", "12345")]).await;
    assert_eq!(answer.body, json!([5, "t"]));
    // A field of a form is an argument as a field of an object is.
    assert_eq!(send_parts(&endpoint, "/fields", &[("name=x", "", "4")]).await.body, json!([4, "y"]));
    let large = "z".repeat(5_000_000);
    let answer = send_parts(&endpoint, "/blob", &[("name=data; filename=x", "", &large)]).await;
    assert_eq!(answer.body, json!([5_000_000, "t"]));
}

#[tokio::test]
async fn markers_say_where_arguments_are() {
    let project = project();
    let endpoint = project.start().await;
    let request =
        endpoint.request("GET", "/marked?query=7&q=9").header("user-agent", "me").header("x-token", "t");
    let request = request.header("cookie", "session=s; other=o").header("x-many", "1").header("x-many", "2");
    assert_eq!(endpoint.send(request).await.body, json!([7, "me", "t", "s", [1, 2]]));
    let bare = endpoint.send(endpoint.request("GET", "/marked").header("user-agent", "me")).await;
    assert_eq!(bare.body, json!([5, "me", null, "nobody", []]));
    let wrong = endpoint.get("/marked?query=0").await;
    assert_eq!(wrong.status, 422);
    let places: Vec<&Value> =
        wrong.body["detail"].as_array().unwrap().iter().map(|one| &one["loc"]).collect();
    assert_eq!(places, [&json!(["query", "query"]), &json!(["header", "user-agent"])]);

    let form = "application/x-www-form-urlencoded";
    let answer = send(&endpoint, "/login", form, "name=me&tags=a&tags=b&remember=on").await;
    assert_eq!(answer.body, json!(["me", ["a", "b"], true]));
    let answer = send(&endpoint, "/login", form, "name=m").await;
    assert_eq!((answer.status, &answer.body["detail"][0]["type"]), (422, &json!("string_too_short")));
    assert_eq!(answer.body["detail"][0]["loc"], json!(["body", "name"]));
    let answer = send(&endpoint, "/person", form, "name=me&age=4").await;
    assert_eq!(answer.body, json!({"name": "me", "age": 4}));

    assert_eq!(endpoint.post("/number", json!(5)).await.body, 5);
    assert_eq!(endpoint.post("/number", json!(1)).await.status, 422);
    assert_eq!(endpoint.post("/embedded?q=x", json!({"value": 5})).await.body, json!([5, "x"]));
    assert_eq!(endpoint.get("/at/3").await.body, 3);
    assert_eq!(endpoint.get("/at/0").await.body["detail"][0]["loc"], json!(["path", "item"]));
}

#[tokio::test]
async fn forms_that_do_not_fit_say_why() {
    let project = project();
    let endpoint = project.start().await;
    let text = send_parts(&endpoint, "/upload", &[("name=file", "", "text")]).await;
    assert_eq!((text.status, &text.body["detail"][0]["loc"]), (422, &json!(["body", "file"])), "{text:?}");
    let missing = send_parts(&endpoint, "/upload", &[("name=note", "", "text")]).await;
    assert_eq!((missing.status, &missing.body["detail"][0]["type"]), (422, &json!("missing")));
    let file = send_parts(&endpoint, "/fields", &[("name=x; filename=f", "", "1")]).await;
    assert_eq!((file.status, &file.body["detail"][0]["input"]), (422, &json!({"filename": "f", "size": 1})));
    let whole = multipart(&[("name=file; filename=f", "", "content")]);
    let named = format!("multipart/form-data; boundary={BOUNDARY}");
    for (content_type, body, words) in [
        ("multipart/form-data", whole.as_str(), "names no boundary"),
        ("multipart/form-data; boundary=other", &whole, "boundary is not in it"),
        (&named, &whole[..whole.len() - 30], "ends before its last boundary"),
        (&named, "--X-boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n--X-boundary--", "has no name"),
        (&named, "--X-boundary", "no headers"),
        (&named, &format!("--X-boundary\r\nx: {}\r\n\r\n\r\n--X-boundary--", "x".repeat(9000)), "too large"),
    ] {
        let answer = send(&endpoint, "/upload", content_type, body.to_owned()).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("FL311")), "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(words), "{words}: {}", answer.body);
    }
    let many = multipart(&vec![("name=x", "", "1"); 1001]);
    assert_eq!(send(&endpoint, "/fields", &named, many).await.status, 400);
    let many = "x=1&".repeat(1001);
    assert_eq!(send(&endpoint, "/fields", "application/x-www-form-urlencoded", many).await.status, 400);
}

#[tokio::test]
async fn media_types_that_nobody_reads_are_415() {
    let project = project();
    let endpoint = project.start().await;
    let check = async |path: &str, content_type: &str, body: &'static str, status: u16| {
        let answer = send(&endpoint, path, content_type, body).await;
        assert_eq!(answer.status, status, "{path} {content_type}: {answer:?}");
    };
    check("/fields", "application/xml", "<x>1</x>", 415).await;
    check("/fields", "image/png", "\u{0}", 415).await;
    check("/fields", "application/json", "<x>", 422).await;
    check("/fields", "application/vnd.own+json", "{\"x\": 1}", 200).await;
    check("/fields", "text/plain", "{\"x\": 1}", 200).await;
    check("/raw", "application/xml", "<x>1</x>", 200).await;
}

#[tokio::test]
async fn head_and_options_are_answered_for_every_route() {
    let project = project();
    let endpoint = project.start().await;
    let head = endpoint.send(endpoint.request("HEAD", "/at/123456")).await;
    assert_eq!(
        (head.status, head.body, &head.headers["content-length"]),
        (200, json!(""), &"6".parse().unwrap())
    );
    assert_eq!(head.headers["content-type"], "application/json");
    assert_eq!(endpoint.send(endpoint.request("HEAD", "/fields")).await.status, 405);
    let options = endpoint.send(endpoint.request("OPTIONS", "/at/1")).await;
    assert_eq!((options.status, &options.headers["allow"]), (204, &"GET, HEAD, OPTIONS".parse().unwrap()));
    assert_eq!(endpoint.send(endpoint.request("OPTIONS", "/nowhere")).await.status, 404);
    let wrong = endpoint.send(endpoint.request("TRACE", "/fields")).await;
    assert_eq!((wrong.status, &wrong.headers["allow"]), (405, &"POST, OPTIONS".parse().unwrap()));
}
