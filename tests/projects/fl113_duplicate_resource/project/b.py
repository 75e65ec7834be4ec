from tetra_rp import CpuLiveServerless, remote
NAME = "same"
b = CpuLiveServerless(name=NAME, workersMax=1)
@remote(b)
def two(): ...
