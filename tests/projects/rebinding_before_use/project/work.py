from tetra_rp import CpuLiveServerless, remote
config = CpuLiveServerless(name="first")
@remote(config)
def one(): ...
config = CpuLiveServerless(name="second")
@remote(config)
def two(): ...
