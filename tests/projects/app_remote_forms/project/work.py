from apps import app
import apps
from tetra_rp import CpuLiveServerless, CpuLiveLoadBalancer
config = CpuLiveServerless(name="config")
api = CpuLiveLoadBalancer(name="api")
@app.remote(config, dependencies=["six"])
def one(): ...
@apps.app.remote(resource_config=config)
class Two:
    def run(self): ...
@app.remote(api, method="GET", path="/three")
async def three(): ...
