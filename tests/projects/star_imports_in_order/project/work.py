from tetra_rp import *

gpu = LiveServerless(name="own-gpu")
from first import *
from second import *

cpu = LiveServerless(name="own-cpu")
try:
    from third import *
except ImportError:
    from first import *


@remote(gpu)
def a() -> int:
    return 1


@remote(cpu)
def b() -> int:
    return 1


@remote(both)
def c() -> int:
    return 1


from fourth import *
