"""The `route` form: HTTP bodies in, HTTP bodies out."""

from __future__ import annotations

from gateway import ERROR, FAILED, RESULT, Gateway

SOURCE = """
    import asyncio, math
    from dataclasses import dataclass
    from typing import Optional
    import pydantic
    from fastapi import HTTPException
    from fastapi.responses import PlainTextResponse
    from tetra_rp import LiveLoadBalancer, remote

    api = LiveLoadBalancer(name="api")

    @remote(api, method="POST", path="/add")
    async def add(x: int, y: int = 10):
        return x + y

    @remote(api, method="POST", path="/add_sync")
    def add_sync(x: int, y: int = 10):
        return {"sum": x + y}

    @remote(api, method="GET", path="/items/{item_id}")
    async def item(item_id: int, limit: int = 5, tags: Optional[list[str]] = None):
        return {"id": item_id, "limit": limit, "tags": tags}

    @remote(api, method="POST", path="/echo")
    async def echo(input_data: dict) -> dict:
        return input_data

    class Point(pydantic.BaseModel):
        x: int
        y: int = 0

    @remote(api, method="POST", path="/point")
    async def point(request: Point) -> Point:
        assert isinstance(request, Point)
        return request

    @remote(api, method="POST", path="/boom")
    async def boom():
        raise ValueError("bad")

    @remote(api, method="POST", path="/leave")
    async def leave():
        raise SystemExit(3)

    @remote(api, method="POST", path="/leave_sync")
    def leave_sync():
        raise SystemExit(3)

    @remote(api, method="POST", path="/thing")
    async def thing():
        return object()

    @remote(api, method="POST", path="/nan")
    async def nan():
        return {"value": math.nan}

    @remote(api, method="POST", path="/nested")
    async def nested():
        return [number for number in [1]], (number for number in [1])

    @remote(api, method="POST", path="/missing")
    async def missing():
        raise HTTPException(status_code=404, detail={"what": "nothing there"})

    @remote(api, method="POST", path="/plain")
    async def plain():
        return PlainTextResponse("hello", status_code=201)

    @remote(api, method="POST", path="/talk")
    def talk():
        print("words that are no frame")
        return "spoken"
"""
FUNCTIONS = [
    "add", "add_sync", {"name": "item", "http_method": "GET", "http_path": "/items/{item_id}"}, "echo", "point", "boom",
    "leave", "leave_sync", "thing", "nan", "nested", "missing", "plain", "talk",
]  # fmt: skip


