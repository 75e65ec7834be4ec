from tetra_rp import CpuLiveServerless, LiveServerless, NetworkVolume, remote
a = LiveServerless(name="a", workersmax=3, instanceIds=["cpu3c-1-2"], quux=1)
b = CpuLiveServerless("b", name="b")
c = LiveServerless(name="c", networkVolume=NetworkVolume(name="v", sise=1), **{"idletimeout": 1})
@remote(a, depndencies=["torch"])
def one(): ...
@remote(b, [], [], True, False, None, None, "more")
def two(): ...
@remote(c, gpu=1)
def three(): ...
