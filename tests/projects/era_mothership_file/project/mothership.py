"""Customise the mothership of this project."""
from tetra_rp import CpuLiveLoadBalancer

mothership = CpuLiveLoadBalancer(
    name="01_01_hello_world-mothership",
    # workersMin=1,
    # workersMax=3,
)
