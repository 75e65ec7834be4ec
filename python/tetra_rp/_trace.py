"""The trace of the call that runs in this context, and how calls that it makes say so."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_TRACEPARENT = re.compile("(?!ff|.{3}0{32}|.{36}0{16})[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
# What everybody must be able to take.
_TRACESTATE_SIZE_MAX_BYTES = 512


class TraceContext(NamedTuple):
    """The values of the headers `traceparent` and `tracestate` for what is done from here."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, the same for everything in the trace."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits: this step of the trace."""
        return self.traceparent[36:52]

    @property
    def is_sampled(self) -> bool:
        return bool(int(self.traceparent[53:55], 16) & 1)

    def headers(self) -> dict[str, str]:
        """For a request that is made in the trace."""
        found = {"traceparent": self.traceparent}
        if self.tracestate:
            found["tracestate"] = self.tracestate
        return found


# Tasks and `asyncio.to_thread` inherit it, bare threads do not.
_current: contextvars.ContextVar[TraceContext | None] = contextvars.ContextVar("flash_trace", default=None)

current = _current.get
"""The trace of the call that runs here; None if it belongs to none."""

enter = _current.set


@contextlib.contextmanager
def follow(traceparent: str, tracestate: str = "") -> Iterator[TraceContext]:
    """Calls that are made inside belong to this trace. Raises `ValueError` for what is no `traceparent`."""
    if _TRACEPARENT.fullmatch(traceparent) is None:
        raise ValueError(f"{traceparent!r} is not a traceparent: version, trace id, span id and flags in hexadecimal")
    if not (tracestate.isascii() and tracestate.isprintable()):
        raise ValueError(f"{tracestate!r} is not a tracestate: it is key=value, with commas between several, in ASCII")
    context = TraceContext(traceparent, tracestate)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def run(context: TraceContext, function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, and all that it starts, in a trace."""
    token = _current.set(context)
    try:
        return function(*args)
    finally:
        _current.reset(token)


def headers() -> dict[str, str]:
    """What a request that is made now has to say."""
    context = _current.get()
    return {} if context is None else context.headers()


def split(header: bytes) -> tuple[bytes, TraceContext | None]:
    """A CALL's header → the JSON object alone, and the trace of the lines behind it."""
    document, separator, text = header.partition(b"\n")
    if not separator:
        return header, None
    traceparent, _, tracestate = text.decode("ascii").partition("\n")
    return document, TraceContext(traceparent, tracestate)


def join(header: bytes) -> bytes:
    """The opposite of `split`, with the trace of this context."""
    context = _current.get()
    if context is None:
        return header
    return "\n".join((header.decode(), *filter(None, context))).encode()


def application(inner: Any) -> Any:
    """An ASGI application whose requests' traces are known."""

    async def traced(scope: Any, receive: Any, send: Any) -> Any:
        context = _of_headers(scope.get("headers", ()))
        if context is not None:
            _current.set(context)  # uvicorn runs each request as a task of its own
        return await inner(scope, receive, send)

    return traced


def _of_headers(pairs: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    found = [value.decode("latin-1") for name, value in pairs if name == b"traceparent"]
    if len(found) != 1 or _TRACEPARENT.fullmatch(found[0]) is None:
        return None
    state = ",".join(value.decode("latin-1") for name, value in pairs if name == b"tracestate")
    is_kept = len(state) <= _TRACESTATE_SIZE_MAX_BYTES and state.isascii() and state.isprintable()
    return TraceContext(found[0], state if is_kept else "")
