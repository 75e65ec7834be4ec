import datetime as dt
import typing as t
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Tuple, TypeVar, Union
from uuid import UUID

import torch
from annotated_types import Ge, Len
from fastapi import Query
from pydantic import EmailStr, Field, PositiveInt, conint
from tetra_rp import CpuLiveLoadBalancer, remote

api = CpuLiveLoadBalancer(name="api")
UserId = NewType("UserId", int)
T = TypeVar("T")
Labels = Dict[str, List[str]]
Size = Annotated[int, Field(ge=1, le=10)]
LIMIT = 5


@remote(api, method="POST", path="/simple")
async def simple(
    text: str, number: int, ratio: float = 0.5, flag: bool = False, data: bytes = b"", anything: Any = None, bare=3,
    nothing=None,
) -> None: ...


@remote(api, method="POST", path="/containers")
async def containers(
    a: list[str],
    b: List,
    c: dict[str, int],
    d: Labels,
    e: tuple[int, str],
    f: Tuple[int, ...],
    g: set[int],
    h: Sequence["Optional[UUID]"],
    i: dict = {},
    j: list[list[float]] = [[1.0, -2.5], []],
) -> dict[str, Any]: ...


@remote(api, method="POST", path="/choices")
async def choices(
    a: Optional[int],
    b: int | None = None,
    c: Union[int, str, None] = None,
    d: "Literal['fast', 'good']" = "fast",
    e: Literal[1, "one", None] = 1,
    f: t.Optional[t.Union[int, t.List[int]]] = None,
    g: Any | None = None,
) -> str | None: ...


@remote(api, method="POST", path="/library")
async def library(
    a: dt.datetime, b: dt.date, c: dt.time, d: dt.timedelta, e: UUID, f: Decimal, g: Path, h: EmailStr, i: UserId, j: T,
) -> "list[dt.date]": ...


@remote(api, method="GET", path="/limits")
async def limits(
    a: Annotated[int, Ge(0)] = 1,
    b: Annotated[str, Query(min_length=2, max_length=5, pattern="^a", description="Starts with a.")] = "aa",
    c: Annotated[list[int], Len(1, 3)] = [1],
    d: int = Query(7, gt=0, lt=10),
    e: Size = 2,
    f: PositiveInt = 3,
    g: conint(ge=1, multiple_of=2) = 4,
    h: int = LIMIT,
    i: Annotated[Optional[str], Field(max_length=3)] = None,
) -> float: ...


@remote(api, method="POST", path="/unknown")
async def unknown(a: torch.Tensor, b: Optional[torch.Tensor], c: undefined, d: "not a type", e: 1 + 2) -> torch.Tensor: ...


@remote(api, method="POST", path="/method")
class Model:
    def __init__(self, name: str = "m"): ...

    async def predict(self, texts: list[str], top_k: int = 5) -> list[float]: ...
