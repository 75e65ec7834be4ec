from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, LiveServerless

gpu = LiveServerless(name="gpu")
cpu = CpuLiveServerless(name="cpu")
api = CpuLiveLoadBalancer(name="api")
