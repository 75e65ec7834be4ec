from tetra_rp import CpuLiveServerless, remote
a = CpuLiveServerless(name="same")
@remote(a)
def one(): ...
