from tetra_rp import LiveServerless, remote
def make(name, workers=1):
    return LiveServerless(name=name, workersMax=workers)
def decides(name):
    if name == "a":
        return LiveServerless(name="a")
    return LiveServerless(name="b")
async def later():
    return LiveServerless(name="later")
def endless(name):
    return endless(name)
class Own(LiveServerless):
    workersMax: int = 5
@remote(make())
def missing(): ...
@remote(make("x", 2, 3))
def too_many(): ...
@remote(make("x", size=3))
def unknown(): ...
@remote(make("y", workers=0))
def invalid(): ...
@remote(decides("a"))
def deciding(): ...
@remote(later())
def asynchronous(): ...
@remote(endless("x"))
def endlessly(): ...
@remote(Own(name="own"))
def own_class(): ...
