"""Objects of decorated classes: one per class and constructor arguments, the least recently used making room for new ones."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakValueDictionary

from tetra_rp import _payload

# Each may hold a model. What makes room is not told: it goes when the last call that runs on it has ended.
INSTANCES_MAX = 16

_NO_ARGUMENTS = ""

_Key = tuple[str, str]


class SyncThread(Protocol):
    """Where sync code of the user's runs; `_execute.Executor` in a worker."""

    def on_sync_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]: ...


class Instances:
    """Belongs to the main loop's thread; constructors run on the sync thread."""

    def __init__(self, executor: SyncThread) -> None:
        self._executor = executor
        self._made: OrderedDict[_Key, asyncio.Future[Any]] = OrderedDict()
        # Made room, and some call still runs on them: never two objects where there should be one.
        self._leaving: WeakValueDictionary[_Key, Any] = WeakValueDictionary()

    def ready(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | None:
        """The object if it exists already and nothing went wrong."""
        key = (name, _digest(args, kwargs))
        future = self._known(key)
        return future.result() if future is not None and future.done() else None

    async def get(self, name: str, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The object, constructed by the first who asks. Raises what the constructor raises; the next caller tries again."""
        key = (name, _digest(args, kwargs))
        future = self._known(key)
        if future is None:
            future = self._executor.on_sync_thread(lambda: kind(*args, **kwargs))
            future.add_done_callback(lambda done: self._forget_failed(key, done))
            self._keep(key, future)
        # Shielded: one caller's cancellation must not take the object from the others.
        return await asyncio.shield(future)

    def _known(self, key: _Key) -> asyncio.Future[Any] | None:
        future = self._made.get(key)
        if future is not None:
            self._made.move_to_end(key)
            return future
        leaving = self._leaving.pop(key, None)
        if leaving is None:
            return None
        future = asyncio.get_running_loop().create_future()
        future.set_result(leaving)
        self._keep(key, future)
        return future

    def _keep(self, key: _Key, future: asyncio.Future[Any]) -> None:
        self._made[key] = future
        while len(self._made) > INSTANCES_MAX:
            # One that is still being made has callers that wait for it.
            oldest = next((key for key, future in self._made.items() if future.done() and not future.exception()), None)
            if oldest is None:
                return
            made = self._made.pop(oldest).result()
            with contextlib.suppress(TypeError):  # its class has `__slots__` and no room for this
                self._leaving[oldest] = made

    def _forget_failed(self, key: _Key, done: asyncio.Future[Any]) -> None:
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
    import hashlib  # most are made without arguments

    digest = hashlib.sha256()
    for part in (str(len(args)).encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
