"""Finding the project's running mothership from a script on the developer's machine."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tetra_rp._errors import NotRunningError

URL_VARIABLE = "FLASH_MOTHERSHIP_URL"
TOKEN_VARIABLE = "FLASH_TOKEN"
ANNOUNCEMENT = Path(".flash", "run", "mothership.json")
# Beside the announcement; a mothership holds it as long as it lives, and the kernel lets go of it however that ends.
LOCK_NAME = "mothership.lock"


class Announcement(NamedTuple):
    """Where a mothership listens; `source` says how it was found."""

    url: str
    token: str
    source: str


def find_running() -> Announcement:
    """The mothership of `FLASH_MOTHERSHIP_URL`, else of the nearest project around the script or the working directory.

    Raises `NotRunningError`.
    """
    url = os.environ.get(URL_VARIABLE)
    if url:
        return Announcement(url.rstrip("/"), os.environ.get(TOKEN_VARIABLE, ""), URL_VARIABLE)
    places = list(_starting_points())
    for place in places:
        for folder in (place, *place.parents):
            found = _read(folder / ANNOUNCEMENT)
            if found is not None:
                return found
    looked = " and ".join(str(place) for place in places)
    raise NotRunningError(
        f"no running project: no {ANNOUNCEMENT} of a live mothership in {looked} or above; "
        f"start it with `flash run`, or set {URL_VARIABLE}"
    )


def _starting_points() -> Iterator[Path]:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script:
        yield Path(script).resolve().parent
    here = Path.cwd()
    if not script or Path(script).resolve().parent != here:
        yield here


def _read(path: Path) -> Announcement | None:
    """What a mothership that still runs announces.

    An announcement that outlived its mothership must not be believed: whoever listens on the port by now would be given the
    token, and its answers would be unpickled.
    """
    if not _is_locked(path.with_name(LOCK_NAME)):
        return None
    try:
        document = json.loads(path.read_text("utf-8"))
        return Announcement(str(document["url"]).rstrip("/"), str(document.get("token") or ""), str(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # gone in the meantime, or half written: as if it were not there


def _is_locked(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no locks on this file system, so no mothership either: it would have refused to start
    finally:
        os.close(descriptor)  # releases the lock too
    return False
