import os
import sys

from tetra_rp import LiveServerless

if sys.version_info >= (3, 10):
    from tetra_rp import remote
else:
    from runpod_flash import remote

if os.getenv("STAGE", "dev") == "production":
    from production import gpu
    from production import *
else:
    from development import gpu
    from development import *

if os.getenv("SIZE", "small") == "small":

    def make():
        return LiveServerless(name="small")

else:

    def make():
        return LiveServerless(name="large")


@remote(gpu)
def infer(x: int) -> int:
    return x


@remote(cpu)
def clean(x: int) -> int:
    return x


@remote(make())
def sized() -> int:
    return 1
