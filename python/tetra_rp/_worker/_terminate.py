"""SIGTERM, the gateway's last word but one: what runs is unwound, so that `finally` and `atexit` of user code have their turn.

SIGKILL follows two seconds later (`TERMINATE_GRACE` in `process.rs`), whatever came of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

# For functions to unwind; what is left of the two seconds is for `atexit`.
UNWIND_SECONDS_MAX = 1.0
EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """Flies through the code that runs when SIGTERM comes."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


class Termination:
    """Of one worker. `silence` is called first, in the signal handler: answers that the end brings about are not answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, silence: Callable[[], None]) -> None:
        self.is_asked = False
        self._loop = loop
        self._silence = silence

    def listen(self) -> None:
        """To be called when the user's code is loaded: a handler that it has set decides. Main thread."""
        own = signal.getsignal(signal.SIGTERM)
        if own is signal.SIG_DFL:
            act: Callable[[int, FrameType | None], Any] = _terminate
        elif callable(own):
            act = own
        else:  # user code ignores it, or has a handler that is not Python's
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            try:
                act(number, frame)
            except BaseException:
                self._begin()
                raise

        signal.signal(signal.SIGTERM, on_signal)

        def restore() -> None:
            if signal.getsignal(signal.SIGTERM) is on_signal:
                signal.signal(signal.SIGTERM, own)

        if hasattr(os, "register_at_fork"):
            _around_forks(restore)

    def _begin(self) -> None:
        self.is_asked = True
        self._silence()
        signal.signal(signal.SIGTERM, _ignore)
        # Should the exception be caught on its way, the loop still ends with this turn.
        self._loop.stop()


async def unwind(threads: list[threading.Thread]) -> None:
    """Ends tasks and what runs on the sync threads by exceptions, and waits for them, but not for ever."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNWIND_SECONDS_MAX
    for thread in threads:
        _raise_in(thread)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=until - loop.time())
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), max(0, until - loop.time()))
    except asyncio.TimeoutError:
        pass
    for thread in threads:
        thread.join(max(0, until - loop.time()))


def _around_forks(restore: Callable[[], None]) -> None:
    """Processes that user code forks end as any other would; a signal that comes too early for that waits."""
    masks = threading.local()

    def block() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def unblock_child() -> None:
        restore()
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=unblock_child)


def _raise_in(thread: threading.Thread) -> None:
    """At its next step in Python; a call into C that does not come back is not reached."""
    try:
        from ctypes import c_ulong, py_object, pythonapi
    except ImportError:  # a Python that was built without
        return
    pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread.ident or 0), py_object(Terminated))


def _terminate(*_: Any) -> None:
    raise Terminated


def _ignore(*_: Any) -> None:
    return None
