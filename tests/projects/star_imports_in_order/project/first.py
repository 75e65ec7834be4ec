from tetra_rp import LiveServerless

gpu = LiveServerless(name="first-gpu")
cpu = LiveServerless(name="first-cpu")
both = LiveServerless(name="first-both")
