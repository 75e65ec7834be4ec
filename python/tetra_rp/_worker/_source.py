"""A function that comes as source text with its arguments, as the reference's stub of a live load-balanced endpoint sends it to `/execute`.

It is run in a namespace of its own and forgotten. Whoever may send pickles may send source: both are code.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any, NamedTuple

from tetra_rp._worker import _envelope
from tetra_rp._worker._failures import INVALID_BODY, CallRefused

# What a requirement begins with; the rest says which versions.
_REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


class Source(NamedTuple):
    """Arguments still in base64."""

    name: str
    code: str
    args: list[str]
    kwargs: dict[str, str]
    dependencies: list[str]

    def run(self) -> Any:
        """What the function gives: of an async one its coroutine. Raises whatever it raises, and what its text or arguments are wrong with."""
        missing = _missing(self.dependencies)
        if missing:
            raise ModuleNotFoundError(
                f"not installed in this endpoint: {', '.join(missing)}. Name them in the project, in its requirements or in "
                f"@remote(dependencies=[…]) of a function of this resource, and `flash run` installs them"
            )
        args, kwargs = _envelope.decode(self.args, self.kwargs)
        namespace: dict[str, Any] = {"__name__": "flash_execute"}
        exec(compile(self.code, f"<{self.name}>", "exec"), namespace)  # noqa: S102
        function = namespace.get(self.name)
        if not callable(function):
            raise NameError(f"the code does not define a function {self.name}")
        return function(*args, **kwargs)


def read(given: Any) -> Source:
    """Raises `CallRefused`."""
    if isinstance(given, dict) and isinstance(given.get("input"), dict):
        given = given["input"]
    if not isinstance(given, dict):
        raise _refused("it is no object")
    if given.get("execution_type", "function") != "function":
        raise _refused("execution_type is not function: objects of classes belong to queue endpoints")
    name, code = given.get("function_name"), given.get("function_code")
    if not name or not isinstance(name, str) or not code or not isinstance(code, str):
        raise _refused("function_name and function_code are needed")
    args, kwargs = given.get("args") or [], given.get("kwargs") or {}
    texts = [*args, *kwargs.values()] if isinstance(args, list) and isinstance(kwargs, dict) else [None]
    dependencies = given.get("dependencies") or []
    if not all(isinstance(text, str) for text in texts):
        raise _refused("args is an array, and kwargs an object, of pickles in base64")
    if not isinstance(dependencies, list) or not all(isinstance(text, str) for text in dependencies):
        raise _refused("dependencies is an array of requirements")
    return Source(name, code, args, kwargs, dependencies)


def _refused(why: str) -> CallRefused:
    return CallRefused(INVALID_BODY, 400, f"this is not a function to be executed: {why}")


def _missing(dependencies: list[str]) -> list[str]:
    """Those that are not there in any version: which one is asked for is not looked at."""
    return [requirement for requirement in dependencies if not _is_installed(requirement)]


def _is_installed(requirement: str) -> bool:
    found = _REQUIREMENT_NAME.match(requirement)
    try:
        return found is not None and bool(importlib.metadata.distribution(found[1]))
    except importlib.metadata.PackageNotFoundError:
        return False
