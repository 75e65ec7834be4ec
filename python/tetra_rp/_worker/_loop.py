"""The worker's life: START, load, READY, calls, STOP or end of file."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import traceback
from typing import Any

from tetra_rp import _context
from tetra_rp._worker import _failures, _frames, _load, _output, _streams, _terminate
from tetra_rp._worker._calls import Calls
from tetra_rp._worker._channel import EXIT_FAILED, EXIT_OK, Channel, keep_from_forks, take_standard_input
from tetra_rp._worker._execute import Executor
from tetra_rp._worker._frames import Body
from tetra_rp._worker._instances import Instances
from tetra_rp._worker._outgoing import WorkerTransport
from tetra_rp._worker._tasks import new_event_loop


class Worker:
    """Wires the parts together and takes frames apart by kind."""

    def __init__(self, channel: Channel, start: dict[str, Any]) -> None:
        self._channel = channel
        self.loop = new_event_loop()
        self._executor = Executor(self.loop, channel, start.get("sync_threads", 1))
        self._instances = Instances(self._executor)
        self._transport = WorkerTransport(self.loop, channel)
        self._calls = Calls({}, self._executor, self._instances, channel)
        self._stopped = self.loop.create_future()
        self._whole_requests: list[str] = []
        self.termination = _terminate.Termination(self.loop, self._executor.silence)
        own = frozenset(entry["name"] for entry in start["functions"]) if start.get("asgi") is None else frozenset()
        _context.replace(
            _context.Context(self._transport, resource=start["resource"], own=own, construct=self._construct)
        )

    def take(self, targets: dict[str, _load.Target]) -> None:
        """The functions that calls may name."""
        self._whole_requests = [name for name, target in targets.items() if _load.needs_head(target)]
        self._calls = Calls(targets, self._executor, self._instances, self._channel)

    def deliver(self, kind: int, call_id: int, header: bytes, body: Body) -> None:
        if kind == _frames.CALL:
            self._calls.call(call_id, header, body)
        elif kind in (_frames.RESULT, _frames.ERROR):
            self._transport.answered(kind, call_id, header, body)
        elif kind == _frames.CANCEL:
            self._executor.cancel(call_id)
        elif kind == _frames.CREDIT:
            self._executor.grant(call_id, _streams.credit_of(body))
        elif kind == _frames.STOP:
            self._calls.stopping = True
            if not self._stopped.done():
                self._stopped.set_result(None)
        else:
            raise _frames.ProtocolError(f"unexpected frame of kind {kind}")

    async def serve(self) -> None:
        """READY, then calls until STOP; returns when all are answered."""
        self.open()
        # What is loaded stays: the garbage collector need not look through the user's libraries again and again.
        gc.freeze()
        self.ready()
        await self.stopped()
        await self._executor.finish()

    def open(self) -> None:
        self._channel.attach(self.loop, self.deliver)

    def ready(self, port: int | None = None) -> None:
        document = _frames.ready_header()
        if port is not None:
            document["port"] = port
        if self._whole_requests:
            document["whole_requests"] = self._whole_requests
        self._channel.send(_frames.small(_frames.READY, 0, json.dumps(document).encode(), b""))

    async def stopped(self) -> None:
        await asyncio.shield(self._stopped)

    async def drained(self) -> None:
        await self._channel.drained()

    async def unwind(self) -> None:
        self._channel.flush()
        await self._executor.unwind()

    async def _construct(self, name: str, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """For proxies of own classes: the same objects that calls from outside use."""
        getting = self._instances.get(name, kind, args, kwargs)
        if asyncio.get_running_loop() is self.loop:
            return await getting
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(getting, self.loop))


def main() -> None:
    # The terminal sends Ctrl+C to the whole foreground group; the gateway decides when its workers end.
    # A handler, not SIG_IGN, which programs started by user code would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    _output.mark()
    gateway = take_standard_input()
    channel = Channel(gateway)
    kind, _, _, body = channel.receive_one()
    if kind != _frames.START:
        sys.exit(f"expected START, got a frame of kind {kind}")
    start = json.loads(bytes(body))
    targets = None
    if start.get("template"):
        from tetra_rp._worker import _template

        forked = _template.serve(gateway, start)
        channel, targets = Channel(keep_from_forks(forked.gateway)), forked.targets
    channel.watch_for_end()
    worker = Worker(channel, start)
    asyncio.set_event_loop(worker.loop)
    try:
        _load.extend_path(start)
        if start.get("asgi"):
            from tetra_rp._worker._asgi import serve_application

            serving = serve_application(worker, start["asgi"])
        else:
            worker.take(targets or _load.load(start))
            serving = worker.serve()
        worker.termination.listen()
        _run(worker, serving)
    except BaseException as error:
        if not worker.termination.is_asked:
            _fail(channel, error)
    if worker.termination.is_asked:
        worker.loop.run_until_complete(worker.unwind())
        sys.exit(_terminate.EXIT_TERMINATED)
    _end(worker)


def _run(worker: Worker, serving: Any) -> None:
    """Runs to the end of `serving` or to SIGTERM, whatever exceptions user code lets fly through the loop."""
    loop = worker.loop
    task = loop.create_task(serving)
    task.add_done_callback(_stop)
    while not (task.done() or worker.termination.is_asked):
        try:
            loop.run_forever()
        except BaseException as error:
            if worker.termination.is_asked:
                break
            traceback.print_exc()
            if not isinstance(error, (SystemExit, KeyboardInterrupt)):  # these come from tasks that user code started
                # Of the loop's own: its descriptors were closed, and it would fail so for ever.
                sys.stderr.flush()
                os._exit(EXIT_FAILED)
    task.remove_done_callback(_stop)
    if task.done():
        task.result()


def _stop(task: asyncio.Task[None]) -> None:
    task.get_loop().stop()


def _fail(channel: Channel, error: BaseException) -> None:
    """FAILED, and the end with status 1."""
    traceback.print_exception(type(error), error, error.__traceback__)
    channel.send_now([_frames.small(_frames.FAILED, 0, _failures.failed_header(error), b"")])
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(EXIT_FAILED)


def _end(worker: Worker) -> None:
    loop = worker.loop
    loop.run_until_complete(worker.drained())
    loop.run_until_complete(loop.shutdown_asyncgens())
    sys.exit(EXIT_OK)
