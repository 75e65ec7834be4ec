from tetra_rp import remote as deploy
from config import cpu_config as cc
@deploy(cc)
def aliased(): ...
