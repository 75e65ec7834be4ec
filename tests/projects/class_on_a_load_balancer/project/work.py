from tetra_rp import LiveLoadBalancer, remote
api = LiveLoadBalancer(name="api")
@remote(api, method="POST", path="/model/{id}")
class Model:
    def run(self, id: int): ...
