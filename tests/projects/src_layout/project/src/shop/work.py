from tetra_rp import remote
from shop.config import prep
@remote(prep)
def work(): ...
