"""Modules of the reference that projects import public names from: `from tetra_rp.core.resources import KeyValuePair`.

Each holds every public name; only the paths matter. Made when the first of them is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType

import tetra_rp
from tetra_rp._resources import ServerlessResource

NAMES = (
    "api", "resources", "resources.base", "resources.constants", "resources.cpu", "resources.datacenter",
    "resources.environment", "resources.gpu", "resources.live_serverless", "resources.load_balancer_sls_resource",
    "resources.network_volume", "resources.resource_manager", "resources.serverless", "resources.serverless_cpu",
    "resources.template",
)  # fmt: skip


def provide(parent: ModuleType) -> None:
    """Puts the modules below `parent`, which is the package `core`, and the names into it too."""
    public = {name: getattr(tetra_rp, name) for name in tetra_rp.__all__}
    public["ServerlessResource"] = ServerlessResource
    vars(parent).update(public)
    for name in NAMES:
        full_name = f"{parent.__name__}.{name}"
        module = ModuleType(full_name, __doc__)
        vars(module).update(public)
        module.__path__ = []
        sys.modules[full_name] = module
        holder, _, own_name = full_name.rpartition(".")
        setattr(sys.modules[holder], own_name, module)
