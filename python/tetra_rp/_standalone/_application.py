"""HTTP routes: an ASGI 3 application in plain Python, with the worker's own rules for arguments and results."""

from __future__ import annotations

import asyncio
import json
import traceback
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from tetra_rp import _routes
from tetra_rp._standalone._hosted import Hosted
from tetra_rp._standalone._ping import HEALTHY, Receive, Scope, Send
from tetra_rp._worker import _encoding, _failures, _replies, _responses, _targets
from tetra_rp._worker._binding import Unprocessable
from tetra_rp._worker._load import LoadError

BODY_SIZE_MAX_BYTES = 30 * 1024 * 1024

_JSON = "application/json"
_PROBLEM = "application/problem+json"
# Flash's codes and their titles, as its gateway answers them.
_TITLES = {
    "FL301": "no such route",
    "FL302": "method not allowed",
    "FL305": "user code raised an exception",
    "FL306": "result cannot be serialised",
    "FL312": "worker cannot start",
    "FL317": "payload too large",
    "FL318": "arguments do not fit the function",
}


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes
    allow: str = ""


class _Gone(Exception):
    """The client has left before its request was complete."""


class _Pattern(NamedTuple):
    """A path that functions serve, by segments: text, `{}` for any one, `{*}` for all the rest."""

    segments: tuple[str, ...]
    functions: dict[str, tuple[str, tuple[str, ...]]]
    """Method → function and the names of the path's parameters."""

    def match(self, segments: list[str]) -> list[str] | None:
        values: list[str] = []
        for at, expected in enumerate(self.segments):
            if at >= len(segments):
                return None
            if expected == "{*}":
                rest = "/".join(segments[at:])
                return [*values, rest] if rest else None
            if expected == "{}":
                if not segments[at]:
                    return None
                values.append(segments[at])
            elif expected != segments[at]:
                return None
        return values if len(segments) == len(self.segments) else None


