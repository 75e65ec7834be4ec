from __future__ import annotations

from datetime import timedelta
from enum import Enum, IntEnum, StrEnum, auto
from typing import ClassVar, NamedTuple, Optional, TypedDict

from pydantic import Field
from typing_extensions import NotRequired

from .base import Identified


class Color(str, Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = auto()
    HIGH = auto()


class Mode(StrEnum):
    FAST = auto()


class Computed(Enum):
    A = len("abc")


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Address(TypedDict):
    street: str
    zip: NotRequired[str]


class Loose(TypedDict, total=False):
    a: int


class Item(Identified):
    """One thing to buy."""

    registry: ClassVar[dict] = {}
    _secret: int = 0

    name: str = Field(..., min_length=1, alias="itemName")
    color: Color = Color.RED
    level: Level = Level.HIGH.value
    mode: Optional[Mode] = None
    computed: Computed | None = None
    at: Point
    tags: list[str] = Field(default_factory=list)
    parts: list[Item] = []
    note: str = "none"

    def total(self) -> int:
        return 1


class Order(Identified):
    items: dict[str, Item]
    address: Address
    loose: Loose
    within: timedelta = Field(timedelta(days=1), description="Delivery.")
