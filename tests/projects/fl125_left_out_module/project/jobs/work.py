import generated_tables
from tetra_rp import CpuLiveServerless, remote

from . import models
from .build import tables
from vendor.client import connect
import torch

try:
    from .speedups import fast
except ImportError:
    fast = None

prep = CpuLiveServerless(name="prep")


@remote(prep)
def run(text: str):
    from jobs import late
    return models, tables, connect, torch, late
