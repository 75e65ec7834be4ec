from tetra_rp import Endpoint, LiveServerless, remote

on_gpu = remote(LiveServerless(name="gpu"), dependencies=["numpy"])
alias = on_gpu
api = Endpoint(name="api")
get = api.get
on_root = api.post("/root")


@on_gpu
def one(x: int) -> int:
    return x


@alias
def two(x: int) -> int:
    return x


@(on_cpu := remote(LiveServerless(name="other")))
def three() -> int:
    return 3


@on_cpu
def four() -> int:
    return 4


@remote(resource_config=(inline := LiveServerless(name="inline")))
def five() -> int:
    return 5


@remote(inline)
def six() -> int:
    return 6


@get("/five")
async def route() -> int:
    return 5


@on_root
async def root() -> int:
    return 5
