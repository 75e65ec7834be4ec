"""Files of forms as arguments: `tetra_rp.http.UploadFile`, or Starlette's and FastAPI's where user code is annotated with them."""

from __future__ import annotations

import typing
from typing import Any

from tetra_rp._http import UploadFile

_STARLETTES = ("starlette.datastructures", "fastapi.datastructures")


def is_upload(annotation: Any) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, UploadFile) or _is_starlettes(annotation))


def takes_upload(annotation: Any) -> bool:
    """The annotation is a class of files, or holds one: `list[UploadFile]`, `Optional[UploadFile]`."""
    return is_upload(annotation) or any(takes_upload(inner) for inner in typing.get_args(annotation))


def content_of(value: Any) -> Any:
    """A file where bytes are wanted."""
    return value.file.getvalue() if isinstance(value, UploadFile) else value


def as_kind(kind: Any, upload: UploadFile) -> Any:
    """The file as an object of the annotated class."""
    if not _is_starlettes(kind):
        return upload if type(upload) is kind else kind(content_of(upload), upload.filename, upload.headers.pairs)
    from starlette.datastructures import Headers

    raw = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in upload.headers.pairs]
    return kind(upload.file, size=upload.size, filename=upload.filename, headers=Headers(raw=raw))


def _is_starlettes(annotation: type) -> bool:
    return any(kind.__name__ == "UploadFile" and kind.__module__ in _STARLETTES for kind in annotation.__mro__)
