from tetra_rp import remote
from pkg.config import two
@remote(two)
def second(): ...
