from tetra_rp import LiveServerless
import requests
one = LiveServerless(name="one")
two = LiveServerless(name="two")
