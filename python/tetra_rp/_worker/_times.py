"""Dates, times and durations from JSON: ISO 8601 texts, and numbers of seconds, as pydantic reads them.

Written out because `fromisoformat` reads other texts, and fewer of them before Python 3.11.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from tetra_rp._worker._mismatch import fail

# Numbers beyond are milliseconds.
SECONDS_MAX = 20_000_000_000

_CLOCK = r"(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
_ZONE = r"(?:([Zz])|([+\-\u2212])(\d{2}):?(\d{2}))?"
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_TIME = re.compile(_CLOCK + _ZONE, re.ASCII)
_DATETIME = re.compile(rf"{_DATE.pattern}[Tt _]{_CLOCK}{_ZONE}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_COUNT = r"(\d+(?:\.\d+)?)"
_PERIOD = re.compile(
    rf"([+-]?)P(?:{_COUNT}Y)?(?:{_COUNT}M)?(?:{_COUNT}W)?(?:{_COUNT}D)?(?:T(?:{_COUNT}H)?(?:{_COUNT}M)?(?:{_COUNT}S)?)?",
    re.ASCII,
)
_PERIOD_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
_DAYS = re.compile(rf"([+-]?)(?:(\d+) ?d(?:ays?)?)?(?:,? ?{_CLOCK})?", re.ASCII | re.IGNORECASE)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def to_datetime(value: Any) -> datetime.datetime:
    return _moment(value, "datetime", "datetime_from_date_parsing", "Input should be a valid datetime or date")


def to_date(value: Any) -> datetime.date:
    moment = _moment(value, "date", "date_from_datetime_parsing", "Input should be a valid date or datetime")
    if moment.time() != datetime.time():
        fail("date_from_datetime_inexact", "Datetimes provided to dates should have zero time - e.g. be exact dates", value)
    return moment.date()


def to_time(value: Any) -> datetime.time:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        fail("time_type", "Input should be a valid time", value)
    try:
        if not isinstance(value, str):
            if 0 <= value < 86400:
                return (_EPOCH + datetime.timedelta(seconds=value)).timetz()
        elif (found := _TIME.fullmatch(value)) is not None:
            return datetime.time(*_clock(found.groups()[:4]), tzinfo=_zone(found.groups()[4:]))
    except ValueError:
        pass
    fail("time_parsing", "Input should be in a valid time format", value)


def to_timedelta(value: Any) -> datetime.timedelta:
    if not isinstance(value, (int, float, str)):
        fail("time_delta_type", "Input should be a valid timedelta", value)
    try:
        seconds = _seconds(value) if isinstance(value, str) else value
        return datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        fail("time_delta_parsing", "Input should be a valid timedelta", value)


def _moment(value: Any, name: str, unreadable: str, words: str) -> datetime.datetime:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        fail(f"{name}_type", f"Input should be a valid {name}", value)
    try:
        if not isinstance(value, str):
            return _at(value)
        if (found := _DATETIME.fullmatch(value)) is not None:
            parts = found.groups()
            return datetime.datetime(*map(int, parts[:3]), *_clock(parts[3:7]), tzinfo=_zone(parts[7:]))  # type: ignore[arg-type, misc]
        if (found := _DATE.fullmatch(value)) is not None:
            return datetime.datetime(*map(int, found.groups()))  # type: ignore[arg-type]
        if _NUMBER.fullmatch(value) is not None:
            return _at(float(value) if "." in value else int(value))
    except (ValueError, OverflowError):
        if name == "datetime" and not isinstance(value, str):
            unreadable, words = "datetime_parsing", "Input should be a valid datetime"
    fail(unreadable, words, value)


def _at(number: float) -> datetime.datetime:
    if abs(number) > SECONDS_MAX:
        return _EPOCH + datetime.timedelta(milliseconds=number)
    return _EPOCH + datetime.timedelta(seconds=number)


def _clock(parts: tuple[str | None, ...]) -> tuple[int, int, int, int]:
    hour, minute, second, fraction = parts
    return int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0")[:6])


def _zone(parts: tuple[str | None, ...]) -> datetime.timezone | None:
    zulu, sign, hours, minutes = parts
    if zulu:
        return datetime.timezone.utc
    if not sign:
        return None
    if int(minutes or 0) > 59:
        raise ValueError("an hour has sixty minutes")
    away = datetime.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return datetime.timezone(away if sign == "+" else -away)


def _seconds(text: str) -> float:
    """Raises `ValueError`."""
    if (found := _PERIOD.fullmatch(text)) is not None and any(found.groups()[1:]):
        sign, *counts = found.groups()
        seconds = sum(float(count or 0) * unit for count, unit in zip(counts, _PERIOD_SECONDS, strict=True))
    elif (found := _DAYS.fullmatch(text)) is not None and (found[2] or found[3]):
        sign = found[1]
        hour, minute, second, microsecond = _clock(found.groups()[2:])
        if minute > 59 or second > 59:
            raise ValueError("an hour has sixty minutes, a minute sixty seconds")
        seconds = int(found[2] or 0) * 86400 + hour * 3600 + minute * 60 + second + microsecond / 1_000_000
    else:
        return float(text)  # a number in a query is text
    return -seconds if sign == "-" else seconds
