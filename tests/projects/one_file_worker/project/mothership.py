from tetra_rp import CpuLiveLoadBalancer

# workersMin and workersMax are left at their defaults.
mothership = CpuLiveLoadBalancer(
    name="01_01_hello_world-mothership",
    # workersMin=1,
)
