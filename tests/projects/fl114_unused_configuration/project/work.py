from tetra_rp import CpuLiveServerless, LiveServerless, remote
used = CpuLiveServerless(name="used")
unused = LiveServerless(name="unused", workersMin=9, workersMax=1)
@remote(used)
def work(): ...
@remote(unused, local=True)
def at_home(): ...
fine = LiveServerless(name="used")
