from tetra_rp import LiveServerless
import random
config = LiveServerless(name="a") if random.random() > 1 else LiveServerless(name="b")
