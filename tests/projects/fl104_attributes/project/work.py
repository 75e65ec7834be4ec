from dataclasses import dataclass
from enum import Enum

import settings
from tetra_rp import LiveServerless, remote


class Stage(str, Enum):
    DEV = "dev"


class Kind(Enum):
    FAST = "fast"


class Names:
    CHANGED = "a"
    ADDED = "b"
    ADDED += "c"

    def method(self): ...


Names.CHANGED = "z"


def renamed(kind):
    kind.NAME = "z"
    return kind


@renamed
class Decorated:
    NAME = "a"


class Base:
    def __init__(self, **values):
        self.name = "other"


class Filled(Base):
    name = "x"


@dataclass
class Limits:
    most: int = 1


limits = Limits(most=2)
limits.most = 3
settings.NAME = "changed"
settings.COMMON["workersMax"] = 9
sizes = [1, 2]
last = sizes.pop()
gpu = LiveServerless(name="gpu", env={"A": "b"})
gpu.env["B"] = "c"


@remote(LiveServerless(name=Kind.FAST))
def a(): ...


@remote(LiveServerless(name=f"x-{Stage.DEV}"))
def b(): ...


@remote(LiveServerless(name=Names.CHANGED))
def c(): ...


@remote(LiveServerless(name=Names.ADDED))
def d(): ...


@remote(LiveServerless(name=Names.method))
def e(): ...


@remote(LiveServerless(name=Filled(name="y").name))
def f(): ...


@remote(LiveServerless(name="g", workersMax=limits.most, gpuCount=sizes[-1]))
def g(): ...


@remote(LiveServerless(name=settings.NAME))
def h(): ...


@remote(LiveServerless(name="i", **settings.COMMON))
def i(): ...


@remote(gpu)
def j(): ...


@remote(LiveServerless(name=Decorated.NAME))
def k(): ...
