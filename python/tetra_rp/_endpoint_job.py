"""A job of a queue endpoint, from outside."""

from __future__ import annotations

from tetra_rp import _errors

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from tetra_rp._endpoint_client import Client

FINAL_STATES = frozenset(("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"))

POLL_FIRST_SECONDS = 0.25
POLL_GROWTH = 1.5
POLL_MAX_SECONDS = 5.0
STATUS_TIMEOUT_SECONDS = 30.0
# An endpoint holds back an answer without parts for some seconds, and one with parts may be long.
PARTS_TIMEOUT_SECONDS = 60.0
TRANSPORT_ERRORS_MAX = 5


class EndpointJob:
    """A job as it was last seen. `status`, `wait`, `stream` and `cancel` ask again; everything else tells what is known."""

    def __init__(self, view: dict[str, Any], client: Client) -> None:
        """`view` is what the endpoint answered: at least `id` and `status`."""
        self._view = view
        self._client = client

    @property
    def id(self) -> str:
        return str(self._view["id"])

    @property
    def output(self) -> Any:
        """What the job gave back, None until then."""
        return self._view.get("output")

    @property
    def error(self) -> str | None:
        """What went wrong, as text; None if nothing did, or is known yet."""
        error = self._view.get("error")
        if error in (None, ""):
            return None
        return error if isinstance(error, str) else repr(error)

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._view["status"] in FINAL_STATES

    async def status(self) -> str:
        """Asks and returns the state: IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED or TIMED_OUT.

        Raises `FlashError`.
        """
        await self._refresh(STATUS_TIMEOUT_SECONDS)
        return str(self._view["status"])

    async def wait(self, timeout: float | None = None) -> EndpointJob:
        """Returns the job itself when it has ended, whether well or not.

        Raises `WaitTimeoutError` after `timeout` seconds (None = wait for ever). Up to five requests in a row may fail on their
        way; an answer that is an error is raised at once.
        """
        import asyncio
        import time

        deadline = None if timeout is None else time.monotonic() + timeout
        pause = POLL_FIRST_SECONDS
        failures = 0
        while not self.done:
            remaining = STATUS_TIMEOUT_SECONDS if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise _errors.WaitTimeoutError(f"job {self.id} is {self._view['status']} after {timeout:g} s")
            try:
                await self._refresh(min(STATUS_TIMEOUT_SECONDS, remaining))
                failures = 0
            except (_errors.TransportError, _errors.NotRunningError, _errors.WaitTimeoutError):
                failures += 1
                if failures > TRANSPORT_ERRORS_MAX:
                    raise
            if self.done:
                break
            if deadline is not None:
                pause = min(pause, max(0.0, deadline - time.monotonic()))
            await asyncio.sleep(pause)
            pause = min(pause * POLL_GROWTH, POLL_MAX_SECONDS)
        return self

    async def stream(self) -> AsyncIterator[Any]:
        """What the job's generator yields, as it comes, from what nobody has read yet to its end.

        Reading takes, so an answer that is lost on its way is raised and not asked for again. After the parts of a job that
        did not complete, raises `CallError` (`RemoteTimeoutError` if it ran out of time).
        """
        import asyncio

        while True:
            try:
                status, parts = await self._client.parts(self.id, PARTS_TIMEOUT_SECONDS)
            except _errors.CallError as error:
                if error.status != 409:  # which is how the end of a cancelled job is told
                    raise
                break
            for part in parts:
                yield part
            if not parts:
                if status in FINAL_STATES:
                    break
                # For those who do not hold it back.
                await asyncio.sleep(POLL_FIRST_SECONDS)
        await self._refresh(STATUS_TIMEOUT_SECONDS)
        self._raise_unless_completed()

    async def cancel(self) -> EndpointJob:
        """Cancels the job and returns it. Raises `FlashError`."""
        self._view = {**self._view, **(await self._client.cancel(self.id))._view}
        return self

    def __repr__(self) -> str:
        return f"EndpointJob({self.id!r}, {self._view['status']})"

    def _raise_unless_completed(self) -> None:
        state = self._view["status"]
        if state == "COMPLETED":
            return
        detail = f"job {self.id} is {state}" + (f": {self.error}" if self.error else "")
        if state == "TIMED_OUT":
            raise _errors.RemoteTimeoutError(detail, code="FL310", status=504)
        if state == "CANCELLED":
            raise _errors.CallError(detail, code="FL401", status=409)
        raise _errors.CallError(detail)

    async def _refresh(self, timeout: float) -> None:
        self._view = await self._client.view(self.id, timeout)
