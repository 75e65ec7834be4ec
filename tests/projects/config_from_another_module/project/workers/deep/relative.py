from tetra_rp import remote
from ..settings import shared
from config import api_config
@remote(resource_config=shared)
def relative(): ...
@remote(resource_config=api_config, method="GET", path="/relative")
def relative_route(): ...
