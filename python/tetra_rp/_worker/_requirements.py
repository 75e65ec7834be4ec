"""Which of the packages that an `/execute` request names are not installed here. Nothing is ever installed.

Versions are compared only where both are plain numbers: the standard library does not know Python's rules for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)", re.DOTALL)
_CLAUSE = re.compile(r"(==|!=|>=|<=|>|<)\s*(\d+(?:\.\d+)*)")
_RELEASE = re.compile(r"\d+(?:\.\d+)*")
_DEBIAN_STATUS = Path("/var/lib/dpkg/status")

_COMPARED: dict[str, Callable[[int], bool]] = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
}


def missing(requirements: Iterable[str]) -> list[str]:
    """Python requirements that are not met, each with what is there instead."""
    return [lack for lack in map(_lack, requirements) if lack is not None]


def missing_system(packages: Iterable[str], status: Path = _DEBIAN_STATUS) -> list[str]:
    """System packages that Debian's package database does not have as installed; without a database all of them."""
    wanted = list(packages)
    if not wanted:
        return []
    try:
        text = status.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    installed = {
        entry.split("\n", 1)[0].removeprefix("Package: ")
        for entry in text.split("\n\n")
        if "\nStatus: install ok installed" in entry
    }
    return [name for name in wanted if name not in installed]


def _lack(requirement: str) -> str | None:
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        return f"{requirement!r} (not a requirement)"
    name, rest = match.groups()
    from importlib import metadata  # takes a worker's start longer than all of this file

    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return requirement
    if rest.startswith("@"):
        return None  # where it was installed from is not known
    clauses = rest.split(";", 1)[0].strip().strip("()").split(",")
    if all(_holds(clause.strip(), installed) for clause in clauses):
        return None
    return f"{requirement} (installed: {installed})"


def _holds(clause: str, installed: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None or _RELEASE.fullmatch(installed) is None:
        return True
    operator, wanted = match.groups()
    return _COMPARED[operator](_order(installed, wanted))


def _order(left: str, right: str) -> int:
    pairs = zip_longest(map(int, left.split(".")), map(int, right.split(".")), fillvalue=0)
    return next((a - b for a, b in pairs if a != b), 0)
