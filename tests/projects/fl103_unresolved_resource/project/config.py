from tetra_rp import LiveServerless
gpu_config = LiveServerless(name="other")
