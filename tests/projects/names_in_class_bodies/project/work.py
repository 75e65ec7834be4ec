from enum import Enum, IntEnum

from tetra_rp import LiveServerless, remote

PREFIX = "module"


class Names:
    PREFIX = "class"
    GPU = PREFIX + "-gpu"
    CPU = f"{PREFIX}-cpu"
    LAST, OTHER = "last", "other"
    if True:
        OTHER = "other-two"

    def gpu(self):
        return PREFIX


class Stage(str, Enum):
    DEV = "dev"


class Kind(Enum):
    FAST = "fast"


class Workers(IntEnum):
    MANY = 4


@remote(LiveServerless(name=Names.GPU, workersMax=Workers.MANY))
def a() -> int:
    return 1


@remote(LiveServerless(name=Names.CPU))
def b() -> int:
    return 1


@remote(LiveServerless(name=Names.LAST + "-" + Stage.DEV))
def c() -> int:
    return 1


@remote(LiveServerless(name=f"{Names.OTHER}-{Kind.FAST.value}-{Stage.DEV.value}-{Workers.MANY}"))
def d() -> int:
    return 1


@remote(LiveServerless(name=Kind.FAST.name))
def e() -> int:
    return 1
