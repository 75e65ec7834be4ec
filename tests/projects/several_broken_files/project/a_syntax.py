from tetra_rp import remote, LiveServerless
config = LiveServerless(name="from-broken"

@remote(config)
def in_broken(): ...
