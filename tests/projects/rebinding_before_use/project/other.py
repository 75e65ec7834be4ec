from tetra_rp import remote
from work import config
@remote(config)
def three(): ...
