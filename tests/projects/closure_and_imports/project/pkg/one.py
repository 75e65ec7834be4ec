from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np, json
from tetra_rp import remote
from .config import one
if TYPE_CHECKING:
    import pandas
    from . import typing_only
try:
    import orjson
except ImportError:
    orjson = None
@remote(one)
def first():
    import torch
    from pkg.inner import deep
    import importlib
    importlib.import_module("pkg.dynamic")
