"""The functions of a resource by name, and what of them a call means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tetra_rp._worker import _load
from tetra_rp._worker._failures import INVALID_ARGUMENTS, UNKNOWN_FUNCTION, CallRefused
from tetra_rp._worker._load import Method, Target

Targets = dict[str, Target]


def find(targets: Targets, name: Any) -> Target:
    """Raises `CallRefused`."""
    target = targets.get(name) if isinstance(name, str) else None
    if target is None:
        known = ", ".join(targets) or "none"
        if name is None:
            raise CallRefused(
                INVALID_ARGUMENTS, 422, f"the input must name one of several functions as function_name: {known}"
            )
        raise CallRefused(UNKNOWN_FUNCTION, 404, f"no function {name!r} in this resource; it has: {known}")
    return target


def find_method(target: Target, name: str | None) -> Method:
    """The function itself, or the class's method of that name (the sole public one if there is no name).

    Raises `CallRefused`.
    """
    if target.method is not None:
        return target.method
    wanted = target.sole_method if name is None else name
    method = target.methods.get(wanted) if isinstance(wanted, str) else None
    if method is None:
        known = ", ".join(target.methods) or "none"
        if name is None:
            raise CallRefused(INVALID_ARGUMENTS, 422, f"say which method of {target.name} to call: {known}")
        raise CallRefused(UNKNOWN_FUNCTION, 404, f"{target.name} has no public method {name!r}; it has: {known}")
    return method


def only(targets: Targets) -> Target | None:
    return next(iter(targets.values())) if len(targets) == 1 else None


def bound(instance: Any, method: Method, *, by_keyword: bool) -> Callable[..., Any]:
    """The method of an instance, callable with keywords alone if `by_keyword`."""
    function = getattr(instance, method.name)
    if by_keyword and method.binding.positional_only:
        return _load.by_keyword(function, method.binding)
    return function  # type: ignore[no-any-return]
