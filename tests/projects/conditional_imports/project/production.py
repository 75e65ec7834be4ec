from tetra_rp import LiveServerless

gpu = LiveServerless(name="production-gpu")
cpu = LiveServerless(name="production-cpu")
