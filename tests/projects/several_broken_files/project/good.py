import b_bytes, f_indent
from tetra_rp import CpuLiveServerless, remote
g = CpuLiveServerless(name="good")
@remote(g)
def good(): ...
