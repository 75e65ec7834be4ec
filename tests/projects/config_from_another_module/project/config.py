from tetra_rp import LiveServerless, CpuLiveServerless, LiveLoadBalancer
gpu_config = LiveServerless(name="model")
cpu_config = CpuLiveServerless(name="prep")
api_config = LiveLoadBalancer(name="api")
