import os
from tetra_rp import CpuLiveServerless, remote
name = "shared"
@remote(CpuLiveServerless(name=name, env={"A": "1"}))
def one(): ...
@remote(CpuLiveServerless(name=name, env={"A": "2"}))
def two(): ...
