"""How each form of CALL is answered: results and exceptions → whole frames, in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tetra_rp import _payload
from tetra_rp._http import Response
from tetra_rp._payload import Buffer
from tetra_rp._worker import _encoding, _envelope, _failures, _frames, _responses, _streams
from tetra_rp._worker._encoding import NotSerializable
from tetra_rp._worker._streams import Stream, is_generator


class JsonReply:
    """`json`."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer]:
        return (_frames.small(_frames.RESULT, call_id, b"", _encoding.to_json(value)),)

    def error(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        return (_frames.small(_frames.ERROR, call_id, _failures.error_header(error), b""),)

    def cancelled(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        return (_frames.small(_frames.ERROR, call_id, _failures.cancelled_header(error), b""),)


class JobReply(JsonReply):
    """`job` in plain JSON: what a generator yields is sent as it comes."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer] | Stream:  # type: ignore[override]
        return _streams.lines(value) if is_generator(value) else super().result(call_id, value)


# Types that are JSON and nothing else: the usual results, known without looking closer.
_PLAIN = frozenset((dict, list, str, int, float, bool, type(None)))


class RouteReply(JsonReply):
    """`route`: results become HTTP bodies; framework responses and HTTP exceptions keep their status."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer] | Stream:  # type: ignore[override]
        if type(value) in _PLAIN:
            return (_frames.small(_frames.RESULT, call_id, b"", _encoding.to_json(value)),)
        if is_generator(value):
            return Stream(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return (_frames.small(_frames.RESULT, call_id, b'{"content_type":"application/octet-stream"}', bytes(value)),)
        if _responses.is_response(value):
            return _responses.write(call_id, value)
        return (_frames.small(_frames.RESULT, call_id, b"", _encoding.to_json(value)),)

    def error(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        status = exception_status(error)
        if status is not None:
            try:
                body = _encoding.to_json({"detail": error.detail})  # type: ignore[attr-defined]
                pairs = [(str(name), str(text)) for name, text in (getattr(error, "headers", None) or {}).items()]
                return _responses.write(call_id, Response(body, status, pairs, "application/json"))
            except NotSerializable as refused:
                error = refused
        return super().error(call_id, error)


class PickleReply(JsonReply):
    """`pickle`: the bare value, large buffers uncopied."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer]:
        _encoding.refuse_generator(value)
        try:
            pieces = _payload.dump(value)
        except Exception as error:
            raise NotSerializable(
                f"the result ({type(value).__name__}) cannot be pickled: {error}"
            ) from error
        size = sum(map(len, pieces))
        return (_frames.prefix(_frames.RESULT, call_id, 0, size), *pieces)


class EnvelopeReply(JsonReply):
    """`job` in the reference's pickled envelope: failures are results too."""

    def result(self, call_id: int, value: Any) -> Sequence[Buffer]:
        return document(call_id, None, {"success": True, "result": _envelope.encode(value)})

    def error(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        trace = "" if isinstance(error, _failures.CallRefused) else _failures.traceback_text(error)
        return document(call_id, None, {"success": False, "error": _failures.message(error), "traceback": trace})


JSON = JsonReply()
JOB = JobReply()
ROUTE = RouteReply()
PICKLE = PickleReply()
ENVELOPE = EnvelopeReply()


def document(call_id: int, status: int | None, value: Any) -> Sequence[Buffer]:
    """RESULT with a JSON body of the shim's own making. Raises `NotSerializable`."""
    header = b"" if status is None else b'{"status":%d,"content_type":"application/json"}' % status
    return (_frames.small(_frames.RESULT, call_id, header, _encoding.to_json(value)),)


def exception_status(error: BaseException) -> int | None:
    """The status that an `HTTPException` of Starlette or FastAPI asks for.

    Known by its shape: importing them would be a dependency.
    """
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and 300 <= status <= 599 and hasattr(error, "detail") else None
