import latin
from tetra_rp import LiveLoadBalancer, remote
api = LiveLoadBalancer(name="api")
@remote(api, method="GET", path="/a")
def a(): ...
