import os
from tetra_rp import CpuLiveLoadBalancer, PodTemplate, remote
from tetra_rp.core.resources import KeyValuePair
api = CpuLiveLoadBalancer(
    name="api",
    env={"SECRET": "hunter2", "TOKEN": os.environ.get("HF_TOKEN"), "MODE": os.getenv("MODE", "dev")},
)
other = CpuLiveLoadBalancer(name="other", template=PodTemplate(env=[KeyValuePair(key="A", value="1"), {"key": "B", "value": "2"}]))
@remote(api, method="GET", path="/a")
def a(): ...
@remote(other, method="GET", path="/b")
def b(): ...
