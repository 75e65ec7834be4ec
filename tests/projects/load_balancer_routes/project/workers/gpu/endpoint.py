from tetra_rp import LiveLoadBalancer, remote

api = LiveLoadBalancer(name="03_05_load_balancer_gpu", workersMin=1)


@remote(api, method="GET", path="/health")
async def gpu_health() -> dict:
    return {"status": "healthy"}


@remote(api, path="/compute", method="POST")
async def compute_intensive(numbers: list[int]) -> dict:
    return {"sum": sum(numbers)}


@remote(api, method="GET", path="/info")
def gpu_info() -> dict:
    return {}
