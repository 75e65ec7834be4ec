"""Form bodies → fields: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578)."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from tetra_rp._http import UploadFile
from tetra_rp._worker._failures import INVALID_BODY, CallRefused
from tetra_rp._worker._frames import Body

FIELDS_MAX = 1000
PART_HEADERS_SIZE_MAX_BYTES = 8 * 1024
BOUNDARY_LENGTH_MAX_CHARS = 70

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')


class Fields(dict[str, list[Any]]):
    """All values of each name, texts and files, in order."""

    def plain(self) -> dict[str, Any]:
        """One value where there is one."""
        return {name: values[0] if len(values) == 1 else values for name, values in self.items()}


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def urlencoded(body: Body) -> Fields:
    """Raises `CallRefused`."""
    fields = Fields()
    try:
        pairs = urllib.parse.parse_qsl(
            str(body, "utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise _too_many() from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def multipart(body: Body, content_type: str) -> Fields:
    """Raises `CallRefused`."""
    data = bytes(body)
    boundary = _parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= BOUNDARY_LENGTH_MAX_CHARS:
        raise _broken("its content type names no boundary")
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    fields = Fields()
    count = 0
    at = 0 if data.startswith(delimiter) else data.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise _broken("its boundary is not in it")
    while True:
        at += len(delimiter)
        if data.startswith(b"--", at):
            return fields
        begin = data.find(b"\r\n", at)
        split = data.find(b"\r\n\r\n", begin)
        if begin < 0 or split < 0 or data[at:begin].strip():
            raise _broken("a part of it has no headers")
        if split - begin > PART_HEADERS_SIZE_MAX_BYTES:
            raise _broken("a part's headers are too large")
        end = data.find(b"\r\n" + delimiter, split + 2)
        if end < 0:
            raise _broken("it ends before its last boundary")
        count += 1
        if count > FIELDS_MAX:
            raise _too_many()
        name, value = _part(data[begin + 2 : split], data[split + 4 : end])
        fields.setdefault(name, []).append(value)
        at = end + 2


def _part(head: bytes, content: bytes) -> tuple[str, Any]:
    headers = []
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, separator, value = line.partition(":")
        if separator:
            headers.append((name.strip().lower(), value.strip()))
    disposition = next((value for name, value in headers if name == "content-disposition"), "")
    parameters = _parameters(disposition)
    if "name" not in parameters:
        raise _broken("a part of it has no name")
    filename = parameters.get("filename")
    if "filename*" in parameters:
        filename = urllib.parse.unquote(parameters["filename*"].rpartition("'")[2])
    if filename is None:
        return parameters["name"], content.decode("utf-8", "replace")
    return parameters["name"], UploadFile(content, filename, headers)


def _parameters(value: str) -> dict[str, str]:
    found = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        # Browsers write a quote as %22 and leave backslashes alone; others escape both.
        text = re.sub(r'\\(["\\])', r"\1", quoted).replace("%22", '"') if quoted else plain.strip()
        found.setdefault(name.lower(), text)
    return found


def _broken(reason: str) -> CallRefused:
    return CallRefused(INVALID_BODY, 400, f"the form cannot be read: {reason}")


def _too_many() -> CallRefused:
    return _broken(f"it has more than {FIELDS_MAX} fields")
