from tetra_rp import LiveServerless, remote
from ... import volume
from ..settings import LIMITS as limits
from . import names
config = LiveServerless(name=names.GPU, networkVolume=volume, **limits)
@remote(config)
def train(): ...
