import os
import settings
from tetra_rp import LiveServerless, LiveLoadBalancer, remote
SIZE = len([1, 2])
LOOP = LOOP
TOKEN = open("token").read()
OPTIONS = settings.load()
a = LiveServerless(name="a", workersMax=SIZE, idleTimeout=os.environ["IDLE"], env={"T": TOKEN})
b = LiveServerless(name="b", **OPTIONS)
c = LiveServerless(name=LOOP)
d = LiveLoadBalancer(name="d")
@remote(a, dependencies=[settings.DEPENDENCY])
def one(): ...
@remote(b)
def two(): ...
@remote(c)
def three(): ...
@remote(d, method=settings.METHOD, path=f"/{SIZE}")
def four(): ...
