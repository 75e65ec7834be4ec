import sys
from tetra_rp import LiveServerless, remote
if sys.platform == "linux":
    by_platform = LiveServerless(name="a")
else:
    by_platform = LiveServerless(name="b")
if LOOP:
    LOOP = True
    itself = LiveServerless(name="c")
if False:
    never = LiveServerless(name="d")
FLAG = False
if FLAG:
    hidden = LiveServerless(name="e")
@remote(by_platform)
def one(): ...
@remote(itself)
def two(): ...
@remote(never)
def three(): ...
@remote(hidden)
def four(): ...
