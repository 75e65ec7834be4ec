import functools

from tetra_rp import Endpoint, FlashApp, LiveServerless, remote
from tetra_rp import remote as deploy

gpu = LiveServerless(name="gpu")
app = FlashApp("shop")
api = Endpoint(name="api")

on_gpu = functools.partial(remote, gpu)
KINDS = {"gpu": deploy(gpu)}


def plain(x: int) -> int:
    return x


def remote_with(**options):
    return remote(gpu, **options)


called = remote(gpu)(plain)
app.remote(gpu)(plain)
api.get("/plain")(plain)
Endpoint(name="direct")(plain)


@(remote(gpu) if True else functools.cache)
def chosen() -> int:
    return 1


# None of these deploys anything.
def push(remote, branch):
    return remote(branch)


def origin(repository):
    remote = repository.remotes[0]
    return remote("x")


@remote_with(dependencies=["numpy"])
def embed(text: str) -> str:
    return text
