from tetra_rp import CpuLiveServerless, remote
NAME = "same"
b = CpuLiveServerless(name=NAME)
@remote(b)
def two(): ...
