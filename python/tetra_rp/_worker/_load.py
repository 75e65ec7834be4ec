"""START → the user's code, imported, as targets that calls can run."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from tetra_rp._worker import _tasks
from tetra_rp._worker._binding import Binding


class LoadError(Exception):
    """The user's code does not have what the manifest says."""


class Method:
    """Something to call: a function, or a method to be looked up on an instance."""

    __slots__ = ("binding", "call", "is_async", "name", "never_waits")

    def __init__(self, name: str, function: Callable[..., Any], *, of_class: bool = False) -> None:
        self.name = name
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        # An instance may have something else under a method's name.
        self.never_waits = not of_class and _tasks.never_waits(function)
        self.binding = Binding(function, skip_first=of_class and inspect.isfunction(function))
        self.call = by_keyword(function, self.binding)


class Target:
    """A function entry of START with its object: `method` for a function, `methods` for a class."""

    __slots__ = ("constructor", "http_method", "method", "methods", "name", "original")

    def __init__(self, name: str, original: Any, http_method: str) -> None:
        self.name = name
        self.original = original
        self.http_method = http_method
        self.method: Method | None = None
        self.methods: dict[str, Method] = {}
        self.constructor: Binding | None = None
        if isinstance(original, type):
            self.methods = _methods(original)
            self.constructor = Binding(original)
        else:
            self.method = Method(name, original)

    @property
    def is_class(self) -> bool:
        return self.constructor is not None

    @property
    def sole_method(self) -> str | None:
        """The method to call when none is named: the only public one, else `__call__`."""
        public = [name for name in self.methods if name != "__call__"]
        if len(public) == 1:
            return public[0]
        return "__call__" if not public and "__call__" in self.methods else None


def needs_head(target: Target) -> bool:
    """Its route's calls must say what the request was beside path, query and body."""
    method = target.method
    if method is None and target.sole_method is not None:
        method = target.methods[target.sole_method]
    return method is not None and method.binding.needs_head


def load(start: dict[str, Any]) -> dict[str, Target]:
    """Imports the modules of START's functions. Raises whatever the user's modules raise, and `LoadError`."""
    targets: dict[str, Target] = {}
    for entry in start["functions"]:
        module = importlib.import_module(entry["module"])
        try:
            found = getattr(module, entry["name"])
        except AttributeError:
            raise LoadError(
                f"module {entry['module']} has no {entry['name']} once imported, although its source declares it"
            ) from None
        original = getattr(found, "__flash_original__", found)
        targets[entry["name"]] = Target(entry["name"], original, entry.get("http_method") or "POST")
    return targets


def load_variable(reference: str) -> Any:
    """`module:variable` → the object."""
    module_name, _, variable = reference.partition(":")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, variable)
    except AttributeError:
        raise LoadError(f"module {module_name} has no {variable} once imported") from None


def extend_path(start: dict[str, Any]) -> None:
    """Where the user's modules are found: the import root first, folders of nested projects after everything else."""
    if start["import_root"] not in sys.path:
        sys.path.insert(0, start["import_root"])
    for folder in start.get("import_paths") or ():
        if folder not in sys.path:
            sys.path.append(folder)


def by_keyword(function: Callable[..., Any], binding: Binding) -> Callable[..., Any]:
    """`function`, callable with keywords alone even where parameters are positional-only."""
    names = binding.positional_only
    if not names:
        return function

    def call(**arguments: Any) -> Any:
        return function(*[arguments.pop(name) for name in names if name in arguments], **arguments)

    return call


def _methods(kind: type) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for name in dir(kind):
        if name.startswith("_") and name != "__call__":
            continue
        if name == "__call__" and not any("__call__" in vars(base) for base in kind.__mro__[:-1]):
            continue  # what `dir` shows is the metaclass's
        stored = inspect.getattr_static(kind, name)
        if isinstance(stored, (staticmethod, classmethod)):
            found[name] = Method(name, getattr(kind, name))
        elif inspect.isfunction(stored):
            found[name] = Method(name, stored, of_class=True)
    return found
