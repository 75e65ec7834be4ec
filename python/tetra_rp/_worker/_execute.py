"""Running user code: async functions as tasks of the main loop, sync ones on threads (one unless told otherwise), each call answered once."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import AsyncGeneratorType
from typing import Any, NamedTuple, Protocol

from tetra_rp import _trace
from tetra_rp._payload import Buffer
from tetra_rp._worker import _output, _terminate
from tetra_rp._worker._channel import Channel
from tetra_rp._worker._streams import Stream, Streaming
from tetra_rp._worker._tasks import start_task


class Reply(Protocol):
    """How a form writes its answers: whole frames in pieces, or a stream of which the executor makes them."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer] | Stream: ...

    def error(self, call_id: int, error: BaseException) -> Sequence[Buffer]: ...

    def cancelled(self, call_id: int, error: BaseException) -> Sequence[Buffer]: ...


class _SyncCall(NamedTuple):
    call_id: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reply: Reply
    trace: _trace.TraceContext | None


class _SyncWork(NamedTuple):
    """Work of the shim's own on the sync thread; `future` belongs to the main loop."""

    function: Callable[[], Any]
    future: asyncio.Future[Any]
    context: contextvars.Context


class Executor:
    """All methods are called on the main loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel, threads_max: int = 1) -> None:
        """`threads_max`: sync functions that run at the same time."""
        self._loop = loop
        self._channel = channel
        self._threads_max = threads_max
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._streams: dict[int, Streaming] = {}
        # Sync calls that run, and those that have become tasks to be: CANCEL is kept for when they are.
        self._on_threads: set[int] = set()
        self._adopted: set[int] = set()
        # Sync calls that have not begun. Whoever pops an entry answers the call: the thread by running it, or CANCEL.
        self._waiting: dict[int, _SyncCall] = {}
        self._queue: queue.SimpleQueue[_SyncCall | _SyncWork] = queue.SimpleQueue()
        self._no_tasks: asyncio.Future[None] | None = None
        self._threads: list[threading.Thread] = []
        # The process is to end: what ends of it is no answer.
        self._is_silent = False

    def call_async(
        self, call_id: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reply: Reply
    ) -> None:
        """`function(...)` is awaited and the call answered."""
        task = start_task(self._loop, self._answer(call_id, function, args, kwargs, reply))
        if not task.done():
            self._tasks[call_id] = task

    def call_at_once(
        self, call_id: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reply: Reply
    ) -> None:
        """`function(...)` is an async function that never waits: it runs to its end here and now."""
        try:
            value = contextvars.copy_context().run(_finish, call_id, function, args, kwargs)
            pieces = reply.result(call_id, value)
            if type(pieces) is Stream:
                self.call_async(call_id, _ready, (value,), {}, reply)
                return
        except BaseException as error:
            pieces = reply.error(call_id, error)
        if not self._is_silent:
            self._channel.send_pieces(pieces)

    def call_sync(
        self, call_id: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reply: Reply
    ) -> None:
        """`function(...)` runs on a sync thread, begun after all that came before."""
        call = _SyncCall(call_id, function, args, kwargs, reply, _trace.current())
        self._waiting[call_id] = call
        self._grow()
        self._queue.put(call)

    def on_sync_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Runs `function()` on a sync thread, in a copy of this context; for what is no whole call."""
        self._grow()
        return self._enqueue(function)

    def cancel(self, call_id: int) -> None:
        """The caller is gone. What waits or awaits is stopped; a sync call that runs cannot be."""
        waiting = self._waiting.pop(call_id, None)
        if waiting is not None:
            self._channel.send_pieces(waiting.reply.cancelled(call_id, asyncio.CancelledError()))
            return
        task = self._tasks.get(call_id)
        if task is not None:
            if call_id not in self._cancelled:
                self._cancelled.add(call_id)
                task.cancel()
        elif call_id in self._on_threads or call_id in self._adopted:
            self._cancelled.add(call_id)

    def grant(self, call_id: int, count: int) -> None:
        """The gateway takes that many PARTs more."""
        streaming = self._streams.get(call_id)
        if streaming is not None:
            streaming.grant(count)

    async def finish(self) -> None:
        """When every accepted call is answered."""
        if self._threads:
            # They meet when each has nothing more to do.
            meeting = threading.Barrier(len(self._threads))
            await asyncio.gather(*[self._enqueue(meeting.wait) for _ in range(meeting.parties)])
        # A task may still be handing work to the sync thread, but it ends only after that work.
        while self._tasks:
            self._no_tasks = self._loop.create_future()
            await self._no_tasks

    def silence(self) -> None:
        """No more answers, and nothing new on the sync thread. May be called in a signal handler."""
        self._is_silent = True

    async def unwind(self) -> None:
        """Everything that runs is ended by an exception, as far as it lets itself be. After `silence`."""
        for _ in self._threads:
            self._enqueue(_nothing)
        await _terminate.unwind(self._threads)

    async def _answer(
        self, call_id: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reply: Reply
    ) -> None:
        _enter(call_id)
        try:
            value = function(*args, **kwargs)
            if type(value) is not AsyncGeneratorType:
                value = await value
            pieces = reply.result(call_id, value)
            if type(pieces) is Stream:
                pieces = await self._stream(call_id, pieces)
        except asyncio.CancelledError as error:
            gone = call_id in self._cancelled
            pieces = reply.cancelled(call_id, error) if gone else reply.error(call_id, error)
        except BaseException as error:  # SystemExit of user code must not end the worker
            pieces = reply.error(call_id, error)
        if self._is_silent:
            return
        self._channel.send_pieces(pieces)
        if self._tasks.pop(call_id, None) is not None:
            self._cancelled.discard(call_id)
            if self._no_tasks is not None and not self._tasks and not self._no_tasks.done():
                self._no_tasks.set_result(None)

    async def _stream(self, call_id: int, stream: Stream) -> Sequence[Buffer]:
        streaming = self._streams[call_id] = Streaming(call_id, stream, self._loop, self._channel)
        try:
            return await streaming.run(self.on_sync_thread, self._has_sync_work)
        finally:
            del self._streams[call_id]

    def _has_sync_work(self) -> bool:
        return not self._queue.empty()

    def _grow(self) -> None:
        if len(self._threads) < self._threads_max:
            self._threads.append(threading.Thread(target=self._run_sync, name="flash-sync", daemon=True))
            self._threads[-1].start()

    def _enqueue(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_SyncWork(function, future, contextvars.copy_context()))
        return future

    def _run_sync(self) -> None:
        take = self._queue.get
        while not self._is_silent:
            item = take()
            if type(item) is _SyncCall:
                self._run_call(item)
            else:
                self._run_work(item)  # type: ignore[arg-type]

    def _run_call(self, call: _SyncCall) -> None:
        self._on_threads.add(call.call_id)
        if self._waiting.pop(call.call_id, None) is None:
            self._on_threads.discard(call.call_id)
            return  # cancelled before it began
        try:
            # A context of its own: what one call sets in a context variable must not reach the next.
            _enter(call.call_id)
            context = contextvars.copy_context()
            if call.trace is not None:
                context.run(_trace.enter, call.trace)
            result = context.run(call.function, *call.args, **call.kwargs)
            if getattr(type(result), "__await__", None) is not None:
                self._hand_over(call, result, context)
                return
            pieces = call.reply.result(call.call_id, result)
            if type(pieces) is Stream:
                self._hand_over(call, _ready(result), context)
                return
        except BaseException as error:
            pieces = call.reply.error(call.call_id, error)
        self._on_threads.discard(call.call_id)
        self._cancelled.discard(call.call_id)
        if not self._is_silent:
            self._channel.send_now(pieces)

    def _hand_over(self, call: _SyncCall, awaitable: Awaitable[Any], context: contextvars.Context) -> None:
        self._adopted.add(call.call_id)
        self._on_threads.discard(call.call_id)
        self._loop.call_soon_threadsafe(self._adopt, call, awaitable, context=context)

    def _adopt(self, call: _SyncCall, awaitable: Awaitable[Any]) -> None:
        """A sync function gave back an awaitable or a stream, which only the main loop can see to the end."""
        self._adopted.discard(call.call_id)
        is_cancelled = call.call_id in self._cancelled
        self._cancelled.discard(call.call_id)
        self.call_async(call.call_id, lambda: awaitable, (), {}, call.reply)
        if is_cancelled:
            self.cancel(call.call_id)

    def _run_work(self, work: _SyncWork) -> None:
        run_and_settle(self._loop, work.future, lambda: work.context.run(work.function))


_enter = _output.call.set


def _finish(call_id: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an async function gives that never waits."""
    _enter(call_id)
    coroutine = function(*args, **kwargs)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("an async function without an await has waited")


async def _ready(value: Any) -> Any:
    return value


def run_and_settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], function: Callable[[], Any]) -> None:
    """On any thread: what `function()` gives or raises, to a future of the loop's."""
    try:
        result = function()
    except BaseException as error:
        if isinstance(error, StopIteration):  # cannot be raised out of a future
            error = RuntimeError(f"StopIteration: {error}")
        loop.call_soon_threadsafe(_settle, future, None, error)
    else:
        loop.call_soon_threadsafe(_settle, future, result, None)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _nothing() -> None:
    return None
