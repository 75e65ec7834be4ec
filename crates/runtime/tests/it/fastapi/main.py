"""A FastAPI application whose functions a load-balanced endpoint serves too, as they are."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
from fastapi import Body, Cookie, FastAPI, Header, HTTPException, Path, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse

app = FastAPI()


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Tag(pydantic.BaseModel):
    name: str
    weight: float = 1.0


class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2)
    price: decimal.Decimal = decimal.Decimal(1)
    tags: list[Tag] = []
    color: Optional[Color] = None
    made_at: Optional[datetime.datetime] = pydantic.Field(None, alias="madeAt")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    x: int


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Line:
    start: Point
    end: Point
    label: Optional[str] = None


@dataclasses.dataclass
class Kinds:
    when: Optional[datetime.datetime] = None
    day: Optional[datetime.date] = None
    at: Optional[datetime.time] = None
    span: Optional[datetime.timedelta] = None
    id: Optional[uuid.UUID] = None
    amount: Optional[decimal.Decimal] = None
    color: Optional[Color] = None
    level: Optional[Level] = None
    size: Optional[Literal["s", "m"]] = None
    count: Optional[Literal[1, 2]] = None
    file: Optional[pathlib.Path] = None
    number: Optional[int] = None
    ratio: Optional[float] = None
    flag: Optional[bool] = None
    text: Optional[str] = None
    either: Optional[Union[int, str]] = None
    many: Optional[Union[int, list[int]]] = None
    pair: Optional[tuple[int, str]] = None
    several: Optional[tuple[int, ...]] = None
    unique: Optional[set[int]] = None
    named: Optional[dict[str, int]] = None
    numbered: Optional[dict[int, bool]] = None


def shown(values: dict[str, Any]) -> dict[str, Any]:
    return {name: [type(value).__name__, str(value)] for name, value in values.items() if value is not None}


# Scalars from path and query.


@app.get("/scalars/{number}")
async def scalars(number: int, text: str, ratio: float = 0.5, flag: bool = False, maybe: Optional[int] = None):
    return shown(locals())


@app.get("/scalars_sync/{number}")
def scalars_sync(number: int, text: str, ratio: float = 0.5, flag: bool = False, maybe: Optional[int] = None):
    return shown(locals())


@app.get("/bare")
async def bare(text, other="x"):
    return [text, other]


@app.get("/kinds")
async def kinds(
    when: Optional[datetime.datetime] = None,
    day: Optional[datetime.date] = None,
    at: Optional[datetime.time] = None,
    span: Optional[datetime.timedelta] = None,
    id: Optional[uuid.UUID] = None,
    amount: Optional[decimal.Decimal] = None,
    color: Optional[Color] = None,
    level: Optional[Level] = None,
    size: Optional[Literal["s", "m"]] = None,
    count: Optional[Literal[1, 2]] = None,
    file: Optional[pathlib.Path] = None,
    number: Optional[int] = None,
    ratio: Optional[float] = None,
    flag: Optional[bool] = None,
    either: Optional[Union[int, str]] = None,
):
    return shown(locals())


@app.get("/required_kinds/{id}/{day}/{color}")
def required_kinds(id: uuid.UUID, day: datetime.date, color: Color, when: datetime.datetime, amount: decimal.Decimal):
    return shown(locals())


@app.get("/limits/{number}")
async def limits(number: Annotated[int, Path(ge=1, le=9)], text: str = Query("abc", min_length=2, pattern="^[a-z]+$")):
    return [number, text]


@app.get("/files/{rest:path}")
async def files(rest: str):
    return rest


@app.get("/digits/{number:int}")
async def digits(number: int):
    return number


@app.get("/digits/special")
async def digits_special():
    return "special"


@app.get("/lists")
async def lists(
    tag: Annotated[list[str], Query()],
    number: Annotated[list[int], Query()] = [],
    maybe: Annotated[Optional[list[float]], Query()] = None,
    unique: Annotated[set[int], Query()] = set(),
):
    return [tag, number, maybe, sorted(unique)]


class Filter(pydantic.BaseModel):
    limit: int = pydantic.Field(10, le=100)
    order_by: str = pydantic.Field("id", alias="orderBy")
    tags: list[str] = []
    needed: bool


@app.get("/filter")
async def filter_(query: Annotated[Filter, Query()]):
    return query


class StrictFilter(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    limit: int = 10


@app.get("/strict_filter")
async def strict_filter(query: Annotated[StrictFilter, Query()]):
    return query


class Headers(pydantic.BaseModel):
    x_token: str
    x_many: list[int] = []


@app.get("/headers")
async def headers(headers: Annotated[Headers, Header()]):
    return headers


class Cookies(pydantic.BaseModel):
    session: str
    count: int = 0


@app.get("/cookies")
async def cookies(cookies: Annotated[Cookies, Cookie()]):
    return cookies


@app.get("/marked")
def marked(
    user_agent: Annotated[str, Header()], session: str = Cookie("none"), q: str = Query("q", alias="query"), x_many: list[int] = Header([])
):
    return [user_agent, session, q, x_many]


# Bodies.


@app.post("/dict")
async def dict_(data: dict):
    return data


@app.post("/dict_sync")
def dict_sync(data: dict):
    return data


@app.post("/any_values")
async def any_values(data: dict[str, Any]):
    return data


@app.post("/counts")
async def counts(data: dict[str, int]):
    return data


@app.post("/list")
async def list_(data: list[int]):
    return data


@app.post("/item")
async def item(item: Item):
    return item


@app.post("/item_sync")
def item_sync(item: Item):
    return item


@app.post("/strict")
async def strict(data: Strict):
    return data


@app.post("/items")
async def items(items: list[Item]):
    return items


@app.post("/optional_item")
async def optional_item(item: Optional[Item] = None):
    return item


@app.post("/point")
async def point(point: Point):
    return point


@app.post("/line")
def line(line: Line):
    return line


@app.post("/kinds")
async def kinds_body(kinds: Kinds):
    return shown(dataclasses.asdict(kinds))


@app.post("/either")
async def either(data: Union[Item, Point]):
    return [type(data).__name__, data]


@app.post("/two")
async def two(item: Item, point: Point):
    return [item, point]


@app.put("/mixed/{id}")
async def mixed(id: int, item: Item, q: Optional[str] = None, short: bool = False):
    return [id, item, q, short]


@app.patch("/embedded")
async def embedded(item: Annotated[Item, Body(embed=True)]):
    return item


@app.post("/fields")
async def fields(x: Annotated[int, Body()], y: Annotated[Optional[int], Body()] = 5, text: Annotated[str, Body()] = "t"):
    return [x, y, text]


@app.post("/number")
async def number(value: Annotated[int, Body(gt=2)]):
    return value


@app.delete("/scalars/{number}")
async def delete(number: int, force: bool = False):
    return [number, force]


@app.post("/nothing")
async def nothing():
    return None


@app.post("/in_query")
async def in_query(x: int, y: int = 1):
    return x + y


@app.post("/tags")
async def tags(tags: list[str]):
    return tags


@app.get("/tags")
async def tags_of_query(tags: list[str]):
    return tags


# Results.


class Aliased(pydantic.BaseModel):
    from_date: datetime.date = pydantic.Field(alias="fromDate")


class Plain:
    def __init__(self) -> None:
        self.a = 1


RESULTS: dict[str, Any] = {
    "none": None,
    "text": "ü \"quoted\"\n",
    "numbers": [1, 1.5, -0.0, 1e300, 2**70, True],
    "tuple": (1, "a"),
    "set": {1},
    "enum": Color.RED,
    "int_enum": {"level": Level.HIGH},
    "uuid": uuid.UUID(int=7),
    "datetime": datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc),
    "naive": datetime.datetime(2026, 1, 31, 12, 0, 0, 5),
    "date": [datetime.date(2026, 1, 31), datetime.time(12, 30)],
    "timedelta": datetime.timedelta(hours=1, milliseconds=5),
    "path": pathlib.PurePosixPath("/a/b"),
    "dataclass": Line(Point(1), Point(2, 3)),
    "model": Item(name="ab", tags=[Tag(name="t")]),
    "aliased": [Aliased(fromDate=datetime.date(2026, 1, 31))],
    "int_keys": {1: "a", 2: "b"},
    "enum_keys": {Color.RED: 1},
    "uuid_keys": {uuid.UUID(int=7): {datetime.date(2026, 1, 31): 1}},
    "nested": {"a": [{"b": (Color.BLUE, {3})}]},
    "empty": {},
    "decimal": decimal.Decimal("1.10"),
    "bytes": b"abc",
    "nan": float("nan"),
    "object": object(),
    "instance": Plain(),
}


@app.get("/result/{kind}")
async def result(kind: str):
    return RESULTS[kind]


@app.get("/result_sync/{kind}")
def result_sync(kind: str):
    return RESULTS[kind]


@app.get("/status/{kind}")
def status(kind: str):
    if kind == "teapot":
        raise HTTPException(418, detail={"why": "tea"}, headers={"X-Tea": "green"})
    if kind == "missing":
        raise HTTPException(404)
    if kind == "created":
        return JSONResponse({"a": 1}, status_code=201, headers={"X-Own": "1"})
    if kind == "text":
        return PlainTextResponse("text")
    if kind == "empty":
        return Response(status_code=204)
    raise ValueError("no luck")


@app.get("/typed")
async def typed() -> Point:
    return {"x": "7", "y": 2, "z": 3}  # type: ignore[return-value]
