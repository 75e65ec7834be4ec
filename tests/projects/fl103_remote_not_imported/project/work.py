from tetra_rp import LiveServerless
config = LiveServerless(name="x")
@remote(config)
def f(): ...
