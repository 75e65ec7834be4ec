from dataclasses import InitVar, dataclass, field
from typing import Any, Generic, List, Optional, TypeVar

import models
from models.items import Color as Paint
from outside import Foreign
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api")
jobs = CpuLiveServerless(name="jobs")
T = TypeVar("T")


@dataclass
class Base:
    name: str


@dataclass(kw_only=True)
class Settings(Base):
    steps: int = 20
    seeds: list[int] = field(default_factory=list)
    total: int = field(init=False)
    scratch: InitVar[int] = 0
    child: Optional["Settings"] = None


class Item(BaseModel):
    """Not the shop's."""

    value: Any


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    first_name: str


class Page(BaseModel, Generic[T]):
    items: List[T]


class Cursor[K](BaseModel):
    after: K | None
    next: "Optional[Cursor[K]]" = None


class Bag(dict): ...


class Plain:
    def __init__(self, x: int): ...


class Circular(Circular): ...


@remote(api, method="POST", path="/orders")
async def order(order: models.Order) -> models.Item: ...


@remote(api, method="POST", path="/settings")
async def settings(settings: Settings, paint: Paint = Paint.BLUE) -> Page[Item] | Page[models.Item] | Cursor[int]: ...


@remote(api, method="POST", path="/others")
async def others(camel: Camel, bag: Bag, plain: Plain, foreign: Foreign, circular: Circular) -> None: ...


@remote(jobs)
def job(settings: Settings | None = None) -> list[Paint]: ...
