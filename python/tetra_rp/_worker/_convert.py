"""One value from JSON, or from the text of a path or query, → what an annotation says.

The rules, error types and messages are those of pydantic's lax mode, which users know from FastAPI; pydantic itself is used
only for its own models, and for annotations unknown here when the user's code has imported it.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import sys
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable
from typing import Any, Union

from tetra_rp._http import UploadFile
from tetra_rp._worker import _times, _uploads
from tetra_rp._worker._mismatch import Detail, Mismatch
from tetra_rp._worker._mismatch import fail as _fail

Convert = Callable[[Any], Any]
"""Raises `Mismatch`."""

_TRUE = frozenset(("1", "true", "t", "yes", "y", "on"))
_FALSE = frozenset(("0", "false", "f", "no", "n", "off"))
_NONE_TYPE = type(None)


def converter(annotation: Any) -> Convert | None:
    """How to convert to `annotation`; None where any value is taken as it is."""
    if annotation in (Any, object) or isinstance(annotation, typing.TypeVar):
        return None
    simple: Convert | None = _SIMPLE.get(annotation) if isinstance(annotation, abc.Hashable) else None
    if simple is not None:
        return simple
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _by_pydantic(annotation) or converter(arguments[0])
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    if origin is not None:
        return _container(origin, arguments)
    if hasattr(annotation, "__supertype__"):  # NewType
        return converter(annotation.__supertype__)
    if isinstance(annotation, type):
        return _class(annotation)
    return _by_pydantic(annotation)


def is_model(annotation: Any) -> bool:
    """A pydantic model."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate") and hasattr(annotation, "model_fields")


def model_of(annotation: Any) -> Any:
    """The pydantic model that an annotation names, alone or Optional."""
    if typing.get_origin(annotation) is typing.Annotated:
        return model_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not _NONE_TYPE]
        return model_of(members[0]) if len(members) == 1 else None
    return annotation if is_model(annotation) else None


def takes_object(annotation: Any) -> bool:
    """The annotation describes a whole JSON object: dict, pydantic model, dataclass, TypedDict, or Optional of one."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return takes_object(typing.get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not _NONE_TYPE]
        return bool(members) and all(takes_object(member) for member in members)
    if annotation in (dict, abc.Mapping, abc.MutableMapping) or origin in (dict, abc.Mapping, abc.MutableMapping):
        return True
    if not isinstance(annotation, type):
        return False
    return is_model(annotation) or dataclasses.is_dataclass(annotation) or issubclass(annotation, dict)


def takes_many(annotation: Any) -> bool:
    """The annotation describes a list, set or tuple, or Optional of one."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return takes_many(typing.get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not _NONE_TYPE]
        return bool(members) and all(takes_many(member) for member in members)
    many = (list, set, frozenset, tuple, abc.Sequence, abc.Iterable, abc.Collection, abc.Set)
    return annotation in many or origin in many