class Application:
    """Serves the routes of one resource, and `/ping`."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self._patterns = _patterns(hosted)
        self._places = asyncio.Semaphore(hosted.max_concurrency)
        self._is_loaded = False

    def load(self) -> None:
        """Imports the user's modules. Raises whatever they raise, and `LoadError`."""
        if self._is_loaded:
            return
        targets = self.hosted.load()
        for pattern in self._patterns:
            for name, _ in pattern.functions.values():
                if name not in targets:
                    raise LoadError(f"a route is of {name!r}, which is no function of {self.hosted.name!r}")
        self._is_loaded = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except _Gone:
                return
            await _send(answer, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"unknown type of connection: {scope['type']!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})
                return
            try:
                self.load()
            except (Exception, SystemExit) as error:
                traceback.print_exception(type(error), error, error.__traceback__)
                text = f"{_failures.type_name(type(error))}: {_failures.message(error)}"
                await send({"type": "lifespan.startup.failed", "message": text})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path = _path(scope)
        try:
            self.load()
        except (Exception, SystemExit) as error:
            return _problem("FL312", 503, f"the code cannot be loaded: {_failures.message(error)}", error)
        if path == "/ping":
            return Answer(200, _JSON, HEALTHY)
        found = self._find(path)
        if found is None:
            shown = ", ".join(sorted(self.hosted.routes)) or "none"
            return _problem("FL301", 404, f"there is no route {path}", hint=f"routes: {shown}")
        pattern, values = found
        entry = pattern.functions.get(scope["method"])
        if entry is None:
            allow = ", ".join(sorted(pattern.functions))
            detail = f"{scope['method']} is not allowed on {path}; allowed: {allow}"
            return _problem("FL302", 405, detail)._replace(allow=allow)
        body = await _read_body(receive)
        if body is None:
            return _problem("FL317", 413, f"a body may have {BODY_SIZE_MAX_BYTES} bytes at most")
        name, parameters = entry
        return await self._call(name, scope, dict(zip(parameters, values, strict=True)), body)

    async def _call(self, name: str, scope: Scope, path: dict[str, str], body: bytes) -> Answer:
        target = _targets.find(self.hosted.load(), name)
        query = urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        try:
            method = _targets.find_method(target, None)
            route = method.binding.route(scope["method"], path, query, _head(scope))
            arguments = route.binder()(body, _content_type(scope))
            async with self._places:
                result = await self.hosted.call(target, method, (), arguments)
            if _responses.is_response(result):
                return Answer(*_responses.parts(result))
            if isinstance(result, (bytes, bytearray, memoryview)):
                return Answer(200, "application/octet-stream", bytes(result))
            return Answer(200, _JSON, _encoding.to_json(result))
        except Unprocessable as mismatch:
            return Answer(422, _JSON, _encoding.to_json(mismatch.document()))
        except (Exception, SystemExit) as error:
            return _failed(error)

    def _find(self, path: str) -> tuple[_Pattern, list[str]] | None:
        segments = path.split("/")
        for pattern in self._patterns:
            values = pattern.match(segments)
            if values is not None:
                return pattern, values
        return None


def application(root: str | Path, name: str) -> Application:
    """The application of the load-balanced resource `name`, whose manifest and modules are in `root`. Raises `LoadError`.

    The modules are imported by `serve_http` or the server's start-up, else at the first request.
    """
    return Application(Hosted(root, name))


def _patterns(hosted: Hosted) -> list[_Pattern]:
    """In the order in which they are tried: text before parameters, parameters before the rest of a path."""
    found: dict[tuple[str, ...], _Pattern] = {}
    for route, function in hosted.routes.items():
        method, _, path = route.partition(" ")
        segments = _routes.shape(path)
        names = tuple(filter(None, map(_routes.parameter, path.split("/"))))
        pattern = found.setdefault(segments, _Pattern(segments, {}))
        pattern.functions[method] = (function, names)
    ranks = {"{}": 1, "{*}": 2}
    return sorted(found.values(), key=lambda pattern: [ranks.get(segment, 0) for segment in pattern.segments])


def _path(scope: Scope) -> str:
    """The path below where the application is mounted, decoded."""
    path: str = scope["path"]
    mounted_at = scope.get("root_path", "").rstrip("/")
    if mounted_at and (path == mounted_at or path.startswith(f"{mounted_at}/")):
        path = path[len(mounted_at) :]
    return path or "/"


def _content_type(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return str(value.decode("latin-1"))
    return ""


def _head(scope: Scope) -> dict[str, Any]:
    """As a CALL of the worker protocol says it."""
    query = scope["query_string"].decode("latin-1")
    path = urllib.parse.quote(_path(scope))
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return {"method": scope["method"], "target": f"{path}?{query}" if query else path, "headers": headers}


async def _read_body(receive: Receive) -> bytes | None:
    """None if it is too large. Raises `_Gone`."""
    pieces, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        piece = event.get("body", b"")
        size += len(piece)
        if size > BODY_SIZE_MAX_BYTES:
            return None
        pieces.append(piece)
        if not event.get("more_body", False):
            return b"".join(pieces)


async def _send(answer: Answer, send: Send) -> None:
    headers, body = [], answer.body
    if answer.status in (204, 304):
        body = b""  # by the rules of HTTP
    else:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
        headers.append((b"content-length", b"%d" % len(body)))
    if answer.allow:
        headers.append((b"allow", answer.allow.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _failed(error: BaseException) -> Answer:
    """What a call that raised is answered with."""
    status = _replies.exception_status(error)
    if status is not None:
        try:
            return Answer(status, _JSON, _encoding.to_json({"detail": error.detail}))  # type: ignore[attr-defined]
        except _encoding.NotSerializable as refused:
            error = refused
    header = json.loads(_failures.error_header(error))
    detail = f"{header['type']}: {header['message']}" if header["type"] else header["message"]
    return _problem(header["code"], header["status"], detail, error if header["type"] else None)


def _problem(code: str, status: int, detail: str, error: BaseException | None = None, hint: str = "") -> Answer:
    document: dict[str, Any] = {
        "type": f"urn:flash:error:{code}",
        "title": _TITLES.get(code, "the call failed"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if hint:
        document["hint"] = hint
    if error is not None:
        document["exception"] = {
            "type": _failures.type_name(type(error)),
            "message": _failures.message(error),
            "traceback": _failures.traceback_text(error),
        }
    # ASCII with escapes, so that lone surrogates in a message cannot break the answer.
    return Answer(status, _PROBLEM, json.dumps(document).encode())