def test_ready_says_who_answers(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    assert gateway.first.header["pid"] == gateway.process.pid
    assert gateway.first.header["python"].count(".") == 2


def test_results(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, body, header, expected in [
        ("add", {"x": 1, "y": 2}, {}, 3),
        ("add", {"x": 1}, {"content_type": "application/json"}, 11),
        ("add", {"x": "1"}, {"query": [["y", "5"]]}, 6),
        ("add", b'  {"x": 1}\n', {}, 11),
        ("add", b"x=1&y=2", {"content_type": "application/x-www-form-urlencoded; charset=utf-8"}, 3),
        ("add_sync", {"x": 1, "y": 2, "unknown": 3}, {}, {"sum": 3}),
        ("item", b"", {"path": {"item_id": "7"}}, {"id": 7, "limit": 5, "tags": None}),
        ("item", b"", {"path": {"item_id": "7"}, "query": [["limit", "1"], ["tags", "a"], ["tags", "b"]]},
         {"id": 7, "limit": 1, "tags": ["a", "b"]}),
        ("echo", {"text": "ü"}, {}, {"text": "ü"}),
        ("echo", {"input_data": {"text": "x"}}, {}, {"input_data": {"text": "x"}}),
        ("point", {"x": 1}, {}, {"x": 1, "y": 0}),
        ("point", {"request": {"x": 1}}, {}, {"x": 1, "y": 0}),
        ("talk", b"", {}, "spoken"),
    ]:  # fmt: skip
        answer = gateway.route(function, body, **header)
        assert (answer.kind, answer.header, answer.json()) == (RESULT, {}, expected), (function, body)


def test_arguments_that_do_not_fit_are_422_in_the_shape_of_fastapi(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, body, header, expected in [
        ("add", {"y": 2}, {}, {"type": "missing", "loc": ["body", "x"], "msg": "Field required", "input": {"y": 2}}),
        ("add", b"", {}, {"type": "missing", "loc": ["body", "x"], "msg": "Field required", "input": None}),
        ("add", {"x": "one"}, {},
         {"type": "int_parsing", "loc": ["body", "x"], "input": "one",
          "msg": "Input should be a valid integer, unable to parse string as an integer"}),
        ("item", b"", {"path": {"item_id": "x"}},
         {"type": "int_parsing", "loc": ["path", "item_id"], "input": "x",
          "msg": "Input should be a valid integer, unable to parse string as an integer"}),
        ("point", {"y": 1}, {}, {"type": "missing", "loc": ["body", "x"], "msg": "Field required", "input": {"y": 1}}),
    ]:  # fmt: skip
        answer = gateway.route(function, body, **header)
        assert answer.kind == RESULT
        assert answer.header == {"status": 422, "content_type": "application/json"}
        assert answer.json() == {"detail": [expected]}, (function, body)


def test_a_body_that_is_not_json_is_422_and_one_that_is_no_text_400(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for body in (b"{", b'{"x": NaN}', b"[" * 100_000):
        answer = gateway.route("add", body)
        assert answer.header["status"] == 422
        assert answer.json()["detail"][0]["type"] == "json_invalid"
    refused = gateway.route("add", b"\xff\xfe")
    assert (refused.header["status"], refused.header["code"]) == (400, "FL311")


def test_exceptions_carry_type_message_and_traceback(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    answer = gateway.route("boom")
    assert answer.kind == ERROR
    assert answer.header["code"] == "FL305"
    assert answer.header["status"] == 500
    assert answer.header["type"] == "ValueError"
    assert answer.header["message"] == "bad"
    assert answer.header["traceback"].startswith("Traceback (most recent call last):")
    assert answer.header["traceback"].endswith("ValueError: bad\n")
    assert "_worker" not in answer.header["traceback"]


def test_system_exit_ends_the_call_and_not_the_worker(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function in ("leave", "leave_sync"):
        assert gateway.route(function).header["type"] == "SystemExit"
    assert gateway.route("add", {"x": 1}).json() == 11


def test_results_that_json_cannot_hold_are_errors(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, reason in [("thing", "object"), ("nan", "NaN"), ("nested", "generator")]:
        answer = gateway.route(function)
        assert (answer.kind, answer.header["code"], answer.header["status"]) == (ERROR, "FL306", 500)
        assert reason in answer.header["message"]


def test_http_exceptions_and_responses_keep_their_status(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    answer = gateway.route("missing")
    assert (answer.kind, answer.header["status"]) == (RESULT, 404)
    assert answer.json() == {"detail": {"what": "nothing there"}}
    answer = gateway.route("plain")
    assert answer.header == {"status": 201, "content_type": "text/plain; charset=utf-8"}
    assert answer.body == b"hello"


def test_unknown_function_and_form(worker):
    gateway = worker(SOURCE, ["add"])
    answer = gateway.route("subtract")
    assert (answer.kind, answer.header["code"], answer.header["status"]) == (ERROR, "FL307", 404)
    assert "add" in answer.header["message"]
    assert gateway.call({"form": "dance"}).header["code"] == "FL311"


def test_many_frames_in_one_write_are_all_answered(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    ids = {gateway.begin({"form": "route", "function": "add"}, {"x": number}): number + 10 for number in range(500)}
    answers = [gateway.receive() for _ in ids]
    assert {answer.call_id: answer.json() for answer in answers} == ids


def test_bodies_larger_than_any_buffer(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    text = "ü" * 1_000_000
    assert gateway.route("echo", {"text": text}).json() == {"text": text}
    assert gateway.route("add", {"x": 1}).json() == 11


def test_what_only_a_fastapi_application_can_do_is_refused_at_once(project):
    source = """
        from fastapi import Depends

        async def injected(user: str = Depends(str)):
            return user
    """
    with Gateway(project(source), ["injected"]) as gateway:
        assert gateway.first.kind == FAILED
        assert "parameter user: Depends() works in a FastAPI application only" in gateway.first.header["message"]
