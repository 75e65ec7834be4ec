import platform

from tetra_rp import LiveServerless, remote

if platform.system() == "Linux":
    from a import gpu

    def make():
        return LiveServerless(name="one")

    class Names:
        GPU = "one"

else:
    from b import gpu

    def make():
        return LiveServerless(name="two")

    class Names:
        GPU = "two"


own = LiveServerless(name="own")


def change():
    global own
    own = LiveServerless(name="changed")


change()


@remote(gpu)
def infer() -> int:
    return 1


@remote(make())
def made() -> int:
    return 1


@remote(LiveServerless(name=Names.GPU))
def named() -> int:
    return 1


@remote(own)
def owned() -> int:
    return 1
