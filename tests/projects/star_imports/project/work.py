from tetra_rp import *
from again import *
@remote(base)
def work(): ...
