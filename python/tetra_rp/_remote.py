"""`@remote`: a function or class that runs wherever its resource is.

Decoration only records; where a call runs is decided when it is made, by the process's context:
own resource → here, any other → through the transport.
"""

from __future__ import annotations

import functools

from tetra_rp import _context
from tetra_rp._fields import did_you_mean, optional, texts
from tetra_rp._resources import ServerlessResource

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tetra_rp._endpoint import Endpoint

    Observer = Callable[[Any, dict[str, Any]], None]
    """The function or class as the user wrote it, and its `__remote_config__`."""

HTTP_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")

PARAMETERS = (
    "resource_config", "dependencies", "system_dependencies", "accelerate_downloads", "local", "method", "path",
)

# Told of everything that is decorated; set by the probe.
observer: Observer | None = None


def remote(
    resource_config: ServerlessResource | Endpoint,
    dependencies: list[str] | None = None,
    system_dependencies: list[str] | None = None,
    accelerate_downloads: bool = True,
    local: bool = False,
    method: str | None = None,
    path: str | None = None,
    **unknown: Any,
) -> Callable[[Any], Any]:
    """Decorates a function or class to run on `resource_config`; an `Endpoint` will do as well.

    `dependencies` are pip requirements and `system_dependencies` apt packages of the worker's environment.
    `method` (GET, POST, PUT, DELETE, PATCH) and `path` (from `/` on) are the route on a load-balanced resource.
    With `local=True` the object itself is returned and runs in the calling process.

    A decorated function is awaited, whatever it was before. Of a decorated class, the methods are.
    """
    for name in unknown:
        raise TypeError(f"remote() has no argument {name!r}; {did_you_mean(name, PARAMETERS)}")
    config = {
        "resource_config": resource_config,
        "method": method,
        "path": path,
        "dependencies": optional(texts)("remote() argument dependencies", dependencies),
        "system_dependencies": optional(texts)("remote() argument system_dependencies", system_dependencies),
    }

    def decorate(target: Any) -> Any:
        check_target(target, "@remote(...)")
        if hasattr(resource_config, "_flash_decorate"):
            return resource_config._flash_decorate(target, config, local=local)
        check_route(target, resource_config, method, path)
        if local:
            target.__remote_config__ = config
            return target
        return make_remote(target, config)

    return decorate


def make_remote(target: Any, config: dict[str, Any]) -> Any:
    """What stands for the function or class under its name from now on."""
    if observer is not None:
        observer(target, config)
    if isinstance(target, type):
        from tetra_rp._remote_class import RemoteClass

        return RemoteClass(target, config)
    return _remote_function(target, config)


def _remote_function(function: Callable[..., Any], config: dict[str, Any]) -> Callable[..., Any]:
    name = function.__name__
    signature = LazySignature(name, function)

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        context = _context.current()
        if name in context.own:
            return await run_here(function, args, kwargs)
        signature.check(args, kwargs)
        return await context.transport.call(name, {"args": args, "kwargs": kwargs})

    call.__remote_config__ = config  # type: ignore[attr-defined]
    call.__flash_original__ = function  # type: ignore[attr-defined]
    return call


async def run_here(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls a sync or async function without holding up the event loop."""
    import asyncio
    import inspect

    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    result = await asyncio.to_thread(function, *args, **kwargs)
    return await result if inspect.isawaitable(result) else result


class LazySignature:
    """Refuses arguments that cannot fit before they travel; worked out at the first call, since `inspect` loads slowly."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function
        self._bind: Callable[..., Any] | None = None

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises `TypeError`."""
        if self._bind is None:
            self._bind = self._find_bind()
        try:
            self._bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None

    def _find_bind(self) -> Callable[..., Any]:
        import inspect

        try:
            return inspect.signature(self._function).bind
        except ValueError:  # something written in C tells no signature
            return lambda *args, **kwargs: None


def check_target(target: Any, decorator: str) -> None:
    """Raises `TypeError` for what cannot be decorated."""
    if not callable(target) or not hasattr(target, "__name__"):
        raise TypeError(f"{decorator} decorates a function or class, not {target!r}")
    if isinstance(target, (staticmethod, classmethod)):
        raise TypeError(f"{decorator} decorates functions and whole classes, not methods")
    if hasattr(target, "__flash_original__") or (not isinstance(target, type) and hasattr(target, "__remote_config__")):
        raise TypeError(f"{target.__name__} is decorated with {decorator} twice")


def check_route(target: Any, resource: Any, method: str | None, path: str | None) -> None:
    """Raises `TypeError` and `ValueError`; warns of a route on a queue."""
    name = target.__name__
    if not isinstance(resource, ServerlessResource):
        hint = " (the class; make one with a name)" if isinstance(resource, type) else ""
        raise TypeError(
            f"@remote on {name}: resource_config is {resource!r}{hint}; "
            'it has to be a resource, for example LiveServerless(name="model")'
        )
    kind = type(resource).__name__
    if not resource.is_load_balanced:
        if method is not None or path is not None:
            import warnings

            warnings.warn(
                f"@remote on {name}: method={method!r} and path={path!r} are ignored, because {kind} is a queue resource",
                stacklevel=3,
            )
        return
    if not method or not path:
        raise ValueError(
            f"@remote on {name}: {kind} is load-balanced and needs method and path, got method={method!r}, path={path!r}; "
            f'for example @remote(api, method="POST", path="/{name}")'
        )
    if method not in HTTP_METHODS:
        hint = f"; did you mean {method.upper()!r}?" if str(method).upper() in HTTP_METHODS else ""
        raise ValueError(f"@remote on {name}: method is {method!r}; allowed: {', '.join(HTTP_METHODS)}{hint}")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"@remote on {name}: path is {path!r}; it has to start with '/'")
