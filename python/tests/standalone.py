"""Artifacts as the build makes them: a folder with manifest, modules and a generated handler."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

QUEUE_HANDLER = '''\
"""Runs the resource {name}."""
import sys, pathlib
root = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(root)]
from tetra_rp import _standalone
handler = _standalone.queue_handler(root, "{name}")
if __name__ == "__main__":
    _standalone.serve_queue(handler)
'''

HTTP_HANDLER = '''\
"""Serves the resource {name}."""
import sys, pathlib
root = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(root)]
from tetra_rp import _standalone
app = _standalone.application(root, "{name}")
if __name__ == "__main__":
    _standalone.serve_http(app)
'''

_numbers = itertools.count()


class Artifact:
    """`functions` are the manifest's entries in short: a name, or a dict that overrides the defaults; with `path` they are
    routes. `spec` are fields of the resource's specification."""

    def __init__(self, root: Path, functions: list[str | dict[str, Any]], *, name: str = "mine", **spec: Any) -> None:
        self.root = root
        entries = [{"name": given, "module": "main", "file": "main.py"} if isinstance(given, str) else given for given in functions]
        entries = [{"module": "main", "file": "main.py", "is_class": False, **entry} for entry in entries]
        routes = {
            f"{entry['http_method']} {entry['http_path']}": entry["name"] for entry in entries if "http_path" in entry
        }
        manifest = {
            "version": "1.0",
            "resources": {name: {"functions": entries, "spec": spec, "files": [entry["file"] for entry in entries]}},
            "function_registry": {entry["name"]: name for entry in entries},
            "routes": {name: routes} if routes else {},
        }
        (root / "flash_manifest.json").write_text(json.dumps(manifest))
        self.file = root / f"handler_{name}.py"
        self.file.write_text((HTTP_HANDLER if routes else QUEUE_HANDLER).format(name=name))

    def load(self) -> ModuleType:
        """Imports the handler file, under a name that no other has."""
        spec = importlib.util.spec_from_file_location(f"handler_{next(_numbers)}", self.file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def forget_modules(below: Path) -> None:
    """So that the next artifact's `main` is its own."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(below)):
            del sys.modules[name]


def route(name: str, method: str, path: str, **entry: Any) -> dict[str, Any]:
    return {"name": name, "http_method": method, "http_path": path, **entry}
