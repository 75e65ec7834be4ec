from abc import ABC

from logging import Filter
from tetra_rp import CpuLiveServerless, remote

cpu = CpuLiveServerless(name="cpu")


class Base:
    def predict(self, text: str) -> str:
        return text


@remote(cpu)
class OnlyPrivate:
    """Has nothing to call."""

    labels = ["a", "b"]

    def __init__(self, name: str = "m") -> None:
        self.name = name

    def _predict(self, text: str) -> str:
        return text

    @property
    def size(self) -> int:
        return 1


@remote(cpu)
class Empty:
    limit: int = 5


@remote(cpu)
class Callable:
    def __call__(self, text: str) -> str:
        return text


@remote(cpu)
class Inherits(Base):
    pass


@remote(cpu)
class InheritsFromOutside(Filter):
    pass


@remote(cpu)
class Abstract(ABC):
    pass


@remote(cpu)
class Assigned:
    def _predict(self, text: str) -> str:
        return text

    predict = _predict
