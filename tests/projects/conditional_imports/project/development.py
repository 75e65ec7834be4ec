from tetra_rp import LiveServerless

gpu = LiveServerless(name="development-gpu")
cpu = LiveServerless(name="development-cpu")
