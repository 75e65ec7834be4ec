from tetra_rp import CpuLiveServerless, remote
a = CpuLiveServerless(name="a-b")
b = CpuLiveServerless(name="a.b")
c = CpuLiveServerless(name="c-d")
@remote(a)
def one(): ...
@remote(b)
def two(): ...
@remote(c)
def three(): ...
