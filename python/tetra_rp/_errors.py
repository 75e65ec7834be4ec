"""What can go wrong, as exceptions.

    FlashError
    ├── NotRunningError            no mothership to talk to (also a ConnectionError)
    ├── TransportError             the connection broke before an answer came (also a ConnectionError)
    ├── WaitTimeoutError           nothing came within the time that the caller gave (also a TimeoutError)
    └── CallError                  a call was answered with an error; carries `code` (FL…) and `status` (HTTP)
        ├── RemoteExecutionError   FL305  the remote function raised
        ├── WorkerDiedError        FL304  the process that ran the call ended
        ├── SerializationError     FL306, FL311  arguments or result cannot cross the wire
        ├── UnknownFunctionError   FL307  nobody serves a function of that name
        ├── UnauthorizedError      FL308  the token is missing or wrong
        ├── OverloadedError        FL309  no worker became free in time
        ├── RemoteTimeoutError     FL310  the call ran longer than the resource allows (also a TimeoutError)
        ├── WorkerStartError       FL312  the endpoint's code cannot be loaded
        ├── UnreachableError       FL316, FL208, FL315  the endpoint does not answer (also a ConnectionError)
        └── ArgumentsError         FL318  the arguments do not fit the function (also a TypeError)

Wrong declarations (`@remote(...)`, resource objects) raise the built-in `TypeError` and `ValueError`.
"""

from __future__ import annotations


class FlashError(Exception):
    """Base of everything that this package raises on purpose, except for wrong declarations."""


class NotRunningError(FlashError, ConnectionError):
    """There is no running project to send the call to."""


class TransportError(FlashError, ConnectionError):
    """The connection to the mothership failed before a complete answer came."""


class WaitTimeoutError(FlashError, TimeoutError):
    """What the caller waited for did not come within the time it gave."""


class CallError(FlashError):
    """A call that was answered with an error.

    `code` is one of Flash's stable codes (`FL307`), `status` the HTTP status, `detail` the explanation.
    """

    def __init__(self, detail: str, *, code: str = "", status: int = 500, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would be lost by the default, which replays `args` alone.
        return (_restore, (type(self), self.args, self.__dict__.copy()))

    def __str__(self) -> str:
        text = f"{self.code}: {self.detail}" if self.code else self.detail
        return f"{text} (hint: {self.hint})" if self.hint else text


class RemoteExecutionError(CallError):
    """User code raised on the other side.

    `remote_type` is the qualified class name (`ValueError`, `package.module.Class`), `remote_message` its text,
    `remote_traceback` the traceback as it was printed there ("" if unknown).
    """

    def __init__(
        self,
        remote_message: str,
        *,
        remote_type: str = "Exception",
        remote_traceback: str = "",
        code: str = "FL305",
        status: int = 500,
        hint: str | None = None,
    ) -> None:
        detail = f"{remote_type}: {remote_message}" if remote_type else remote_message
        super().__init__(detail, code=code, status=status, hint=hint)
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        if not self.remote_traceback:
            return self.detail
        return f"{self.detail}\n\nRemote traceback:\n{self.remote_traceback.rstrip()}"


class WorkerDiedError(CallError):
    """The process that ran the call ended before it answered."""


class SerializationError(CallError):
    """Arguments or a result cannot cross the wire."""


class UnknownFunctionError(CallError):
    """Nobody serves a function of that name."""


class UnauthorizedError(CallError):
    """The token is missing or wrong."""


class OverloadedError(CallError):
    """No worker became free in time."""


class RemoteTimeoutError(CallError, TimeoutError):
    """The call ran longer than its resource's `executionTimeoutMs`."""


class WorkerStartError(CallError):
    """The endpoint's code cannot be loaded."""


class UnreachableError(CallError, ConnectionError):
    """The endpoint that owns the function does not answer."""


class ArgumentsError(CallError, TypeError):
    """The arguments do not fit the function."""


BY_CODE: dict[str, type[CallError]] = {
    "FL208": UnreachableError,
    "FL304": WorkerDiedError,
    "FL306": SerializationError,
    "FL307": UnknownFunctionError,
    "FL308": UnauthorizedError,
    "FL309": OverloadedError,
    "FL310": RemoteTimeoutError,
    "FL311": SerializationError,
    "FL312": WorkerStartError,
    "FL315": UnreachableError,
    "FL316": UnreachableError,
    "FL318": ArgumentsError,
}


def from_answer(
    code: str,
    status: int,
    detail: str,
    *,
    hint: str | None = None,
    exception: dict[str, str] | None = None,
) -> CallError:
    """The exception for an error answer; `exception` has `type`, `message`, `traceback` when user code raised."""
    if code == "FL305":
        found = exception or {}
        return RemoteExecutionError(
            found.get("message", detail),
            remote_type=found.get("type", "Exception"),
            remote_traceback=found.get("traceback", ""),
            status=status,
            hint=hint,
        )
    return BY_CODE.get(code, CallError)(detail, code=code, status=status, hint=hint)


def _restore(kind: type[CallError], arguments: tuple[object, ...], state: dict[str, object]) -> CallError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error
