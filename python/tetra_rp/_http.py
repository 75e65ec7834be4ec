"""HTTP as user code sees it: `Request`, `Response`, `UploadFile`. Plain values; nothing here talks to anybody."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl


class Headers(Mapping[str, str]):
    """Headers by name in any case; `get_all` for those that come several times, else the first is given."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple((name, value) for name, value in pairs)

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for known, value in self.pairs if known.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        found = self.get_all(name)
        if not found:
            raise KeyError(name)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self.pairs))

    def __len__(self) -> int:
        return len(set(self))

    def __repr__(self) -> str:
        return f"Headers({list(self.pairs)!r})"


class Request:
    """The request that a route is called with: annotate a parameter with this class.

    `path` is decoded, `query` the texts of the query string in order, `body` the bytes as they came.
    """

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str = "",
        headers: Iterable[tuple[str, str]] = (),
        path_params: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = Headers(headers)
        self.path_params = dict(path_params or {})
        self.body = body

    @property
    def query(self) -> dict[str, str]:
        """The last value of each name; `query_pairs` has all."""
        return dict(self.query_pairs)

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query_string, keep_blank_values=True)

    @property
    def cookies(self) -> dict[str, str]:
        return cookies_of(self.headers.get_all("cookie"))

    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """Raises `ValueError`."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


class Response:
    """An answer with its own status and headers.

    `content` is `bytes`, `str`, nothing, a generator (sync or async) that is streamed as it goes, or anything else as JSON.
    """

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        media_type: str | None = None,
    ) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
        self.content = content
        self.status_code = status_code
        self.header_pairs = [(str(name), str(value)) for name, value in pairs]
        self.media_type = media_type

    def set_cookie(
        self,
        key: str,
        value: str = "",
        *,
        max_age: int | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "lax",
    ) -> None:
        from http.cookies import SimpleCookie  # loading it takes longer than most answers

        cookie: SimpleCookie = SimpleCookie()
        cookie[key] = value
        given = {
            "max-age": max_age, "path": path, "domain": domain, "secure": secure, "httponly": httponly, "samesite": samesite,
        }  # fmt: skip
        cookie[key].update({name: setting for name, setting in given.items() if setting not in (None, False)})
        self.header_pairs.append(("set-cookie", cookie[key].OutputString()))

    def delete_cookie(self, key: str, *, path: str = "/") -> None:
        self.set_cookie(key, max_age=0, path=path)

    def __repr__(self) -> str:
        return f"<Response {self.status_code}>"


class UploadFile:
    """A file of a multipart form. Reading it waits for nothing: all of it has arrived.

    Its methods may be awaited or not, so that code written for FastAPI works unchanged: `data = await upload.read()`.
    """

    def __init__(self, content: bytes, filename: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.file = io.BytesIO(content)
        self.filename = filename
        self.size = len(content)
        self.headers = Headers(headers)

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")

    def read(self, size: int = -1) -> Awaitable:
        return Awaitable(self.file.read(size))

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)

    async def close(self) -> None:
        self.file.close()

    def __repr__(self) -> str:
        return f"<UploadFile {self.filename!r}, {self.size} bytes>"


class Awaitable(bytes):
    """Bytes that are there already, for `await` too."""

    __slots__ = ()

    def __await__(self) -> Iterator[Any]:
        return bytes(self)
        yield  # makes it a generator


def _unquoted(value: str) -> str:
    from http.cookies import CookieError, SimpleCookie

    try:
        jar: SimpleCookie = SimpleCookie(f"x={value}")
        return jar["x"].value
    except (CookieError, KeyError):
        return value


def cookies_of(headers: Iterable[str]) -> dict[str, str]:
    """What the Cookie headers say, the first of each name; what cannot be read is left out."""
    found: dict[str, str] = {}
    for header in headers:
        for piece in header.split(";"):
            name, separator, value = piece.partition("=")
            name, value = name.strip(), value.strip()
            if not separator:
                continue
            if value[:1] == '"':
                value = _unquoted(value)
            found.setdefault(name, value)
    return found
