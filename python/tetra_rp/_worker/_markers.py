"""FastAPI's `Query()`, `Path()`, `Header()`, `Cookie()`, `Body()`, `Form()` and `File()`: as a default, or inside `Annotated`.

Known by their shape. Whoever writes them has imported FastAPI; importing it here would be a dependency.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

_SOURCES = {"Query", "Path", "Header", "Cookie", "Body", "Form", "File"}
_NOT_HERE = {"Depends", "Security"}
_NOTHING: Any = inspect.Parameter.empty


class Marker(NamedTuple):
    source: str
    """`query`, `path`, `header`, `cookie`, `body`, `form` or `file`."""
    key: str
    """The name in the request."""
    annotation: Any
    """With the marker's limits, for pydantic."""
    required: bool
    fallback: Callable[[], Any] | None
    """What the function is given where the request has nothing; it cannot be left to the function's own default, which is the marker."""
    is_embedded: bool


def find(name: str, annotation: Any, default: Any) -> Marker | None:
    """Raises `TypeError` for what only FastAPI itself can do."""
    marker = default if _kind(default) else None
    if marker is None and typing.get_origin(annotation) is Annotated:
        marker = next((known for known in typing.get_args(annotation)[1:] if _kind(known)), None)
    if marker is None:
        return None
    kind = _kind(marker)
    if kind in _NOT_HERE:
        raise TypeError(f"parameter {name}: {kind}() works in a FastAPI application only; serve one as main:app, or call the function")
    assert kind is not None
    key = getattr(marker, "validation_alias", None) or marker.alias
    if not isinstance(key, str):
        key = name.replace("_", "-") if kind == "Header" and getattr(marker, "convert_underscores", True) else name
    if default is not marker:
        required, fallback = default is _NOTHING, None
    else:
        required, fallback = bool(marker.is_required()), lambda: marker.get_default(call_default_factory=True)
    limited = annotation if default is not marker else Annotated[annotation, marker]
    return Marker(kind.lower(), key, limited, required, None if required else fallback, bool(getattr(marker, "embed", False)))


def _kind(value: Any) -> str | None:
    for base in type(value).__mro__:
        if base.__module__ == "fastapi.params" and base.__name__ in _SOURCES | _NOT_HERE:
            return base.__name__
    return None
