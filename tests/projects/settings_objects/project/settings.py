from dataclasses import dataclass, field
from enum import Enum, IntEnum
@dataclass
class Base:
    prefix: str = "shop"
    workers: int = 2
@dataclass
class Settings(Base):
    workers: int = 3
    image: str = "unused"
class Names(str, Enum):
    GPU = "gpu-worker"
    CPU = "cpu-worker"
class Sizes(IntEnum):
    LARGE = 6
settings = Settings(prefix="store")
