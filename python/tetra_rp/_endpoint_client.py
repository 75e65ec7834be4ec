"""Calling endpoints from outside: where they are, and JSON over HTTP.

An endpoint is reached through the front door of the project's mothership (`/v2/{name or id}/…` for jobs, `/lb/{name or id}/…`
for routes), or, by id, at the provider's data plane.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Coroutine, Generator
from typing import Any, NamedTuple

from tetra_rp import _context, _errors, _trace
from tetra_rp._endpoint_job import EndpointJob
from tetra_rp._running import Announcement, find_running

BASE_URL_VARIABLE = "RUNPOD_ENDPOINT_BASE_URL"
KEY_VARIABLE = "RUNPOD_API_KEY"
BASE_URL_DEFAULT = "https://api.runpod.ai/v2"

RUN_TIMEOUT_SECONDS = 60.0
MANIFEST_TIMEOUT_SECONDS = 10.0
# What a server may hold a `runsync` for, in milliseconds.
HOLD_MIN_MS, HOLD_MAX_MS = 1_000, 300_000
# For the answer of a server that holds the request exactly as long as it was asked to.
HOLD_GRACE_SECONDS = 5.0
ANSWER_SIZE_MAX_BYTES = 256 * 1024 * 1024
_PIECE_SIZE_BYTES = 256 * 1024
_PATH_SAFE = "/[]%?&=:@!$'()*+,;~-._"


class Door(NamedTuple):
    """Where one endpoint is: base URLs without a trailing slash, and what to say there."""

    jobs: str
    routes: str
    token: str
    is_direct: bool
    """No proxy in between: a mothership on this machine."""


class Client:
    """One endpoint, by id or by name. Looks for it at each call, so that it survives the restart of a mothership."""

    def __init__(self, endpoint_id: str | None, name: str | None) -> None:
        self._id = endpoint_id
        self._name = name
        # URLs of motherships that have an endpoint of this id.
        self._known_at: set[str] = set()

    async def run(self, given: Any, webhook: str | None) -> EndpointJob:
        view = await self._ask("POST", "/run", _job(given, webhook), RUN_TIMEOUT_SECONDS)
        return EndpointJob(view, self)

    async def run_and_wait(self, given: Any, timeout: float) -> EndpointJob:
        deadline = time.monotonic() + timeout
        hold_ms = int(min(max(timeout * 1000, HOLD_MIN_MS), HOLD_MAX_MS))
        view = await self._ask("POST", f"/runsync?wait={hold_ms}", _job(given, None), timeout + HOLD_GRACE_SECONDS)
        return await EndpointJob(view, self).wait(max(0.0, deadline - time.monotonic()))

    async def cancel(self, job_id: str) -> EndpointJob:
        return EndpointJob(await self._ask("POST", f"/cancel/{_quoted(job_id)}", None, RUN_TIMEOUT_SECONDS), self)

    async def view(self, job_id: str, timeout: float) -> dict[str, Any]:
        return await self._ask("GET", f"/status/{_quoted(job_id)}", None, timeout)

    async def parts(self, job_id: str, timeout: float) -> tuple[str, list[Any]]:
        """The job's state, and what it has yielded since somebody asked last."""
        path = f"/stream/{_quoted(job_id)}"
        answer = await asyncio.to_thread(self._send, "GET", lambda door: door.jobs + path, None, timeout)
        try:
            return str(answer["status"]), [part["output"] for part in answer["stream"]]
        except (KeyError, TypeError):
            raise _errors.CallError(
                f"GET {path} of {self._shown()} was not answered with parts: {str(answer)[:200]}"
            ) from None

    def request(self, method: str, path: str, data: Any, timeout: float) -> Request:
        """The JSON value of an answer below 300, None for one without a body."""
        return Request(self._request(method, path, data, timeout), self._shown())

    async def _request(self, method: str, path: str, data: Any, timeout: float) -> Any:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"the path is {path!r}; it has to start with '/'")
        body = None
        if method == "GET":
            path = _with_query(path, data)
        elif data is not None:
            body = _to_json(data)
        return await asyncio.to_thread(self._send, method, lambda door: door.routes + path, body, timeout)

    async def _ask(self, method: str, path: str, document: Any, timeout: float) -> dict[str, Any]:
        """A job's view."""
        body = None if document is None else _to_json(document)
        view = await asyncio.to_thread(self._send, method, lambda door: door.jobs + path, body, timeout)
        if not isinstance(view, dict) or "id" not in view or "status" not in view:
            raise _errors.CallError(f"{method} {path} of {self._shown()} was not answered with a job: {str(view)[:200]}")
        return view

    def _send(self, method: str, url: Any, body: bytes | None, timeout: float) -> Any:
        _context.check_calls_allowed(self._shown())
        door = self._find()
        return send(method, url(door), body, door.token, timeout, is_direct=door.is_direct)

    def _find(self) -> Door:
        """Raises `NotRunningError` where there is no way to the endpoint."""
        if self._id is None:
            try:
                return _front_door(find_running(), str(self._name))
            except _errors.NotRunningError as error:
                raise _errors.NotRunningError(
                    f"{self._shown()} is made and reached by the mothership of the project that declares it; {error}"
                ) from None
        base, key = os.environ.get(BASE_URL_VARIABLE, "").strip(), os.environ.get(KEY_VARIABLE, "").strip()
        if base:
            return _data_plane(base, key, self._id)
        try:
            running = find_running()
        except _errors.NotRunningError as error:
            if key:
                return _data_plane(BASE_URL_DEFAULT, key, self._id)
            raise _errors.NotRunningError(
                f"{self._shown()} cannot be reached: set {KEY_VARIABLE} if the provider runs it; {error}"
            ) from None
        if key and not self._is_known_at(running):
            return _data_plane(BASE_URL_DEFAULT, key, self._id)
        return _front_door(running, self._id)

    def _is_known_at(self, running: Announcement) -> bool:
        if running.url in self._known_at:
            return True
        try:
            manifest = send(
                "GET", f"{running.url}/manifest", None, running.token, MANIFEST_TIMEOUT_SECONDS, is_direct=True
            )
            resources = manifest["resources"]
            found = self._id in resources or any(each.get("endpoint_id") == self._id for each in resources.values())
        except (_errors.FlashError, AttributeError, KeyError, TypeError):
            return False
        if found:
            self._known_at.add(running.url)
        return found

    def _shown(self) -> str:
        return f"Endpoint(id={self._id!r})" if self._id is not None else f"Endpoint(name={self._name!r})"


