from tetra_rp import *
base = LiveServerless(name="base")
