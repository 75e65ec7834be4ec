from tetra_rp import CpuLiveServerless, remote
N = 2
@remote(CpuLiveServerless(workersMax=N, name="shared"))
def two(): ...
