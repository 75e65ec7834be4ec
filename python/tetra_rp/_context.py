"""Who is this process: the worker of one resource, or a client.

Decided when a decorated function is called, never when it is decorated, so that importing has no consequences.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from tetra_rp._transport import Transport

    Construct = Callable[[str, type, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]
    """Function name, class, constructor arguments → the object. Lets a worker share its objects."""


class Context:
    """`own` are the functions and classes that run here; calls of all others go through `transport`."""

    __slots__ = ("construct", "own", "resource", "transport")

    def __init__(
        self,
        transport: Transport,
        *,
        resource: str | None = None,
        own: frozenset[str] = frozenset(),
        construct: Construct | None = None,
    ) -> None:
        self.transport = transport
        self.resource = resource
        self.own = own
        self.construct = construct


_current: Context | None = None

# Why this process makes no calls at all, where it does not; set by the probe.
calls_refused: str | None = None


def current() -> Context:
    """The process's context; a client's, made at the first call, unless a worker has set its own."""
    global _current
    if _current is None:
        from tetra_rp._transport import HttpTransport

        _current = Context(HttpTransport())
    return _current


def replace(context: Context | None) -> Context | None:
    """Sets the context and returns the one before. For the worker's start and for tests."""
    global _current
    previous, _current = _current, context
    return previous


def check_calls_allowed(what: str) -> None:
    """Raises `FlashError` where this process makes no calls."""
    if calls_refused is not None:
        from tetra_rp._errors import FlashError

        raise FlashError(f"{what} is not called: {calls_refused}")
