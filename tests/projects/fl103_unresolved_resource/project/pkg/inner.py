from tetra_rp import remote
from .missing import config as gone
@remote(gone)
def missing_beside(): ...
