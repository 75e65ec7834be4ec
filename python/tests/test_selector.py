"""Waiting without falling asleep at once."""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tetra_rp._worker import _selector

needs_epoll = pytest.mark.skipif(not hasattr(selectors, "EpollSelector"), reason="no epoll here")


class Clock:
    """Stands for `time` and `os`: every look at the clock and every yield take their time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.yields = 0

    def perf_counter(self) -> float:
        return self.now

    def sched_yield(self) -> None:
        self.yields += 1
        self.now += 0.00003


class Polls:
    """Stands for the parent's `select`: notes the timeouts and sleeps for them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.timeouts: list[float | None] = []
        self.events_after: float | None = None  # when something happens, on the clock

    def __call__(self, _: Any, timeout: float | None = None) -> list[Any]:
        self.timeouts.append(timeout)
        if self.events_after is not None and self.clock.now >= self.events_after:
            return ["event"]
        if timeout != 0:
            assert timeout is not None or self.events_after is not None, "sleeps forever"
            until = self.clock.now + timeout if timeout is not None else self.events_after
            self.clock.now = until if self.events_after is None else min(until, self.events_after)
            return ["event"] if self.clock.now == self.events_after else []
        return []


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_selector, "time", clock)
    monkeypatch.setattr(_selector, "os", clock)
    return clock


@pytest.fixture
def polls(clock, monkeypatch) -> Polls:
    polls = Polls(clock)
    monkeypatch.setattr(selectors.EpollSelector, "select", lambda self, timeout=None: polls(self, timeout))
    return polls


@pytest.fixture
def selector(clock) -> Iterator[Any]:
    with _selector.AwakeSelector() as selector:
        selector._busy_share = 0.0
        yield selector


@needs_epoll
class TestLooking:
    def test_what_happens_soon_is_seen_without_sleeping(self, polls, selector, clock):
        polls.events_after = clock.now + _selector.AWAKE_SECONDS / 2
        assert selector.select(None) == ["event"]
        assert set(polls.timeouts) == {0}
        assert clock.yields > 0

    def test_then_it_sleeps(self, polls, selector, clock):
        polls.events_after = clock.now + 5
        assert selector.select(None) == ["event"]
        assert polls.timeouts[-1] is None
        assert set(polls.timeouts[:-1]) == {0}

    @pytest.mark.parametrize("timeout", [0.00001, 0.0001, 0.0002, 0.001, 3.0])
    def test_looking_counts_towards_the_timeout(self, polls, selector, clock, timeout):
        entered = clock.now
        assert selector.select(timeout) == []
        assert timeout - 1e-9 <= clock.now - entered <= timeout + _selector.AWAKE_SECONDS

    @pytest.mark.parametrize("timeout", [0, -1.0])
    def test_no_time_is_no_time(self, polls, selector, clock, timeout):
        entered = clock.now
        assert selector.select(timeout) == []
        assert (clock.now, polls.timeouts) == (entered, [0])

    def test_the_busy_leave_the_processor_to_others(self, polls, selector, clock):
        selector._busy_share = 1.0
        assert selector.select(0.5) == []
        assert (polls.timeouts, clock.yields) == ([0.5], 0)

    def test_idling_makes_it_look_again_and_work_makes_it_stop(self, polls, selector, clock):
        selector._busy_share = 1.0
        for _ in range(50):
            selector.select(0.01)
        assert clock.yields > 0
        for _ in range(100):
            clock.now += 1.0  # a turn's work
            selector.select(0.01)
        before = clock.yields
        selector.select(0.01)
        assert clock.yields == before

    def test_a_clock_that_stands_still_is_no_error(self, polls, selector, clock):
        polls.events_after = clock.now
        assert selector.select(None) == ["event"]


@needs_epoll
def test_real_sockets_and_timers():
    ours, theirs = socket.socketpair()
    with ours, theirs, _selector.AwakeSelector() as selector:
        selector._busy_share = 0.0
        key = selector.register(ours, selectors.EVENT_READ)
        entered = time.perf_counter()
        assert selector.select(0.02) == []
        assert time.perf_counter() - entered >= 0.019
        sending = threading.Timer(0.02, theirs.send, (b"x",))
        sending.start()
        assert selector.select(30) == [(key, selectors.EVENT_READ)]
        sending.join()


def fresh_module() -> Any:
    specification = importlib.util.spec_from_file_location("fresh_selector", _selector.__file__)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_without_epoll_it_is_the_platforms_own(monkeypatch):
    monkeypatch.delattr(selectors, "EpollSelector", raising=False)
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.PollSelector)
    monkeypatch.delattr("os.sched_yield", raising=False)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    with fresh_module().new_selector() as selector:
        assert type(selector) is selectors.PollSelector


@needs_epoll
@pytest.mark.parametrize(("processors", "kind"), [({0}, selectors.EpollSelector), ({0, 1}, _selector.AwakeSelector)])
def test_alone_on_one_processor_nobody_is_kept_from_running(monkeypatch, processors, kind):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: processors)
    with _selector.new_selector() as selector:
        assert type(selector) is kind


def test_loops_of_workers_run_on_it():
    from tetra_rp._worker._tasks import new_event_loop

    loop = new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.sleep(0.001, "slept")) == "slept"
    finally:
        loop.close()
