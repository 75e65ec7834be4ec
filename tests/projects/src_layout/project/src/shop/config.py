from tetra_rp import CpuLiveServerless
prep = CpuLiveServerless(name="prep")
