"""Objects of decorated classes: one per class and constructor arguments, kept as long as the worker lives."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from tetra_rp import _payload

# Each may hold a model; the least recently used makes room.
INSTANCES_MAX = 16

_NO_ARGUMENTS = ""


class SyncThread(Protocol):
    """Where sync code of the user's runs; `_execute.Executor` in a worker."""

    def on_sync_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]: ...


class Instances:
    """Belongs to the main loop's thread; constructors run on the sync thread."""

    def __init__(self, executor: SyncThread) -> None:
        self._executor = executor
        self._made: OrderedDict[tuple[str, str], asyncio.Future[Any]] = OrderedDict()

    def ready(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | None:
        """The object if it exists already and nothing went wrong."""
        key = (name, _digest(args, kwargs))
        future = self._made.get(key)
        if future is None or not future.done():
            return None
        self._made.move_to_end(key)
        return future.result()

    async def get(self, name: str, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The object, constructed by the first who asks. Raises what the constructor raises; the next caller tries again."""
        key = (name, _digest(args, kwargs))
        future = self._made.get(key)
        if future is None:
            future = self._executor.on_sync_thread(lambda: kind(*args, **kwargs))
            future.add_done_callback(lambda done: self._forget_failed(key, done))
            self._made[key] = future
            while len(self._made) > INSTANCES_MAX:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        # Shielded: one caller's cancellation must not take the object from the others.
        return await asyncio.shield(future)

    def _forget_failed(self, key: tuple[str, str], done: asyncio.Future[Any]) -> None:
        if (done.cancelled() or done.exception() is not None) and self._made.get(key) is done:
            del self._made[key]


def _digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if not args and not kwargs:
        return _NO_ARGUMENTS
    ordered = sorted(kwargs.items())
    try:
        # Element by element: pickling them together would depend on which of them share objects.
        parts = [pickle.dumps(value, _payload.PICKLE_PROTOCOL) for value in (*args, *ordered)]
    except Exception:
        parts = [_payload.dump_bytes((args, ordered))]
    digest = hashlib.sha256()
    for part in (str(len(args)).encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
