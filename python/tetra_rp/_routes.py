"""Paths of HTTP routes: what they may look like, and which of them catch the same requests."""

from __future__ import annotations

# Answered by Flash itself.
RESERVED_PATHS = ("/execute", "/manifest", "/ping")
RESERVED_PREFIX = "/_flash"


def check_path(label: str, path: object) -> str:
    """`path` if a function may serve it. Raises `TypeError` and `ValueError`."""
    if not isinstance(path, str):
        raise TypeError(f"{label} is text, not {path!r} ({type(path).__name__})")
    if not path.startswith("/"):
        raise ValueError(f"{label} is {path!r}; it has to start with '/'")
    if any(character.isspace() or not character.isprintable() or character in "?#\\" for character in path):
        raise ValueError(f"{label} is {path!r}; use letters, digits, '-', '_', '.', '/' and {{parameters}}")
    names: list[str] = []
    for segment in path.split("/"):
        if "{" not in segment and "}" not in segment:
            continue
        name = parameter(segment)
        if not name.isidentifier():
            raise ValueError(f"{label} is {path!r}; write a parameter as a whole segment {{name}}, not {segment!r}")
        if name in names:
            raise ValueError(f"{label} is {path!r}, which has {{{name}}} twice")
        names.append(name)
    if path.rstrip("/") in RESERVED_PATHS or path == RESERVED_PREFIX or path.startswith(f"{RESERVED_PREFIX}/"):
        raise ValueError(
            f"{label} is {path!r}, which Flash answers itself; "
            f"choose another than {', '.join(RESERVED_PATHS)} and anything below {RESERVED_PREFIX}"
        )
    return path


def parameter(segment: str) -> str:
    """`{name}` or `{name:kind}` → `name`; "" for anything else."""
    if not (segment.startswith("{") and segment.endswith("}")):
        return ""
    return segment[1:-1].partition(":")[0]


def shape(path: str) -> tuple[str, ...]:
    """The path's segments with `{}` for a parameter and `{*}` for one that takes the rest; equal for paths that catch the
    same requests."""
    segments = []
    for segment in path.split("/"):
        if parameter(segment):
            segments.append("{*}" if segment.endswith(":path}") else "{}")
        else:
            segments.append(segment)
    return tuple(segments)
