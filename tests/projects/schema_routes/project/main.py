"""Every way in which a request's arguments come."""

import datetime
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from tetra_rp import CpuLiveLoadBalancer, remote

api = CpuLiveLoadBalancer(name="api")


class Query(BaseModel):
    text: str


@dataclass
class Point:
    x: float
    y: float = 0.0


class ValidationError(BaseModel):
    """The project's own, not FastAPI's."""

    where: Point


@remote(api, method="GET", path="/items/{item_id}")
async def read(item_id: int, verbose: bool = False, tags: list[str] = [], sort: Literal["up", "down"] = "up") -> dict:
    """Reads an item. Also tells its price.

    This paragraph is not shown.
    """


@remote(api, method="DELETE", path="/items/{id}")
async def delete(id: Annotated[int, Field(ge=1, description="Which item.")], at: Point | None = None) -> None: ...


@remote(api, method="GET", path="/files/{rest:path}")
def files(rest, **options) -> str: ...


@remote(api, method="POST", path="/whole-model")
async def whole_model(query: Query) -> list[Point]: ...


@remote(api, method="POST", path="/whole-dict")
async def whole_dict(data: dict | None = None) -> dict[str, int]: ...


@remote(api, method="POST", path="/whole-list")
async def whole_list(points: list[Point]) -> ValidationError: ...


@remote(api, method="POST", path="/upload")
async def upload(data: bytes) -> int: ...


@remote(api, method="PUT", path="/items/{item_id}")
async def write(item_id: int, query: Query, when: datetime.datetime, data: bytes = b"", *, count: int = 1) -> bool:
    """Writes an item."""


@remote(api, method="PATCH", path="/anything")
async def anything(*args, **kwargs): ...


@remote(api, method="POST", path="/nothing")
async def nothing() -> None: ...


@remote(api, method="POST", path="/class/{name}")
class Model:
    """A model behind a route."""

    def predict(self, name: str, text: str, top_k: int = 5) -> list[str]: ...


@remote(api, method="POST", path="/callable")
class Callable:
    def __call__(self, text: str) -> str: ...
