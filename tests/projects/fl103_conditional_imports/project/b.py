from tetra_rp import LiveServerless

gpu = LiveServerless(name="b")
