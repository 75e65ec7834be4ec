from tetra_rp import LiveLoadBalancer, remote
from a import api
other = LiveLoadBalancer(name="other")
@remote(api, method="GET", path="/users/{name}")
def by_name(name: str): ...
@remote(other, method="GET", path="/users/{name}")
def other_resource(name: str): ...
