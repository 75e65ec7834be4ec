"""Fields of declarative objects: default, check, and messages that name field, value and what is allowed.

A few dozen lines instead of a validation library, so that importing the package stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Check = Callable[[str, Any], Any]
    """Field (`LiveServerless.workersMin`), received value → stored value. Raises TypeError or ValueError."""

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "<required>"})()


class Field:
    """One declared field. Lists and dicts as defaults are copied for each object."""

    def __init__(self, default: Any, check: Check) -> None:
        self.default = default
        self.check = check

    def make_default(self) -> Any:
        default = self.default
        return type(default)(default) if isinstance(default, (list, dict)) else default


def field(default: Any, check: Check) -> Any:
    """A `Field`, typed so that type checkers see the value and not the declaration."""
    return Field(default, check)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?`, or a list of what is known."""
    import difflib  # only on the way to an error

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        lowered = {candidate.lower(): candidate for candidate in names}
        close = [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)]
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(names))}"


def integer(least: int, most: int | None = None, *, unit: str = "") -> Check:
    allowed = f"{least} or more" if most is None else f"{least} to {most}"
    allowed = f"{allowed} {unit}".rstrip()

    def check(field: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{field} is a whole number ({allowed}), not {_shown(value)}")
        if value < least or (most is not None and value > most):
            raise ValueError(f"{field} is {value}; allowed: {allowed}")
        return value

    return check


def text(*, empty: bool = True) -> Check:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{field} is text, not {_shown(value)}")
        if not empty and not value.strip():
            raise ValueError(f"{field} is empty")
        return value

    return check


def boolean(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{field} is True or False, not {_shown(value)}")
    return value


def member(*kinds: type[Enum]) -> Check:
    """A member of one of the enumerations, or its value."""

    def check(field: str, value: Any) -> Enum:
        if isinstance(value, kinds):
            return value
        for kind in kinds:
            try:
                return kind(value)
            except ValueError:
                continue
        names = [str(item.value) for kind in kinds for item in kind]
        hint = did_you_mean(value, names) if isinstance(value, str) else f"known are: {', '.join(names)}"
        raise ValueError(f"{field}: {_shown(value)} is no {_names(kinds)}; {hint}")

    return check


def members(*kinds: type[Enum], least: int = 0) -> Check:
    one = member(*kinds)

    def check(field: str, value: Any) -> tuple[Enum, ...]:
        if not isinstance(value, (list, tuple)):
            hint = f"; write [{value}]" if isinstance(value, kinds) else ""
            raise TypeError(f"{field} is a list of {_names(kinds)}, not {_shown(value)}{hint}")
        if len(value) < least:
            raise ValueError(f"{field} is empty; it needs {least} {_names(kinds)} at least")
        return tuple(one(f"{field}[{at}]", item) for at, item in enumerate(value))

    return check


def one_or_more(inner: Check) -> Check:
    """A list for `inner`, or one item of it by itself."""

    def check(field: str, value: Any) -> tuple[Any, ...]:
        checked: tuple[Any, ...] = inner(field, list(value) if isinstance(value, (list, tuple)) else [value])
        return checked

    return check


def texts(field: str, value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not all(isinstance(x, str) for x in value):
        raise TypeError(f"{field} is a list of text, not {_shown(value)}")
    return list(value)


def text_map(field: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} is a dict of text to text, not {_shown(value)}")
    for name, item in value.items():
        if not isinstance(name, str) or not isinstance(item, str):
            raise TypeError(f"{field}[{name!r}] is {_shown(item)}; names and values are text, so write {str(item)!r}")
    return dict(value)


def mapping(field: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} is a dict, not {_shown(value)}")
    return dict(value)


def instance(kind: type) -> Check:
    def check(field: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"{field} is a {kind.__name__}, not {_shown(value)}")
        return value

    return check


def optional(inner: Check) -> Check:
    return lambda field, value: None if value is None else inner(field, value)


def _names(kinds: tuple[type[Enum], ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


def _shown(value: Any) -> str:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return f"{shown} ({type(value).__name__})"
