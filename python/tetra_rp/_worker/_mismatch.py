"""What does not fit an annotation, as pydantic tells it."""

from __future__ import annotations

import typing
from typing import Any

from tetra_rp._http import UploadFile


class Detail(typing.NamedTuple):
    """One entry of a 422's `detail`; `loc` is relative to the value."""

    type: str
    loc: tuple[Any, ...]
    msg: str
    input: Any

    def under(self, *outer: Any) -> Detail:
        return self._replace(loc=(*outer, *self.loc))

    def document(self) -> dict[str, Any]:
        return {"type": self.type, "loc": list(self.loc), "msg": self.msg, "input": _shown(self.input)}


class Mismatch(Exception):
    """The value is not what the annotation says."""

    def __init__(self, *details: Detail) -> None:
        super().__init__("; ".join(detail.msg for detail in details))
        self.details = details


def fail(kind: str, msg: str, value: Any) -> typing.NoReturn:
    raise Mismatch(Detail(kind, (), msg, value))


def _shown(value: Any) -> Any:
    """A file is named, not repeated."""
    if isinstance(value, UploadFile):
        return {"filename": value.filename, "size": value.size}
    return [_shown(item) for item in value] if isinstance(value, list) else value
