"""The request as an object, for parameters that are annotated with a class of requests: ours, or Starlette's and FastAPI's."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from tetra_rp._http import Request
from tetra_rp._worker._frames import Body

_STARLETTE = ("starlette.requests", "fastapi.requests")


def is_request(annotation: Any) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, Request) or _is_starlettes(annotation))


def make(annotation: type, head: Mapping[str, Any], path_params: Mapping[str, str], body: Body) -> Any:
    """`head` is what a CALL says under `request`: `method`, `target`, `headers`."""
    method = head.get("method", "GET")
    path, _, query = head.get("target", "/").partition("?")
    headers = head.get("headers", ())
    if _is_starlettes(annotation):
        return _starlettes(annotation, method, path, query, headers, path_params, bytes(body))
    return annotation(method, urllib.parse.unquote(path), query, headers, path_params, bytes(body))


def _is_starlettes(annotation: type) -> bool:
    # Whoever annotates with it has imported it; importing it here would be a dependency.
    return any(
        kind.__module__ in _STARLETTE and kind.__name__ in ("Request", "HTTPConnection") for kind in annotation.__mro__
    )


def _starlettes(
    kind: type, method: str, path: str, query: str, headers: Any, path_params: Mapping[str, str], body: bytes
) -> Any:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urllib.parse.unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "root_path": "",
        "query_string": query.encode("latin-1", "replace"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers],
        "path_params": dict(path_params),
        "client": None,
        "server": None,
        "state": {},
    }
    if any(base.__name__ == "Request" for base in kind.__mro__):
        return kind(scope, receive)
    return kind(scope)
