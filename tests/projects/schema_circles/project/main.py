from __future__ import annotations

from enum import Enum
from typing import Annotated, Generic, NamedTuple, Optional, TypeVar

from pydantic import BaseModel, Field
from tetra_rp import CpuLiveLoadBalancer, remote

api = CpuLiveLoadBalancer(name="api")
T = TypeVar("T")

Json = dict[str, "Json"] | list["Json"] | str | None
A = list["B"]
B = list["A"]
D0 = tuple[int, int]
D1 = tuple[D0, D0, D0, D0, D0, D0, D0, D0]
D2 = tuple[D1, D1, D1, D1, D1, D1, D1, D1]
D3 = tuple[D2, D2, D2, D2, D2, D2, D2, D2]
D4 = tuple[D3, D3, D3, D3, D3, D3, D3, D3]


class Größe(BaseModel):
    wert: int


class Tree(BaseModel):
    left: Optional[Tree] = None
    right: "Tree | None" = None
    forest: Forest
    size: Größe


class Forest(BaseModel):
    trees: list[Tree]


class Left(Enum):
    A = 1


class Heir(Heir2): ...


class Heir2(Heir): ...


class Both(BaseModel, Generic[T]):
    value: T
    plain: Both


class Nested(NamedTuple):
    inner: Optional[Nested] = None


@remote(api, method="POST", path="/trees")
async def trees(tree: Tree, a: A, nested: Nested, heir: Heir, json: int = 1) -> Both[int]: ...


@remote(api, method="POST", path="/side")
async def side(side: Left = Left.A, both: Left = Left.A.value, other: Left = Left.C) -> None: ...
