"""Response objects → head and body: those of `tetra_rp.http`, and Starlette's and FastAPI's, known by their shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from tetra_rp._http import Response
from tetra_rp._payload import Buffer
from tetra_rp._worker import _encoding, _frames
from tetra_rp._worker._encoding import NotSerializable
from tetra_rp._worker._streams import Stream

FILE_PIECE_SIZE_BYTES = 64 * 1024

_BYTES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
# What the gateway says itself.
_OF_THE_BODY = frozenset(("content-type", "content-length", "transfer-encoding", "connection"))


def is_response(value: Any) -> bool:
    """Ours, or a web framework's."""
    if isinstance(value, Response):
        return True
    return hasattr(value, "status_code") and (
        hasattr(value, "body") or hasattr(value, "body_iterator") or (hasattr(value, "raw_headers") and hasattr(value, "path"))
    )


def write(call_id: int, value: Any) -> Sequence[Buffer] | Stream:
    """RESULT's frame, or the stream, of a response object. Raises `NotSerializable`."""
    own = isinstance(value, Response)
    status, content_type, pairs, body = _own(value) if own else _foreign(value)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise NotSerializable(f"the response has the status {status!r}, which is no final one")
    header = _encoding.to_json({"status": status, "content_type": content_type, **({"headers": pairs} if pairs else {})})
    if isinstance(body, bytes):
        return (_frames.small(_frames.RESULT, call_id, header, body),)
    return Stream(body, header)


def parts(value: Any) -> tuple[int, str, bytes]:
    """Status, content type and body where nothing can be streamed. Raises `NotSerializable`."""
    status, content_type, _, body = _own(value) if isinstance(value, Response) else _foreign(value)
    if not isinstance(body, bytes):
        raise NotSerializable("the response is a stream, and streamed results are not supported here; return it whole")
    return status, content_type or _BYTES, body


def _own(response: Response) -> tuple[int, str, list[tuple[str, str]], Any]:
    content = response.content
    if content is None:
        body, usual = b"", ""
    elif isinstance(content, (bytes, bytearray, memoryview)):
        body, usual = bytes(content), _BYTES
    elif isinstance(content, str):
        body, usual = content.encode(), _TEXT
    elif hasattr(content, "__anext__") or hasattr(content, "__next__"):
        body, usual = content, _BYTES
    elif hasattr(content, "__aiter__"):
        body, usual = content.__aiter__(), _BYTES
    else:
        body, usual = _encoding.to_json(content), "application/json"
    content_type = response.media_type or usual
    pairs = []
    for name, value in response.header_pairs:
        if name.lower() == "content-type":
            content_type = value
        elif name.lower() not in _OF_THE_BODY:
            pairs.append((name, value))
    return response.status_code, _with_charset(content_type), pairs, body


def _foreign(response: Any) -> tuple[int, str, list[tuple[str, str]], Any]:
    content_type = ""
    pairs = []
    for name, value in _raw_headers(response):
        if name.lower() == "content-type":
            content_type = value
        elif name.lower() not in _OF_THE_BODY:
            pairs.append((name, value))
    body: Any
    if hasattr(response, "body_iterator"):
        body = response.body_iterator
        body = body if hasattr(body, "__anext__") else body.__aiter__()
    elif hasattr(response, "body"):
        body = bytes(response.body)
    else:
        body = _pieces_of(open(response.path, "rb"))  # noqa: SIM115 - now, so that a missing file is an answer of its own
    return response.status_code, content_type or ("" if body == b"" else _BYTES), pairs, body


def _raw_headers(response: Any) -> list[tuple[str, str]]:
    raw = getattr(response, "raw_headers", None)
    if raw is not None:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    return list(getattr(response, "headers", {}).items())


def _pieces_of(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(FILE_PIECE_SIZE_BYTES):
            yield piece


def _with_charset(content_type: str) -> str:
    """Text says its encoding: what `str.encode` made is UTF-8."""
    if content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type
