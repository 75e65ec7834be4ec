from tetra_rp import LiveServerless

__all__ = ["both"]
gpu = LiveServerless(name="third-gpu")
cpu = LiveServerless(name="third-cpu")
both = LiveServerless(name="third-both")