class Request(Coroutine[Any, Any, Any]):
    """A coroutine that knows what it is, for those who take it for a route decorator."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], shown: str) -> None:
        self._coroutine = coroutine
        self._shown = shown

    def __call__(self, target: Any) -> Any:
        self._coroutine.close()
        name = getattr(target, "__name__", repr(target))
        raise ValueError(f"{self._shown} is a client of an endpoint that exists; {name} cannot be a route of it")

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()


def _front_door(running: Announcement, endpoint: str) -> Door:
    quoted = _quoted(endpoint)
    return Door(f"{running.url}/v2/{quoted}", f"{running.url}/lb/{quoted}", running.token, is_direct=True)


def _data_plane(base: str, key: str, endpoint: str) -> Door:
    """Jobs under the base URL, routes at a host of the endpoint's own."""
    base = base.rstrip("/")
    address = urllib.parse.urlsplit(base)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f"{BASE_URL_VARIABLE} is {base!r}; it has to be an http or https URL")
    if _has_subdomains(address.hostname):
        routes = f"{address.scheme}://{_quoted(endpoint)}.{address.netloc}"
    else:
        routes = f"{address.scheme}://{address.netloc}{address.path.removesuffix('/v2')}/lb/{_quoted(endpoint)}"
    return Door(f"{base}/{_quoted(endpoint)}", routes, key, is_direct=False)


def _has_subdomains(host: str) -> bool:
    """Not so addresses, and names of this machine: somebody imitates the data plane, with both APIs at one place."""
    return "." in host and ":" not in host and not host.replace(".", "").isdigit()


