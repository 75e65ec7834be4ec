"""Jobs: `handler({"input": …})`, as runpod's worker loop calls it."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from pathlib import Path
from typing import Any

from tetra_rp._standalone._hosted import Hosted
from tetra_rp._worker import _encoding, _envelope, _failures, _jobs
from tetra_rp._worker._binding import Unprocessable


class QueueHandler:
    """Called with a job inside an event loop it gives an awaitable, elsewhere the job's output itself."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, job: dict[str, Any]) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._answer_here(job)
        return self.answer(job)

    async def answer(self, job: dict[str, Any]) -> Any:
        """The output of a job.

        An envelope of pickles gives `{"success": True, "result": base64}`, plain JSON the function's result as JSON. What goes
        wrong is `{"success": False, "error": text, "traceback": text}` in both. Raises `ValueError` only for a job without input.
        """
        given = job.get("input")
        if given is None:
            raise ValueError('the job has no input; it has to be an object, for example {"input": {"text": "hi"}}')
        try:
            targets = self.hosted.load()
            envelope = _jobs.recognise(targets, given)
            if envelope is None:
                found = _jobs.read(targets, given)
                result = await self.hosted.call(*found)
                return json.loads(_encoding.to_json(result))
            found = _jobs.open_envelope(targets, envelope)
            result = await self.hosted.call(*found, by_keyword=False)
            return {"success": True, "result": _envelope.encode(result)}
        except (Exception, SystemExit) as error:
            return _failure(error)

    def _answer_here(self, job: dict[str, Any]) -> Any:
        with self._lock:
            if self._loop is None:
                # Kept: objects that user code makes may belong to their loop.
                self._loop = asyncio.new_event_loop()
                weakref.finalize(self, self._loop.close)
            return self._loop.run_until_complete(self.answer(job))


def queue_handler(root: str | Path, name: str) -> QueueHandler:
    """The handler of the queue resource `name`, whose manifest and modules are in `root`. Raises `LoadError`.

    The modules are imported by `serve_queue`, else at the first job, whose output then tells what went wrong.
    """
    return QueueHandler(Hosted(root, name))


def _failure(error: BaseException) -> dict[str, Any]:
    is_ours = isinstance(error, (_failures.CallRefused, Unprocessable, _encoding.NotSerializable))
    text = _failures.message(error)
    if isinstance(error, Unprocessable):
        text = f"the arguments do not fit: {text}"
    return {
        "success": False,
        "error": text or _failures.type_name(type(error)),
        "traceback": "" if is_ours else _failures.traceback_text(error),
    }
