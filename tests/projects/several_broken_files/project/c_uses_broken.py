from tetra_rp import remote
from a_syntax import nothing_there
@remote(nothing_there)
def quiet(): ...
