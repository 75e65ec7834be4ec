from tetra_rp import remote
from config import gpu_config
@remote(gpu_config)
def absolute(): ...
