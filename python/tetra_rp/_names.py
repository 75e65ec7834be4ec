"""`python -m tetra_rp._names` prints every public name that declarations are written with, as one JSON document.

`flash` reads declarations from source text with tables of its own; a test compares them with this.
"""

from __future__ import annotations

import inspect
import json
from enum import Enum
from typing import Any

import tetra_rp
from tetra_rp import _endpoint, _remote
from tetra_rp._declared import Declared
from tetra_rp._resources import ServerlessResource


def names() -> dict[str, Any]:
    """`enumerations` (member → value), `resources` and `nested` (class → fields), parameters of `Endpoint` and `remote`."""
    public = [getattr(tetra_rp, name) for name in tetra_rp.__all__]
    classes = [found for found in public if inspect.isclass(found)]
    resources = [found for found in classes if issubclass(found, ServerlessResource)]
    nested = [found for found in classes if issubclass(found, Declared) and found not in resources]
    return {
        "enumerations": {
            kind.__name__: {member.name: member.value for member in kind} for kind in classes if issubclass(kind, Enum)
        },
        "resources": {kind.__name__: sorted(kind._fields) for kind in resources},
        "nested": {kind.__name__: sorted(kind._fields) for kind in nested},
        "endpoint": sorted(_endpoint.PARAMETERS),
        "remote": sorted(_remote.PARAMETERS),
    }


if __name__ == "__main__":
    print(json.dumps(names(), indent=1, sort_keys=True))
