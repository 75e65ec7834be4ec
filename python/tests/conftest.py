from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway import READY, Gateway

from tetra_rp import _context

StartWorker = Callable[..., Gateway]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a project: `project(main="…", **{"workers/gpu.py": "…"})` → its folder."""

    def write(main: str = "", **files: str) -> Path:
        for name, source in {"main.py": main, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        return tmp_path

    return write


@pytest.fixture
def worker(project: Callable[..., Path]) -> Iterator[StartWorker]:
    """Starts a ready worker: `worker(source, ["function", …])`."""
    with ExitStack() as stack:

        def start(source: str, functions: list[Any], **options: Any) -> Gateway:
            files = options.pop("files", {})
            gateway = stack.enter_context(Gateway(project(source, **files), functions, **options))
            assert gateway.first.kind == READY, gateway.first
            return gateway

        yield start


@pytest.fixture
def client_context() -> Iterator[None]:
    """A process that has not decided yet what it is."""
    previous = _context.replace(None)
    yield
    _context.replace(previous)