def _to_int(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        _fail("int_from_float", "Input should be a valid integer, got a number with a fractional part", value)
    if isinstance(value, str):
        whole, _, fraction = value.partition(".")
        try:
            if not value.isascii():
                raise ValueError
            return int(value if fraction.strip("0") or not fraction else whole)
        except ValueError:
            _fail("int_parsing", "Input should be a valid integer, unable to parse string as an integer", value)
    _fail("int_type", "Input should be a valid integer", value)


def _to_float(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, str):
        try:
            if not value.isascii():
                raise ValueError
            return float(value)
        except ValueError:
            _fail("float_parsing", "Input should be a valid number, unable to parse string as a number", value)
    _fail("float_type", "Input should be a valid number", value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return value == 1
    if isinstance(value, str):
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
    elif not isinstance(value, int):
        _fail("bool_type", "Input should be a valid boolean", value)
    _fail("bool_parsing", "Input should be a valid boolean, unable to interpret input", value)


def _to_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    _fail("string_type", "Input should be a valid string", value)


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    if isinstance(value, UploadFile):
        return _uploads.content_of(value)  # type: ignore[no-any-return]
    _fail("bytes_type", "Input should be a valid bytes", value)


def _to_none(value: Any) -> None:
    if value is not None:
        _fail("none_required", "Input should be None", value)


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    _fail("list_type", "Input should be a valid list", value)


def _to_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    _fail("dict_type", "Input should be a valid dictionary", value)


def _to_uuid(value: Any) -> uuid.UUID:
    if not isinstance(value, str):
        _fail("uuid_type", "UUID input should be a string, bytes or UUID object", value)
    try:
        return uuid.UUID(value)
    except ValueError:
        _fail("uuid_parsing", "Input should be a valid UUID", value)


def _to_path(value: Any) -> pathlib.Path:
    if not isinstance(value, str):
        _fail("path_type", "Input is not a valid path", value)
    return pathlib.Path(value)


def _to_pure_path(value: Any) -> pathlib.PurePath:
    return pathlib.PurePath(_to_path(value))


def _to_decimal(value: Any) -> decimal.Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        _fail("decimal_type", "Decimal input should be an integer, float, string or Decimal object", value)
    try:
        number = decimal.Decimal(str(value))
    except decimal.InvalidOperation:
        _fail("decimal_parsing", "Input should be a valid decimal", value)
    if not number.is_finite():
        _fail("finite_number", "Input should be a finite number", value)
    return number


_SIMPLE: dict[Any, Convert] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_str,
    bytes: _to_bytes,
    None: _to_none,
    _NONE_TYPE: _to_none,
    list: _to_list,
    dict: _to_dict,
    datetime.datetime: _times.to_datetime,
    datetime.date: _times.to_date,
    datetime.time: _times.to_time,
    datetime.timedelta: _times.to_timedelta,
    uuid.UUID: _to_uuid,
    decimal.Decimal: _to_decimal,
    pathlib.Path: _to_path,
    pathlib.PurePath: _to_pure_path,
}


def _union(members: tuple[Any, ...]) -> Convert | None:
    choices = [(member, converter(member)) for member in members]
    if any(convert is None for _, convert in choices):
        return None
    by_type = {member: convert for member, convert in choices if isinstance(member, type)}
    several = [(member, convert) for member, convert in choices if member is not _NONE_TYPE and member is not None]
    optional = len(several) < len(choices)
    if len(several) == 1:
        (only,) = (convert for _, convert in several)
        assert only is not None
        return lambda value: None if value is None else only(value)

    def convert_any(value: Any) -> Any:
        if value is None and optional:
            return None
        exact = by_type.get(type(value))
        details: list[Detail] = []
        if exact is not None:
            try:
                return exact(value)
            except Mismatch as mismatch:
                details.extend(detail.under(type(value).__name__) for detail in mismatch.details)
        for member, convert in several:
            assert convert is not None
            if convert is exact:
                continue
            try:
                return convert(value)
            except Mismatch as mismatch:
                details.extend(detail.under(_name(member)) for detail in mismatch.details)
        raise Mismatch(*details)

    return convert_any


def _literal(choices: tuple[Any, ...]) -> Convert:
    expected = _alternatives(choices)

    def convert(value: Any) -> Any:
        for choice in choices:
            if value == choice and (type(value) is type(choice) or (type(choice) is int and isinstance(value, (bool, float)))):
                return choice
        _fail("literal_error", f"Input should be {expected}", value)

    return convert


def _enumeration(kind: type[enum.Enum]) -> Convert:
    expected = _alternatives(tuple(member.value for member in kind))
    numbers = {str(member.value): member for member in kind if isinstance(member.value, int)}

    def convert(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError:
            if isinstance(value, str) and (member := numbers.get(value.removesuffix(".0"))) is not None:
                return member
            _fail("enum", f"Input should be {expected}", value)

    return convert


def _container(origin: Any, arguments: tuple[Any, ...]) -> Convert | None:
    if origin in (dict, abc.Mapping, abc.MutableMapping):
        return _mapping(*arguments) if len(arguments) == 2 else _to_dict
    if origin is tuple and arguments and Ellipsis not in arguments:
        return _fixed_tuple(arguments)
    make = {
        list: list, abc.Sequence: list, abc.Iterable: list, abc.Collection: list,
        set: set, abc.Set: set, frozenset: frozenset, tuple: tuple,
    }.get(origin)
    if make is None:
        return _by_pydantic(origin)
    name = {set: "set", frozenset: "frozenset", tuple: "tuple"}.get(make, "list")
    item = converter(arguments[0]) if arguments else None

    def convert(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            _fail(f"{name.replace('frozenset', 'frozen_set')}_type", f"Input should be a valid {name}", value)
        return make(value if item is None else _each(item, enumerate(value)))

    return convert


def _each(convert: Convert, items: abc.Iterable[tuple[Any, Any]]) -> list[Any]:
    """Values by their places."""
    converted = []
    details: list[Detail] = []
    for place, value in items:
        try:
            converted.append(convert(value))
        except Mismatch as mismatch:
            details.extend(detail.under(place) for detail in mismatch.details)
    if details:
        raise Mismatch(*details)
    return converted


def _mapping(key: Any, item: Any) -> Convert:
    convert_key, convert_item = converter(key), converter(item)

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            _fail("dict_type", "Input should be a valid dictionary", value)
        converted = {}
        details: list[Detail] = []
        for name, one in value.items():
            try:
                made = name if convert_key is None else convert_key(name)
            except Mismatch as mismatch:
                details.extend(detail.under(name, "[key]") for detail in mismatch.details)
                made = name
            try:
                converted[made] = one if convert_item is None else convert_item(one)
            except Mismatch as mismatch:
                details.extend(detail.under(name) for detail in mismatch.details)
        if details:
            raise Mismatch(*details)
        return converted

    return convert


def _fixed_tuple(members: tuple[Any, ...]) -> Convert:
    converters = [converter(member) for member in members]

    def convert(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            _fail("tuple_type", "Input should be a valid tuple", value)
        if len(value) > len(converters):
            words = f"Tuple should have at most {len(converters)} items after validation, not {len(value)}"
            _fail("too_long", words, value)
        converted = []
        details: list[Detail] = []
        for place, change in enumerate(converters):
            if place >= len(value):
                details.append(Detail("missing", (place,), "Field required", value))
                continue
            try:
                converted.append(value[place] if change is None else change(value[place]))
            except Mismatch as mismatch:
                details.extend(detail.under(place) for detail in mismatch.details)
        if details:
            raise Mismatch(*details)
        return tuple(converted)

    return convert


def _class(kind: type) -> Convert | None:
    if _uploads.is_upload(kind):
        return _upload(kind)
    if is_model(kind):
        return _model(kind)
    if issubclass(kind, enum.Enum):
        return _enumeration(kind)
    if dataclasses.is_dataclass(kind):
        return (_by_pydantic(kind) if hasattr(kind, "__pydantic_validator__") else None) or _dataclass(kind)
    if kind in (tuple, set, frozenset):
        return _container(kind, ())
    by_pydantic = _by_pydantic(kind)
    if by_pydantic is None and issubclass(kind, dict):  # TypedDict
        return _to_dict
    return by_pydantic


def _model(kind: Any) -> Convert:
    # As FastAPI asks for it, which decides what is said of a value that is no object at all.
    return _pydantic_call(lambda value: kind.model_validate(value, from_attributes=True))


def _upload(kind: type) -> Convert:
    def convert(value: Any) -> Any:
        if isinstance(value, UploadFile):
            return _uploads.as_kind(kind, value)
        _fail("value_error", f"Value error, Expected UploadFile, received: {type(value)}", value)

    return convert


def _dataclass(kind: Any) -> Convert:
    hints = hints_of(kind)
    fields = []
    for field in dataclasses.fields(kind):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            fields.append((field.name, converter(hints.get(field.name, Any)), required))

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            _fail("dataclass_type", f"Input should be a dictionary or an instance of {kind.__name__}", value)
        given: dict[str, Any] = {}
        details: list[Detail] = []
        for name, change, required in fields:
            if name not in value:
                if required:
                    details.append(Detail("missing", (name,), "Field required", value))
                continue
            try:
                given[name] = value[name] if change is None else change(value[name])
            except Mismatch as mismatch:
                details.extend(detail.under(name) for detail in mismatch.details)
        if details:
            raise Mismatch(*details)
        try:
            return kind(**given)
        except (TypeError, ValueError) as error:  # __post_init__ refuses
            _fail("value_error", f"Value error, {error}", value)

    return convert


def hints_of(target: Any) -> dict[str, Any]:
    """The annotations of a function or class as objects; those that cannot be evaluated become `Any`."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # names imported under TYPE_CHECKING, broken text: take the others one by one
        pass
    scope = vars(sys.modules.get(getattr(target, "__module__", ""), types.ModuleType("none")))
    found: dict[str, Any] = {}
    for name, annotation in getattr(target, "__annotations__", {}).items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, dict(scope))  # noqa: S307 - the user's own annotation, as typing does
            except Exception:
                annotation = Any
        found[name] = annotation
    return found


def _by_pydantic(annotation: Any) -> Convert | None:
    # Only where user code works with pydantic anyway; importing it for others would cost them a tenth of a second.
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not hasattr(pydantic, "TypeAdapter"):
        return None
    try:
        return _pydantic_call(pydantic.TypeAdapter(annotation).validate_python)
    except Exception:  # an arbitrary class: taken as it is
        return None


def _pydantic_call(validate: Callable[[Any], Any]) -> Convert:
    def convert(value: Any) -> Any:
        try:
            return validate(value)
        except ValueError as error:
            errors = getattr(error, "errors", None)
            if errors is None:
                raise
            raise Mismatch(
                *(
                    Detail(found["type"], tuple(found["loc"]), found["msg"], found["input"])
                    for found in errors(include_url=False, include_context=False)
                )
            ) from None

    return convert


def _alternatives(values: tuple[Any, ...]) -> str:
    shown = [repr(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _name(annotation: Any) -> str:
    """As pydantic calls a member of a union: `int`, `list[int]`, `dict[str,int]`."""
    arguments = typing.get_args(annotation)
    if not arguments:
        name = "..." if annotation is Ellipsis else getattr(annotation, "__name__", str(annotation))
        return f"enum[{name}]" if isinstance(annotation, type) and issubclass(annotation, enum.Enum) else name
    members = ",".join(_name(argument) for argument in arguments)
    return f"{_name(typing.get_origin(annotation))}[{members}]"
