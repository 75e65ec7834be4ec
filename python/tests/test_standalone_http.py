"""Generated HTTP handlers, driven as ASGI and served by uvicorn."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standalone import Artifact, forget_modules, route

import tetra_rp
from tetra_rp._standalone import _application

SDK = Path(tetra_rp.__file__).resolve().parent.parent

SOURCE = """
    from dataclasses import dataclass
    from typing import Optional
    from fastapi import HTTPException, Response
    from tetra_rp import Endpoint

    api = Endpoint(name="mine", cpu="cpu3c-1-2")

    @dataclass
    class Point:
        x: int
        y: int = 0

    @api.post("/add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    @api.get("/users/{id}")
    async def user(id: int, full: bool = False, tags: Optional[list[str]] = None):
        return {"id": id, "full": full, "tags": tags}

    @api.get("/users/me")
    def me():
        return "me"

    @api.delete("/users/{name}")
    def forget(name: str, hard: bool = False):
        return {"name": name, "hard": hard}

    @api.get("/files/{rest:path}")
    def files(rest: str):
        return rest

    @api.post("/point")
    def point(point: Point):
        return point

    @api.post("/raw")
    def raw(data: bytes):
        return Response(data[::-1], status_code=201, media_type="application/x-reversed")

    @api.get("/boom")
    def boom():
        raise ValueError("bad")

    @api.get("/teapot")
    def teapot():
        raise HTTPException(418, "short and stout")

    @api.get("/empty")
    def empty():
        return Response(status_code=204)

    @api.get("/object")
    def thing():
        return object()

    @api.post("/count")
    class Counter:
        def __init__(self):
            self.count = 0

        def step(self, by: int = 1) -> int:
            self.count += by
            return self.count
"""
FUNCTIONS = [
    route("add", "POST", "/add"), route("user", "GET", "/users/{id}"), route("me", "GET", "/users/me"),
    route("forget", "DELETE", "/users/{name}"), route("files", "GET", "/files/{rest:path}"), route("point", "POST", "/point"),
    route("raw", "POST", "/raw"), route("boom", "GET", "/boom"), route("teapot", "GET", "/teapot"),
    route("empty", "GET", "/empty"), route("thing", "GET", "/object"), route("Counter", "POST", "/count", is_class=True),
]  # fmt: skip


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(app: Any, method: str, target: str, body: bytes | Any = b"", **options: Any) -> Answer:
    """One request to the application, as a server makes it: the body in two pieces."""
    path, _, query = target.partition("?")
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    content_type = options.pop("content_type", "application/json")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "query_string": query.encode(), "headers": [(b"content-type", content_type.encode())], "root_path": "", **options,
    }  # fmt: skip
    half = len(given) // 2
    incoming = [
        {"type": "http.request", "body": given[:half], "more_body": True},
        {"type": "http.request", "body": given[half:], "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(app(scope, receive, send))
    start, last = sent
    assert (start["type"], last["type"]) == ("http.response.start", "http.response.body")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, last["body"])


@pytest.fixture
def artifact(project, client_context, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FLASH_RESOURCE_NAME", "")
    made: list[Path] = []

    def make(source: str, functions: list[Any], **options: Any) -> Artifact:
        root = project(source)
        made.append(root)
        return Artifact(root, functions, **options)

    yield make
    for root in made:
        forget_modules(root)


@pytest.fixture
def app(artifact):
    return artifact(SOURCE, FUNCTIONS, maxConcurrency=100).load().app


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("GET", "/ping", b"", {"status": "healthy"}),
        ("POST", "/add", {"a": 1, "b": 2}, 3),
        ("POST", "/add", {"a": 1}, 2),
        ("POST", "/add?a=4", b"", 5),
        ("GET", "/users/7", b"", {"id": 7, "full": False, "tags": None}),
        ("GET", "/users/7?full=yes&tags=a&tags=b", b"", {"id": 7, "full": True, "tags": ["a", "b"]}),
        ("GET", "/users/me", b"", "me"),
        ("DELETE", "/users/x y?hard=1", b"", {"name": "x y", "hard": True}),
        ("DELETE", "/users/x", {"hard": True}, {"name": "x", "hard": True}),
        ("GET", "/files/a/b.txt", b"", "a/b.txt"),
        ("POST", "/point", {"x": 1}, {"x": 1, "y": 0}),
        ("POST", "/count", {"by": 2}, 2),
    ],
)
def test_requests_reach_functions(app, method, target, body, expected):
    answer = ask(app, method, target, body)
    assert (answer.status, answer.json()) == (200, expected)
    assert answer.headers == {"content-type": "application/json", "content-length": str(len(answer.body))}


def test_objects_of_classes_are_kept(app):
    assert [ask(app, "POST", "/count", {}).json() for _ in range(3)] == [1, 2, 3]


def test_responses_of_frameworks_go_out_as_they_are(app):
    answer = ask(app, "POST", "/raw", b"abc", content_type="application/octet-stream")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (201, b"cba", "application/x-reversed")
    answer = ask(app, "GET", "/empty")
    assert (answer.status, answer.body, answer.headers) == (204, b"", {})
    answer = ask(app, "GET", "/teapot")
    assert (answer.status, answer.json()) == (418, {"detail": "short and stout"})


@pytest.mark.parametrize(
    ("target", "body", "locations"),
    [
        ("/add", {"a": "x"}, [["body", "a"]]),
        ("/add", {}, [["body", "a"]]),
        ("/add", b"", [["body", "a"]]),
        ("/add", b"{", [["body", 1]]),
        ("/point", {"y": "z"}, [["body", "x"], ["body", "y"]]),
    ],
)
def test_input_that_does_not_fit_is_422(app, target, body, locations):
    answer = ask(app, "POST", target, body)
    assert answer.status == 422
    assert [detail["loc"] for detail in answer.json()["detail"]] == locations


def test_no_route_and_wrong_method(app):
    for path in ("/nothing", "/users", "/users/", "/files/", "/manifest", "/execute", "/add/"):
        answer = ask(app, "GET", path)
        problem = answer.json()
        assert (answer.status, problem["code"], problem["type"]) == (404, "FL301", "urn:flash:error:FL301")
        assert "POST /add" in problem["hint"]
        assert answer.headers["content-type"] == "application/problem+json"
    answer = ask(app, "PUT", "/users/7")
    assert (answer.status, answer.json()["code"], answer.headers["allow"]) == (405, "FL302", "DELETE, GET")


def test_what_goes_wrong_in_a_function(app):
    answer = ask(app, "GET", "/boom")
    problem = answer.json()
    assert (answer.status, problem["code"], problem["detail"]) == (500, "FL305", "ValueError: bad")
    assert problem["exception"]["type"] == "ValueError" and problem["exception"]["message"] == "bad"
    assert problem["exception"]["traceback"].splitlines()[1].endswith("in boom")
    answer = ask(app, "GET", "/object")
    assert (answer.status, answer.json()["code"]) == (500, "FL306")


def test_where_it_is_mounted(app):
    assert ask(app, "GET", "/v1/users/me", root_path="/v1").json() == "me"


def test_bodies_have_a_limit(app, monkeypatch):
    monkeypatch.setattr(_application, "BODY_SIZE_MAX_BYTES", 10)
    answer = ask(app, "POST", "/add", b"x" * 11)
    assert (answer.status, answer.json()["code"]) == (413, "FL317")


def test_a_client_that_leaves_is_not_answered(app):
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        raise AssertionError(event)

    scope = {"type": "http", "method": "POST", "path": "/add", "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))


def live(app: Any) -> list[str]:
    """Start-up and shutdown; the types of what the application says."""
    said: list[Any] = []
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        said.append(event)

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    return said


def test_lifespan_imports_the_code(app):
    assert "main" not in sys.modules
    assert live(app) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert "main" in sys.modules


def test_code_that_cannot_be_imported(artifact, capsys):
    app = artifact("import nothing_of_that_name", [route("f", "GET", "/f")]).load().app
    (said,) = live(app)
    assert said["type"] == "lifespan.startup.failed"
    assert said["message"] == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert "Traceback" in capsys.readouterr().err
    for path in ("/ping", "/f"):
        answer = ask(app, "GET", path)
        assert (answer.status, answer.json()["code"]) == (503, "FL312")
        assert answer.json()["exception"]["type"] == "ModuleNotFoundError"


def test_web_sockets_are_closed(app):
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    asyncio.run(app({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SDK), "FLASH_HOST": "127.0.0.1", "PORT": "0", **variables}


@contextmanager
def served(file: Path) -> Iterator[str]:
    """The URL of a handler that runs."""
    server = subprocess.Popen(
        [sys.executable, "-W", "error", "-u", str(file)], stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert server.stderr is not None
        running = (re.search(r"running on (http://127\.0\.0\.1:\d+)", line) for line in server.stderr)
        found = next(filter(None, running), None)
        assert found is not None, "it ended before it served"
        yield found.group(1)
    finally:
        server.terminate()
        server.communicate(timeout=30)


def fetch(url: str, data: bytes | None = None) -> Any:
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_served_by_uvicorn(artifact):
    with served(artifact(SOURCE, FUNCTIONS, maxConcurrency=100).file) as url:
        assert fetch(f"{url}/add", b'{"a": 40, "b": 2}') == 42
        assert fetch(f"{url}/files/a%20b") == "a b"
        assert fetch(f"{url}/ping") == {"status": "healthy"}


@pytest.mark.parametrize(
    ("route", "healthy"), [("/x", {"status": "healthy"}), ("/ping", "mine")], ids=["has no ping", "has its own"]
)
def test_applications_of_the_projects_own(project, route, healthy):
    root = project(
        f"""
        import fastapi, importlib
        from tetra_rp import _standalone
        app = fastapi.FastAPI()

        @app.get("{route}")
        def answer():
            return "mine"

        if __name__ == "__main__":
            _standalone.serve_http(getattr(importlib.import_module("main"), "app"))
        """
    )
    with served(root / "main.py") as url:
        assert fetch(f"{url}{route}") == "mine"
        assert fetch(f"{url}/ping") == healthy


@pytest.mark.parametrize(
    ("variables", "source", "words"),
    [
        ({"PORT": "http"}, "def f(): ...", "error: PORT is 'http'; it has to be a port from 0 to 65535"),
        ({}, "import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ({}, "x = 1", "module main has no f once imported"),
    ],
)
def test_starts_that_fail_say_why(artifact, variables, source, words):
    made = artifact(source, [route("f", "GET", "/f")])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(made.file)], capture_output=True, text=True, timeout=60, env=environment(**variables)
    )
    assert done.returncode == 1 and words in done.stderr


def test_serving_without_uvicorn_says_what_to_install(artifact):
    made = artifact("def f(): ...", [route("f", "GET", "/f")])
    # -S -E: no packages but the SDK beside the handler.
    (made.root / "tetra_rp").symlink_to(SDK / "tetra_rp")
    done = subprocess.run([sys.executable, "-S", "-E", str(made.file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("error: serving HTTP needs the package uvicorn")
    assert "hint: pip install uvicorn" in done.stderr