def send(method: str, url: str, body: bytes | None, token: str, timeout: float, *, is_direct: bool) -> Any:
    """One request; the JSON value of the answer, None if it has no body.

    Raises `CallError` for answers from 300 on and for what is no JSON, `TransportError`, and `WaitTimeoutError` when there is no
    complete answer after `timeout` seconds.
    """
    headers = {"Accept": "application/json", "User-Agent": "flash-sdk", **_trace.headers()}
    if body is not None:
        headers["Content-Type"] = "application/json"
    elif method != "GET":
        body = b""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(
        urllib.parse.quote(url, safe=_PATH_SAFE), data=body, headers=headers, method=method
    )
    deadline = time.monotonic() + timeout
    try:
        try:
            response = _opener(is_direct).open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            status, answer = response.status, _read(response, deadline)
    except TimeoutError:
        raise _errors.WaitTimeoutError(f"{method} {url} was not answered within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise _errors.WaitTimeoutError(f"{method} {url} was not answered within {timeout:g} s") from None
        raise _errors.TransportError(f"{method} {url} failed: {type(reason).__name__}: {reason}") from error
    if len(answer) > ANSWER_SIZE_MAX_BYTES:
        raise _errors.CallError(f"the answer of {url} is larger than {ANSWER_SIZE_MAX_BYTES} bytes", status=status)
    if status >= 300:
        raise _problem(url, status, answer)
    if not answer:
        return None
    try:
        return json.loads(answer)
    except ValueError:
        raise _errors.CallError(
            f"{method} {url} was answered with {status} and no JSON: {_excerpt(answer)}", status=status
        ) from None


def _read(response: Any, deadline: float) -> bytes:
    """The body, or of one that is too large somewhat more than is allowed."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE_SIZE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER_SIZE_MAX_BYTES:
            return b"".join(pieces)
        if time.monotonic() > deadline:
            raise TimeoutError
    expected = response.headers.get("content-length")
    if expected is not None and expected.isdigit() and size < int(expected):
        raise http.client.IncompleteRead(b"".join(pieces), int(expected) - size)
    return b"".join(pieces)


def _problem(url: str, status: int, answer: bytes) -> _errors.CallError:
    """The exception for an answer that is an error."""
    try:
        document = json.loads(answer)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return _errors.CallError(f"{url} answered {status}: {_excerpt(answer)}", status=status)
    if "code" in document:
        detail = document.get("detail") or document.get("title") or "the call failed"
        exception = document.get("exception")
        return _errors.from_answer(
            str(document["code"]),
            status,
            str(detail),
            hint=document.get("hint"),
            exception=exception if isinstance(exception, dict) else None,
        )
    detail = document.get("error") or document.get("detail") or document
    return _errors.CallError(f"{url} answered {status}: {str(detail)[:1000]}", status=status)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would send the token to whoever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


@functools.lru_cache(maxsize=2)
def _opener(is_direct: bool) -> urllib.request.OpenerDirector:
    proxies = urllib.request.ProxyHandler({}) if is_direct else urllib.request.ProxyHandler()
    return urllib.request.build_opener(proxies, _NoRedirects())


def _job(given: Any, webhook: str | None) -> dict[str, Any]:
    # An empty input is dropped on its way by the provider, and its worker then refuses the job.
    document = {"input": {"__empty": True} if given is None or given == {} else given}
    return document if webhook is None else {**document, "webhook": webhook}


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _errors.SerializationError(f"the data cannot be written as JSON: {error}", code="FL306") from error


def _with_query(path: str, data: Any) -> str:
    if data is None:
        return path
    if not isinstance(data, dict):
        raise TypeError(f"the data of a GET is a dict of query parameters, not {data!r}")
    pairs = []
    for name, value in data.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if item is not None:
                pairs.append((name, str(item).lower() if isinstance(item, bool) else item))
    if not pairs:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urllib.parse.urlencode(pairs)}"


def _quoted(part: str) -> str:
    return urllib.parse.quote(part, safe="")


def _excerpt(answer: bytes) -> str:
    return answer[:200].decode("utf-8", "replace").strip() or "(nothing)"
