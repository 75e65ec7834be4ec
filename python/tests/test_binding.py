"""HTTP input and plain objects → keyword arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

import pydantic
import pytest

from tetra_rp._worker._binding import Binding, Unprocessable

if TYPE_CHECKING:
    from nowhere import Missing


class Item(pydantic.BaseModel):
    name: str
    price: float = 0.0


@dataclass
class Point:
    x: int
    y: int = 0


def scalars(x: int, y: float = 1.5, flag: bool = False, note: Optional[str] = None): ...
def whole(data: dict): ...
def optional_whole(data: Optional[dict] = None): ...
def model(item: Item): ...
def dataclass_(point: Point): ...
def path_and_model(item_id: int, item: Item): ...
def model_and_scalar(item: Item, verbose: bool = False): ...
def numbers(values: list[int]): ...
def numbers_and_more(values: list[int], scale: int = 1): ...
def raw(body: bytes): ...
def anything(**fields: Any): ...
def bare(x, y=2): ...
def positional(x: int, /, y: int): ...
def unresolved(x: Missing, y: int): ...
def starred(*args: int, x: int = 1): ...
def nothing(): ...


def bind(function, method="POST", body=b"", path=None, query=(), content_type=""):
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Binding(function).route(method, path or {}, list(query)).bind(encoded, content_type)


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (scalars, {"body": {"x": 1}}, {"x": 1}),
        (scalars, {"body": {"x": "1", "y": 2, "flag": "yes", "note": None}}, {"x": 1, "y": 2.0, "flag": True, "note": None}),
        (scalars, {"body": {"x": 1, "extra": 2}}, {"x": 1}),
        (scalars, {"body": {"y": 2}, "query": [("x", "3")]}, {"x": 3, "y": 2.0}),
        (scalars, {"body": {"x": 2}, "query": [("x", "3")]}, {"x": 2}),
        (scalars, {"query": [("x", "3")]}, {"x": 3}),
        (scalars, {"body": b"null", "query": [("x", "3")]}, {"x": 3}),
        (scalars, {"method": "GET", "query": [("x", "3"), ("x", "4"), ("z", "5")]}, {"x": 4}),
        (scalars, {"method": "DELETE", "query": [("x", "3")]}, {"x": 3}),
        (scalars, {"method": "DELETE", "body": {"x": 4}}, {"x": 4}),
        (scalars, {"method": "DELETE", "body": {"y": 4}, "query": [("x", "3")]}, {"x": 3, "y": 4.0}),
        (whole, {"method": "DELETE", "body": {"a": 1}}, {"data": {"a": 1}}),
        (whole, {"method": "DELETE", "query": [("data", '{"a": 1}')]}, {"data": {"a": 1}}),
        (scalars, {"method": "PUT", "body": {"x": 1}}, {"x": 1}),
        (scalars, {"method": "PATCH", "body": {"x": 1}, "path": {"x": "9"}}, {"x": 9}),
        (whole, {"body": {"a": 1}}, {"data": {"a": 1}}),
        (whole, {"body": {}}, {"data": {}}),
        (whole, {"body": {"data": {"a": 1}}}, {"data": {"data": {"a": 1}}}),
        (whole, {"method": "GET", "query": [("data", '{"a":1}')]}, {"data": {"a": 1}}),
        (optional_whole, {}, {}),
        (optional_whole, {"body": {"a": 1}}, {"data": {"a": 1}}),
        (optional_whole, {"body": b"null"}, {"data": None}),
        (model, {"body": {"name": "a", "price": "2"}}, {"item": Item(name="a", price=2)}),
        (model, {"body": {"item": {"name": "a"}}}, {"item": Item(name="a")}),
        (dataclass_, {"body": {"x": "1"}}, {"point": Point(1)}),
        (dataclass_, {"body": {"point": {"x": 1, "y": 2}}}, {"point": Point(1, 2)}),
        (path_and_model, {"path": {"item_id": "7"}, "body": {"name": "a"}}, {"item_id": 7, "item": Item(name="a")}),
        (model_and_scalar, {"body": {"item": {"name": "a"}, "verbose": True}}, {"item": Item(name="a"), "verbose": True}),
        (model_and_scalar, {"body": {"name": "a"}, "query": [("verbose", "1")]}, {"item": Item(name="a"), "verbose": True}),
        (model_and_scalar, {"body": {"item": {"name": "a"}}}, {"item": Item(name="a")}),
        (numbers, {"body": {"values": [1, "2"]}}, {"values": [1, 2]}),
        (numbers, {"body": [1, "2"]}, {"values": [1, 2]}),
        (numbers, {"method": "GET", "query": [("values", "1"), ("values", "2")]}, {"values": [1, 2]}),
        (numbers_and_more, {"body": {"values": [1], "scale": 3}}, {"values": [1], "scale": 3}),
        (raw, {"body": b"\x00\xff"}, {"body": b"\x00\xff"}),
        (anything, {"body": {"a": 1}, "query": [("b", "2")]}, {"a": 1, "b": "2"}),
        (anything, {"method": "GET", "query": [("b", "2")]}, {"b": "2"}),
        (bare, {"body": {"x": [1]}}, {"x": [1]}),
        (positional, {"body": {"x": "1", "y": 2}}, {"x": 1, "y": 2}),
        (unresolved, {"body": {"x": {"any": 1}, "y": "2"}}, {"x": {"any": 1}, "y": 2}),
        (starred, {"body": {"x": 2, "args": [1]}}, {"x": 2}),
        (nothing, {"body": b"not even json"}, {}),
        (nothing, {"body": {"a": 1}}, {}),
        (scalars, {"body": b"x=1&note=a+b", "content_type": "application/x-www-form-urlencoded"}, {"x": 1, "note": "a b"}),
        (scalars, {"body": b'{"x":1}', "content_type": "application/x-www-form-urlencoded"}, {"x": 1}),
    ],
)  # fmt: skip
def test_routes(function, given, expected):
    assert bind(function, **given) == expected


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (scalars, {"body": {}}, [("missing", ("body", "x"))]),
        (scalars, {}, [("missing", ("body", "x"))]),
        (scalars, {"method": "GET"}, [("missing", ("query", "x"))]),
        (scalars, {"method": "GET", "query": [("x", "a")]}, [("int_parsing", ("query", "x"))]),
        (scalars, {"query": [("x", "a")]}, [("int_parsing", ("query", "x"))]),
        (scalars, {"body": {"x": "a", "y": "b"}}, [("int_parsing", ("body", "x")), ("float_parsing", ("body", "y"))]),
        (scalars, {"body": [1]}, [("model_attributes_type", ("body",))]),
        (scalars, {"body": b"{"}, [("json_invalid", ("body", 1))]),
        (scalars, {"path": {"x": "a"}, "body": {"y": "b"}}, [("int_parsing", ("path", "x")), ("float_parsing", ("body", "y"))]),
        (whole, {}, [("missing", ("body",))]),
        (whole, {"body": [1]}, [("dict_type", ("body",))]),
        (model, {}, [("missing", ("body",))]),
        (model, {"body": {}}, [("missing", ("body", "name"))]),
        (model, {"body": {"item": {}}}, [("missing", ("body", "item", "name"))]),
        (model, {"body": [1]}, [("model_attributes_type", ("body",))]),
        (dataclass_, {"body": {"x": "a"}}, [("int_parsing", ("body", "x"))]),
        (path_and_model, {"path": {"item_id": "a"}, "body": {}}, [("int_parsing", ("path", "item_id")), ("missing", ("body", "name"))]),
        (model_and_scalar, {"body": {"item": {}}}, [("missing", ("body", "item", "name"))]),
        (numbers, {"body": [1, "a"]}, [("int_parsing", ("body", 1))]),
        (numbers, {"body": {"values": ["a"]}}, [("int_parsing", ("body", "values", 0))]),
        (numbers, {"body": {}}, [("list_type", ("body",))]),
    ],
)  # fmt: skip
def test_routes_that_do_not_fit(function, given, expected):
    with pytest.raises(Unprocessable) as raised:
        bind(function, **given)
    assert [(detail.type, detail.loc) for detail in raised.value.details] == expected
    json.dumps(raised.value.document())


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (scalars, {"x": "1"}, {"x": 1}),
        (whole, {"data": {"a": 1}}, {"data": {"a": 1}}),
        (model, {"item": {"name": "a"}}, {"item": Item(name="a")}),
        (anything, {"a": 1}, {"a": 1}),
        (nothing, {}, {}),
        (bare, {"x": 1, "y": 3}, {"x": 1, "y": 3}),
    ],
)
def test_keywords(function, given, expected):
    assert Binding(function).keywords(given) == expected


@pytest.mark.parametrize(
    ("function", "given", "words"),
    [
        (scalars, {}, "x: Field required"),
        (scalars, {"x": 1, "z": 2}, "z: Unexpected argument; the parameters are: x, y, flag, note"),
        (scalars, {"x": 1, "flga": 2}, "did you mean 'flag'?"),
        (scalars, {"x": 1, "y": "b"}, "y: Input should be a valid number"),
        (nothing, {"a": 1}, "the parameters are: none"),
        (scalars, [1], "input: Input should be an object of keyword arguments"),
    ],
)
def test_keywords_that_do_not_fit(function, given, words):
    with pytest.raises(Unprocessable, match="(?s).*") as raised:
        Binding(function).keywords(given)
    assert words in str(raised.value)
