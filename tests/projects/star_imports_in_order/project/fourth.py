from tetra_rp import LiveServerless

gpu = LiveServerless(name="fourth-gpu")
cpu = LiveServerless(name="fourth-cpu")
both = LiveServerless(name="fourth-both")
