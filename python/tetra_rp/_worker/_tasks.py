"""Starting a task so that it runs at once up to its first suspension, which answers most calls without a turn of the loop."""

from __future__ import annotations

import asyncio
import dis
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tetra_rp._worker import _selector

# What `await`, `async for` and `async with` compile to, asynchronous comprehensions included.
_WAITS = frozenset(("GET_AWAITABLE", "GET_ANEXT", "BEFORE_ASYNC_WITH", "SETUP_ASYNC_WITH"))


def never_waits(function: Callable[..., Any]) -> bool:
    """Whether it is an async function without any `await`: one that ends where it begins, and needs no task for it."""
    code = getattr(function, "__code__", None)
    if code is None or not inspect.iscoroutinefunction(function):
        return False
    return all(instruction.opname not in _WAITS for instruction in dis.get_instructions(code))


if sys.version_info >= (3, 12):

    def new_event_loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_selector.new_selector())

    def start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Must be called on the loop's thread, outside any task."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    class _EagerLoop(asyncio.SelectorEventLoop):
        """A task asks its loop to call its first step soon; this loop can hand that step out instead.

        Python 3.12 has eager tasks of its own.
        """

        _first_step: list[tuple[Callable[..., Any], Any]] | None = None

        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
            taken = self._first_step
            if taken is None:
                return super().call_soon(callback, *args, context=context)
            self._first_step = None
            taken.append((callback, context))
            return None

    def new_event_loop() -> asyncio.AbstractEventLoop:
        return _EagerLoop(_selector.new_selector())

    def start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Must be called on the loop's thread, outside any task."""
        taken: list[tuple[Callable[..., Any], Any]] = []
        loop._first_step = taken  # type: ignore[attr-defined]
        task = asyncio.Task(coroutine, loop=loop)
        step, context = taken[0]
        context.run(step)
        return task
