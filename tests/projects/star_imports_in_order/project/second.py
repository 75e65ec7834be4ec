from tetra_rp import LiveServerless

gpu = LiveServerless(name="second-gpu")
cpu = LiveServerless(name="second-cpu")
both = LiveServerless(name="second-both")
