from tetra_rp import LiveLoadBalancer, remote
api = LiveLoadBalancer(name="03_api")
@remote(api, method="GET", path="/")
def second(): ...
