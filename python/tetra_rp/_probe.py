"""`python -m tetra_rp._probe` imports a project's modules and tells what they decorate, to be compared with what the scan read.

Standard input: `{"root": "/abs/path", "modules": [{"file": "workers/gpu.py", "module": "workers.gpu"}, …]}`.
Standard output: `{"registrations": [see registration()], "failures": [{"file", "module", "error", "traceback"}]}`.

Decorators only record, as ever; calls of decorated functions and of endpoints are refused. What user code prints goes to
standard error, and no bytecode is written.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from tetra_rp import _context, _remote
from tetra_rp._worker import _failures

CONCURRENCY_OF_HTTP = 1000
CONCURRENCY_OF_QUEUE = 1


class _Module(NamedTuple):
    file: str
    name: str


class Probe:
    """Imports modules of one project, one after the other."""

    def __init__(self, root: str, modules: list[dict[str, str]]) -> None:
        self._root = os.path.realpath(root)
        self._modules = [_Module(each["file"], each["module"]) for each in modules]
        self._by_path = {os.path.join(self._root, *each.file.split("/")): each for each in self._modules}
        self._found: dict[str, dict[str, Any]] = {}
        self._failures: list[dict[str, str]] = []

    def run(self) -> dict[str, Any]:
        """What the program prints. Changes this process's import system for good."""
        for folder in ("src", ""):
            sys.path.insert(0, os.path.join(self._root, folder).rstrip(os.sep))
        _remote.observer = self._observe
        for module in self._modules:
            try:
                with self._neighbours(module):
                    self._import(module)
            except BaseException as error:  # SystemExit and KeyboardInterrupt of one module end no other
                self._fail(module, error)
        _remote.observer = None
        registrations = sorted(self._found.values(), key=lambda each: str(each["file"]))
        return {"registrations": registrations, "failures": self._failures}

    def _observe(self, target: Any, config: dict[str, Any]) -> None:
        path = os.path.realpath(getattr(sys.modules.get(target.__module__), "__file__", None) or "")
        if not path.startswith(self._root + os.sep) or "site-packages" in path:
            return  # a library's own
        file = PurePosixPath(Path(path).relative_to(self._root)).as_posix()
        module = self._by_path.get(path, _Module(file, target.__module__))
        found = registration(target, config, module.file, module.name)
        # A module that is imported under a second name, or again after a failure, decorates the same things again.
        self._found.setdefault(json.dumps(found), found)

    def _import(self, module: _Module) -> None:
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module.name}.".startswith(f"{error.name}."):
                raise
            self._import_file(module)  # the name says something else to Python: `a.b.py`

    def _import_file(self, module: _Module) -> None:
        path = os.path.join(self._root, *module.file.split("/"))
        spec = importlib.util.spec_from_file_location(module.name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{module.file} is no Python file")
        made = importlib.util.module_from_spec(spec)
        sys.modules[module.name] = made
        try:
            spec.loader.exec_module(made)
        except BaseException:
            sys.modules.pop(module.name, None)
            raise

    @contextlib.contextmanager
    def _neighbours(self, module: _Module) -> Iterator[None]:
        """While a module is imported, its folder and those above are import roots of last resort, as in a worker.

        What was found that way is forgotten: in another folder the same name is another module.
        """
        folders = [folder for folder in PurePosixPath(module.file).parents if folder.parts and folder.parts != ("src",)]
        paths = [os.path.join(self._root, *folder.parts) for folder in folders]
        known = set(sys.modules)
        sys.path.extend(paths)
        try:
            yield
        finally:
            for path in paths:
                with contextlib.suppress(ValueError):
                    sys.path.remove(path)
            if paths:
                for name in set(sys.modules) - known:
                    if self._is_nickname(name, sys.modules[name]):
                        del sys.modules[name]

    def _is_nickname(self, name: str, module: ModuleType) -> bool:
        """The module is the project's, and its name says another place than the one where it is."""
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not path.startswith(self._root + os.sep):
            return False
        listed = self._by_path.get(path)
        if listed is not None:
            return listed.name != name
        parts = Path(path).relative_to(self._root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        names = {".".join(parts), ".".join(parts[1:] if parts[:1] == ("src",) else parts)}
        return name not in names

    def _fail(self, module: _Module, error: BaseException) -> None:
        message = _failures.message(error)
        kind = _failures.type_name(type(error))
        self._failures.append(
            {
                "file": module.file,
                "module": module.name,
                "error": f"{kind}: {message}" if message else kind,
                "traceback": _failures.traceback_text(error.with_traceback(_below_import(error.__traceback__))),
            }
        )


def registration(target: Any, config: dict[str, Any], file: str, module: str) -> dict[str, Any]:
    """One decorated function or class, in the manifest's words."""
    resource = config["resource_config"]
    original = inspect.unwrap(target)
    return {
        "function": target.__name__,
        "module": module,
        "file": file,
        "is_class": isinstance(target, type),
        "is_async": inspect.iscoroutinefunction(original) or inspect.isasyncgenfunction(original),
        "resource": {
            "name": resource.name,
            "class": type(resource).__name__,
            "kind": "load_balanced" if resource.is_load_balanced else "queue",
            "spec": _specification(resource, config.get("endpoint")),
        },
        "method": config["method"] if resource.is_load_balanced else None,
        "path": config["path"] if resource.is_load_balanced else None,
        "dependencies": config["dependencies"] or [],
        "system_dependencies": config["system_dependencies"] or [],
    }


def _specification(resource: Any, endpoint: Any) -> dict[str, Any]:
    """The fields of the manifest's `spec` that decorators decide, with its names and normalised values."""
    concurrency = endpoint.max_concurrency if endpoint is not None else None
    declared = endpoint.volumes if endpoint is not None else filter(None, (resource.networkVolume,))
    volumes = [volume.name or volume.id for volume in declared]
    if not volumes and resource.networkVolumeId:
        volumes = [resource.networkVolumeId]
    environment = list(resource.env)
    if not environment and resource.template is not None:
        environment = [pair["key"] for pair in resource.template.env]
    spec = {
        "workersMin": resource.workersMin,
        "workersMax": resource.workersMax,
        "idleTimeout": resource.idleTimeout,
        "executionTimeoutMs": resource.executionTimeoutMs,
        "scalerType": resource.scalerType.value,
        "scalerValue": resource.scalerValue,
        "maxConcurrency": concurrency or (CONCURRENCY_OF_HTTP if resource.is_load_balanced else CONCURRENCY_OF_QUEUE),
        "env": sorted(set(environment)),
        "volumes": volumes,
    }
    if hasattr(resource, "instanceIds"):
        spec["instanceIds"] = _selection(resource._given.get("instanceIds"))
    else:
        given = resource._given
        # Settled from `gpuIds` where only that is given.
        spec["gpus"] = _selection(given.get("gpus") or (resource.gpus if given.get("gpuIds") else None))
        spec["gpuCount"] = resource.gpuCount
    return spec


def _selection(chosen: tuple[Any, ...] | None) -> list[str]:
    """The values as they were chosen: a resource itself puts all there are in the place of "any"."""
    return list(dict.fromkeys(item.value for item in chosen or ())) or ["any"]


def _below_import(found: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this file and of the import system at its top."""
    at = found
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if name != __file__ and not name.startswith("<frozen importlib") and name != importlib.__file__:
            return at
        at = at.tb_next
    return found


def main() -> None:
    request = json.load(sys.stdin)
    # The result has a way out of its own; whatever user code writes to standard output goes to standard error.
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    faulthandler.enable()  # says which module's import a crash was in
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    sys.argv = ["flash-probe"]
    sys.dont_write_bytecode = True
    _context.calls_refused = "modules are only being looked at"
    document = Probe(request["root"], request["modules"]).run()
    sys.stdout.flush()
    sys.stderr.flush()
    with result:
        json.dump(document, result, sort_keys=True)
    # Threads and exit handlers of user code have no say any more.
    os._exit(0)


if __name__ == "__main__":
    # Under its own name, so that user code that imports it finds the one that runs.
    from tetra_rp._probe import main as run

    run()
