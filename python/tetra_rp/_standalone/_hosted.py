"""One resource of a packed project, whose code this process runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from tetra_rp import _context
from tetra_rp._transport import HttpTransport
from tetra_rp._worker import _execute, _load, _targets
from tetra_rp._worker._instances import Instances
from tetra_rp._worker._load import LoadError, Method, Target
from tetra_rp._worker._targets import Targets

MANIFEST_NAME = "flash_manifest.json"
RESOURCE_VARIABLE = "FLASH_RESOURCE_NAME"


class Hosted:
    """Making one says who this process is; the user's modules are imported by `load`, or by the first call."""

    def __init__(self, root: str | Path, name: str) -> None:
        """`root` is the folder of the manifest and the project's modules. Raises `LoadError`."""
        self.root = Path(root).resolve()
        self.name = name
        manifest = _read_manifest(self.root / MANIFEST_NAME)
        resource = manifest["resources"].get(name)
        if resource is None:
            known = ", ".join(sorted(manifest["resources"])) or "none"
            raise LoadError(f"{self.root / MANIFEST_NAME} has no resource {name!r}; it has: {known}")
        self.functions: list[dict[str, Any]] = resource["functions"]
        self.routes: dict[str, str] = (manifest.get("routes") or {}).get(name, {})
        self.max_concurrency = int((resource.get("spec") or {}).get("maxConcurrency") or 1)
        self._targets: Targets | None = None
        self._threads = concurrent.futures.ThreadPoolExecutor(1, "flash-sync")
        self._instances = Instances(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        os.environ[RESOURCE_VARIABLE] = name
        self._extend_path([*(each.get("file", "") for each in self.functions), *resource.get("files", ())])
        own = frozenset(each["name"] for each in self.functions)
        _context.replace(_context.Context(HttpTransport(), resource=name, own=own, construct=self._construct))

    def load(self) -> Targets:
        """Imports the user's modules, once. Raises whatever they raise, and `LoadError`."""
        if self._targets is None:
            self._targets = _load.load({"functions": self.functions})
        return self._targets

    async def call(
        self,
        target: Target,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {}),
        *,
        by_keyword: bool = True,
    ) -> Any:
        """Async functions run on the loop that asks, sync ones on one thread, one at a time. Raises what they raise."""
        self._loop = asyncio.get_running_loop()
        if target.is_class:
            instance = await self._instances.get(target.name, target.original, *made_with)
            function = _targets.bound(instance, method, by_keyword=by_keyword)
        else:
            function = method.call if by_keyword else target.original
        if method.is_async:
            outcome = function(*args, **kwargs)
            return await outcome if inspect.isawaitable(outcome) else outcome
        result = await self.on_sync_thread(lambda: function(*args, **kwargs))
        return await result if inspect.isawaitable(result) else result

    def on_sync_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """See `Executor.on_sync_thread`, whose place this takes for `Instances`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        self._threads.submit(_execute.run_and_settle, loop, future, lambda: context.run(function))
        return future

    def _extend_path(self, files: list[str]) -> None:
        """As for a worker: the import root first, then its `src`, and the folders of nested projects after everything else."""
        root, source = str(self.root), str(self.root / "src")
        _load.extend_path({"import_root": root, "import_paths": _folders(self.root, files)})
        if source not in sys.path and os.path.isdir(source):
            sys.path.insert(sys.path.index(root) + 1, source)

    async def _construct(self, name: str, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """For proxies of own classes: the same objects that calls from outside use."""
        getting = self._instances.get(name, kind, args, kwargs)
        if self._loop is None or asyncio.get_running_loop() is self._loop:
            return await getting
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(getting, self._loop))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LoadError(f"cannot read the manifest {path}: {error.strerror}") from None
    except ValueError as error:
        raise LoadError(f"the manifest {path} is not JSON: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("resources"), dict):
        raise LoadError(f"{path} is not a manifest of Flash: it has no resources")
    return manifest


def _folders(root: Path, files: list[str]) -> list[str]:
    """Folders between the root and the files, the nearest first; a project inside another imports its siblings from there."""
    found: dict[str, None] = {}
    for file in files:
        for folder in PurePosixPath(file).parents:
            if folder.parts and not folder.is_absolute() and ".." not in folder.parts and folder.parts != ("src",):
                found[str(root / folder)] = None
    return list(found)
