"""One value → its annotation, held against pydantic's own answer, value by value."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, Optional, Union

import pydantic
import pytest

from tetra_rp._worker._convert import Mismatch, converter, takes_many, takes_object


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)


UserId = NewType("UserId", int)

VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -3, 1.0, 1.5, "", "1", "-3", "1.0", "1.5", " 7 ", "abc", "true", "No", "off", "red",
    [], [1, 2], ["1", "x"], [1.5], [[1]], {}, {"a": 1}, {"a": "x"}, {"x": 1}, {"x": "1", "y": "z"}, {"x": 1, "tags": ["a"]},
]  # fmt: skip

ANNOTATIONS: list[Any] = [
    int, float, bool, str, list, dict, Any, list[int], list[str], set[int], frozenset[int], tuple[int, ...],
    dict[str, int], dict[str, list[int]], dict[int, bool], tuple[int, str], tuple[int, Optional[str]], Union[int, str],
    Union[int, list[int]], Union[Colour, int], Optional[Union[int, dict[str, list[int]]]], decimal.Decimal, Optional[int], Optional[str], Union[int, None], "int | None",
    Optional[list[int]], list[Optional[int]], Literal["red", "blue"], Literal[1, 2], Colour, Level, Point, Optional[Point],
    list[Point], UserId, Annotated[int, "note"], uuid.UUID,
]  # fmt: skip

# Where this differs on purpose: (annotation, why).
LENIENT = {
    Level: "numbers as text are members too, because query values are text",
}


def ours(annotation: Any, value: Any) -> Any:
    convert = converter(annotation)
    try:
        return "value", value if convert is None else convert(value)
    except Mismatch as mismatch:
        return "errors", [(detail.type, detail.loc) for detail in mismatch.details]


def theirs(annotation: Any, value: Any) -> Any:
    try:
        return "value", pydantic.TypeAdapter(annotation).validate_python(value)
    except pydantic.ValidationError as error:
        return "errors", [(found["type"], tuple(found["loc"])) for found in error.errors()]


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_like_pydantic(annotation, monkeypatch):
    if annotation == "int | None":
        annotation = eval(annotation)
    with monkeypatch.context() as patch:
        # Our own converters, not the fallback to pydantic.
        patch.setattr("tetra_rp._worker._convert._by_pydantic", lambda annotation: None)
        answers = [(value, ours(annotation, value)) for value in VALUES]
    for value, answer in answers:
        if annotation in LENIENT:
            continue
        assert answer == theirs(annotation, value), value
        assert type(answer[1]) is type(theirs(annotation, value)[1])


MESSAGES = [
    (int, "x"), (int, 1.5), (int, []), (float, "x"), (float, []), (bool, "x"), (bool, []), (str, 1), (list[int], 1),
    (dict, 1), (Literal["a", "b", "c"], 1), (Colour, "green"), (Point, 1), (Point, {}), (list[int], ["x"]),
    (tuple[int, ...], 1), (set[int], 1),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value"), MESSAGES, ids=str)
def test_messages_and_inputs_are_pydantics(annotation, value):
    with pytest.raises(Mismatch) as raised:
        converter(annotation)(value)
    with pytest.raises(pydantic.ValidationError) as reference:
        pydantic.TypeAdapter(annotation).validate_python(value)
    expected = [(found["type"], found["msg"], found["input"]) for found in reference.value.errors()]
    assert [(detail.type, detail.msg, detail.input) for detail in raised.value.details] == expected


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
        (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
        (datetime.time, "03:04", datetime.time(3, 4)),
        (datetime.timedelta, "1.5", datetime.timedelta(seconds=1.5)),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (Level, "2", Level.HIGH),
        (bytes, "ü", "ü".encode()),
    ],
)
def test_from_text(annotation, text, expected):
    assert converter(annotation)(text) == expected


TIMES: list[Any] = [
    "2026-01-31T12:30:00", "2026-01-31", "2026-01-31 12:30", "2026-01-31_12:30", "2026-01-31T12:30:00.123456789Z",
    "2026-01-31t12:30:00,5+02:00", "2026-01-31T12:30:00-0530", "2026-01-31T12:30:00\u221202:00", "2026-01-31T12:30Z",
    "2026-01-31T00:00:00Z", "2026-01-31T12:30:00 Z", "2026-01-31T12", "2026-02-30", "2026-13-01T00:00:00", "2026-01-31T25:00:00",
    "2026-01-31T12:30:60", "2026-01-31T12:30:00+25:00", "2026-01-31T12:30:00+02:75", "2026-W05-6", "20260131", " 2026-01-31",
    "0001-01-01T00:00:00", 1700000000, "1700006400", "1700000000.5", "1.", ".5", "1e5", -1, 86400, 86399.5, 45000,
    20_000_000_000, 20_000_000_001, 10**20, "12:30", "12:30:05.25", "12:30:05Z", "12:30:05+01:00", "24:00", "12:3", "25:00", "01:60",
    "P1DT2H3M4.5S", "-PT5M", "P1W", "P1Y", "P1M", "PT", "P", "+PT1S", "P1.5D", "P1DT", "1 day, 01:02:03", "-1 day, 01:00:00",
    "3 days", "3days 04:05", "1.5 days", "1d",
]  # fmt: skip


@pytest.mark.parametrize("annotation", [datetime.datetime, datetime.date, datetime.time, datetime.timedelta])
def test_times_like_pydantic(annotation):
    for value in [*TIMES, *VALUES]:
        if annotation is datetime.timedelta and isinstance(value, str) and is_number(value):
            continue  # a number of seconds in a query is text
        assert ours(annotation, value) == theirs(annotation, value), value


def is_number(text: str) -> bool:
    try:
        return bool(float(text) + 1)
    except ValueError:
        return False


@pytest.mark.parametrize("annotation", [decimal.Decimal, uuid.UUID])
def test_not_from_text(annotation):
    for value in ("x", [], None, True, "NaN"):
        with pytest.raises(Mismatch):
            converter(annotation)(value)


def test_floats_beyond_json_come_from_text():
    assert math.isnan(converter(float)("nan"))


def test_constraints_of_pydantic_are_kept():
    convert = converter(Annotated[int, pydantic.Field(ge=3)])
    assert convert("3") == 3
    with pytest.raises(Mismatch, match="greater than or equal to 3"):
        convert(2)


def test_a_class_unknown_to_all_is_taken_as_it_is():
    class Anything: ...

    assert converter(Anything) is None


class Model(pydantic.BaseModel):
    x: int


@pytest.mark.parametrize(
    ("annotation", "whole", "many"),
    [
        (dict, True, False), (dict[str, int], True, False), (Model, True, False), (Optional[Model], True, False),
        (Point, True, False), (list, False, True), (Optional[list[int]], False, True), (int, False, False),
        (Any, False, False), (Union[int, dict], False, False), (Annotated[Model, "x"], True, False),
    ],
)  # fmt: skip
def test_shapes(annotation, whole, many):
    assert (takes_object(annotation), takes_many(annotation)) == (whole, many)
