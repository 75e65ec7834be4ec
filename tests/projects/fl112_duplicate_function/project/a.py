from tetra_rp import CpuLiveServerless, remote
a = CpuLiveServerless(name="a")
@remote(a)
def work(): ...
