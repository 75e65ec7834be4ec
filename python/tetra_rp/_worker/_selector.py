"""Waiting for the socket without falling asleep at once.

Waking a sleeping processor takes longer than most calls, above all on virtual machines. So after something has
happened the loop looks again for a short while, giving the processor to whoever wants it, before it sleeps.
"""

from __future__ import annotations

import os
import selectors
import time
from typing import Any

AWAKE_SECONDS = 0.0002
# Of the time. A worker that is busier than this leaves the processor to the gateway and its callers.
BUSY_SHARE_MAX = 0.5
_SMOOTHING = 0.05

_HAS_EPOLL = hasattr(selectors, "EpollSelector")


def new_selector() -> selectors.BaseSelector:
    """For the worker's main loop; the platform's usual one where there is no epoll."""
    return AwakeSelector() if _HAS_EPOLL and _is_parallel() else selectors.DefaultSelector()


def _is_parallel() -> bool:
    """Whether somebody else can run while this process looks."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return usable > 1


class AwakeSelector(selectors.EpollSelector if _HAS_EPOLL else selectors.DefaultSelector):  # type: ignore[misc]
    """As its parent, but sleeps only when nothing has happened for `AWAKE_SECONDS`, unless there is much to do."""

    def __init__(self) -> None:
        super().__init__()
        self._returned = time.perf_counter()
        self._busy_share = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        poll: Any = super().select
        if timeout is not None and timeout <= 0:
            return poll(0)  # type: ignore[no-any-return]
        now = time.perf_counter
        entered = now()
        if self._busy_share > BUSY_SHARE_MAX:
            events = poll(timeout)
        else:
            events = self._look(poll, timeout, entered)
        returned = now()
        if returned > self._returned:
            share = (entered - self._returned) / (returned - self._returned)
            self._busy_share += (share - self._busy_share) * _SMOOTHING
            self._returned = returned
        return events  # type: ignore[no-any-return]

    def _look(self, poll: Any, timeout: float | None, entered: float) -> list[tuple[selectors.SelectorKey, int]]:
        give_way, now = os.sched_yield, time.perf_counter
        until = entered + (AWAKE_SECONDS if timeout is None else min(AWAKE_SECONDS, timeout))
        while not (events := poll(0)):
            looked = now()
            if looked >= until:
                # What was spent looking counts: a timer must not fire later for it.
                return poll(None if timeout is None else max(0, timeout - (looked - entered)))  # type: ignore[no-any-return]
            give_way()
        return events  # type: ignore[no-any-return]
