"""Input → keyword arguments of a function.

Two ways in: a route (path, query and HTTP body; mismatches become FastAPI's 422) and a plain object of keyword arguments.
Everything that depends on the function alone is worked out once, when the code is loaded.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tetra_rp._http import Headers, cookies_of
from tetra_rp._worker import _convert, _forms, _markers, _requests, _uploads
from tetra_rp._worker._convert import Convert
from tetra_rp._worker._failures import INVALID_BODY, CallRefused
from tetra_rp._worker._forms import Fields
from tetra_rp._worker._frames import Body
from tetra_rp._worker._mismatch import Detail, Mismatch

_QUERY_ONLY = frozenset(("GET", "HEAD", "OPTIONS"))
# Without a body, as with most clients, they are like those above.
_BODY_OPTIONAL = frozenset(("DELETE",))
# Where FastAPI's markers say that an argument is, beside path and body.
_ASIDE = frozenset(("query", "header", "cookie"))
_OF_BODY = frozenset(("body", "form", "file"))
_EXACT_TYPES = frozenset((int, float, bool, str))
_NOTHING: Any = object()


class Unprocessable(Exception):
    """Arguments that do not fit; `details` is what FastAPI puts under `detail`."""

    def __init__(self, details: list[Detail]) -> None:
        super().__init__("; ".join(f"{_place(detail.loc)}: {detail.msg}" for detail in details))
        self.details = details

    def document(self) -> dict[str, Any]:
        return {"detail": [detail.document() for detail in self.details]}


class Parameter:
    """A parameter that can be filled by name."""

    __slots__ = ("annotation", "convert", "exact", "fallback", "is_embedded", "key", "many", "model", "name", "object", "required", "source")

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.key = name
        self.source: str | None = None
        self.fallback: Callable[[], Any] | None = None
        self.is_embedded = False
        required = default is inspect.Parameter.empty
        marker = _markers.find(name, annotation, default)
        if marker is not None:
            annotation, required = marker.annotation, marker.required
            self.source, self.key, self.fallback = marker.source, marker.key, marker.fallback
            self.is_embedded = marker.is_embedded
        self.annotation = annotation
        self.required = required
        self.convert: Convert | None = _convert.converter(annotation)
        if self.source == "file" and self.convert is not None and not _uploads.takes_upload(annotation):
            self.convert = _of_contents(self.convert)
        # A value of exactly this type needs no conversion: the usual case, decided without a call.
        self.exact: type | None = annotation if annotation in _EXACT_TYPES else None
        self.many = _convert.takes_many(annotation)
        # Its fields are parameters of their own.
        self.model = _convert.model_of(annotation) if self.source in _ASIDE else None
        self.object = _convert.takes_object(annotation)

    def of(self, value: Any) -> Any:
        if self.convert is None or type(value) is self.exact:
            return value
        return self.convert(value)


class Binding:
    """How a function, method or class is given its arguments by name."""

    def __init__(self, function: Callable[..., Any], *, skip_first: bool = False) -> None:
        """`skip_first`: the function is a method looked up on its class, so its first parameter is `self`."""
        described: Any = vars(function).get("__init__", function) if isinstance(function, type) else function
        hints = _convert.hints_of(described)
        self.parameters: list[Parameter] = []
        self.takes_any = False
        # Parameters that are the request itself, which nobody names in a body or query.
        self.requests: list[tuple[str, type]] = []
        positional_only: list[str] = []
        for name, parameter in _parameters(function, skip_first):
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = True
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                annotation = hints.get(name, Any)
                if _requests.is_request(annotation):
                    self.requests.append((name, annotation))
                    continue
                self.parameters.append(Parameter(name, annotation, parameter.default))
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    positional_only.append(name)
        self.is_marked = any(parameter.source is not None for parameter in self.parameters)
        self.names = frozenset(parameter.name for parameter in self.parameters)
        self.positional_only = tuple(positional_only)

    def keywords(self, given: Any) -> dict[str, Any]:
        """A plain object of keyword arguments, converted. Raises `Unprocessable`."""
        if not isinstance(given, dict):
            raise Unprocessable([Detail("dict_type", (), "Input should be an object of keyword arguments", given)])
        arguments: dict[str, Any] = {}
        details: list[Detail] = []
        for parameter in self.parameters:
            if parameter.name in given:
                _fill(arguments, details, parameter, given[parameter.name], ())
            elif parameter.required:
                details.append(Detail("missing", (parameter.name,), "Field required", given))
        if len(given) > len(arguments):
            for name in given.keys() - self.names:
                if self.takes_any:
                    arguments[name] = given[name]
                else:
                    details.append(Detail("unexpected_keyword_argument", (name,), self._unexpected(name), given[name]))
        if details:
            raise Unprocessable(details)
        if self.is_marked:
            self.fall_back(arguments)
        return arguments

    def route(
        self,
        method: str,
        path: Mapping[str, str],
        query: Iterable[tuple[str, str]],
        head: Mapping[str, Any] | None = None,
    ) -> Route:
        """Arguments for one combination of path and query; the body comes with `Route.binder()`.

        `head` (`method`, `target`, `headers`) is there for bindings that need it.
        """
        return Route(self, method, path, query, head or {})

    def fall_back(self, arguments: dict[str, Any]) -> None:
        """Arguments that are missing and whose default is not the function's own."""
        for parameter in self.parameters:
            if parameter.fallback is not None and parameter.name not in arguments:
                arguments[parameter.name] = parameter.fallback()

    @property
    def needs_head(self) -> bool:
        """Calls of it must say what the request was beside its path, query and body."""
        return bool(self.requests) or any(parameter.source in ("header", "cookie") for parameter in self.parameters)

    def requested(self, head: Mapping[str, Any], path: Mapping[str, str], body: Body) -> dict[str, Any]:
        """The parameters that are the request."""
        return {name: _requests.make(kind, head, path, body) for name, kind in self.requests}

    def _unexpected(self, name: str) -> str:
        import difflib  # only on the way to an error

        close = difflib.get_close_matches(name, self.names, n=1)
        known = ", ".join(parameter.name for parameter in self.parameters) or "none"
        hint = f"did you mean {close[0]!r}?" if close else f"the parameters are: {known}"
        return f"Unexpected argument; {hint}"


class Route:
    """A function's arguments as far as path and query tell; reusable for calls that share them."""

    def __init__(
        self,
        binding: Binding,
        method: str,
        path: Mapping[str, str],
        query: Iterable[tuple[str, str]],
        head: Mapping[str, Any],
    ) -> None:
        self._binding = binding
        self._head = head
        self._path = path
        self._query: dict[str, list[str]] = {}
        for name, text in query:
            self._query.setdefault(name, []).append(text)
        self._in_path = [parameter for parameter in binding.parameters if parameter.key in path]
        self._aside = [parameter for parameter in binding.parameters if parameter.source in _ASIDE]
        self._rest = [
            parameter for parameter in binding.parameters if parameter.key not in path and parameter.source not in _ASIDE
        ]
        self._reads_body = method not in _QUERY_ONLY
        self._body_optional = method in _BODY_OPTIONAL
        self._whole = self._whole_body() if self._reads_body else None
        self._raw = self._rest[0] if len(self._rest) == 1 and self._rest[0].annotation is bytes else None
        # Field by field is enough: the body is an object and nothing else supplies arguments.
        self._simple = (
            self._reads_body
            and not path
            and not self._query
            and self._whole is None
            and self._raw is None
            and not binding.takes_any
            and not binding.is_marked
        )
        self._fields = [(field.name, field.exact, field.convert, field.required) for field in self._rest]

    def binder(self) -> Callable[[Body, str], dict[str, Any]]:
        """Body and content type → keyword arguments. Raises `Unprocessable` and `CallRefused`."""
        return self._bind_whole if self._binding.requests or self._binding.is_marked else self.bind

    def _bind_whole(self, body: Body, content_type: str) -> dict[str, Any]:
        """With the parameters that are the request itself, and those that FastAPI's markers place."""
        binding = self._binding
        details: list[Detail] = []
        aside = self._from_head(details)
        try:
            arguments = self.bind(body, content_type)
        except Unprocessable as mismatch:
            raise Unprocessable([*details, *mismatch.details]) from None
        if details:
            raise Unprocessable(details)
        arguments.update(aside)
        if binding.requests:
            arguments.update(binding.requested(self._head, self._path, body))
        binding.fall_back(arguments)
        return arguments

    def _from_head(self, details: list[Detail]) -> dict[str, Any]:
        """Query, header and cookie parameters that are marked as such."""
        arguments: dict[str, Any] = {}
        if not self._aside:
            return arguments
        headers = Headers(self._head.get("headers", ()))
        sources: dict[str, Mapping[str, list[str]]] = {
            "query": self._query,
            "header": {name: headers.get_all(name) for name in headers},
            "cookie": {name: [text] for name, text in cookies_of(headers.get_all("cookie")).items()},
        }
        for parameter in self._aside:
            source = parameter.source or ""
            if parameter.model is not None:
                _fill_model(arguments, details, parameter, sources[source], source)
                continue
            texts = sources[source].get(parameter.key.lower() if source == "header" else parameter.key, [])
            if texts:
                texts = texts[:1] if source == "header" and not parameter.many else texts
                _fill(arguments, details, parameter, _from_texts(parameter, texts), (source,))
            elif parameter.required:
                details.append(Detail("missing", (source, parameter.key), "Field required", None))
        return arguments

    def bind(self, body: Body, content_type: str) -> dict[str, Any]:
        """The keyword arguments that path, query and body make. Raises `Unprocessable`."""
        if self._simple:
            try:
                given = _loads(body)
            except ValueError:
                given = None  # the long way round explains it
            if type(given) is dict:
                arguments: dict[str, Any] = {}
                for name, exact, convert, required in self._fields:
                    value = given.get(name, _NOTHING)
                    if value is _NOTHING:
                        if required:
                            break
                    elif convert is None or type(value) is exact:
                        arguments[name] = value
                    else:
                        try:
                            arguments[name] = convert(value)
                        except Mismatch:
                            break
                else:
                    return arguments
        return self._bind_slowly(body, content_type)

    def _bind_slowly(self, body: Body, content_type: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        details: list[Detail] = []
        for parameter in self._in_path:
            _fill(arguments, details, parameter, self._path[parameter.key], ("path",))
        if not self._reads_body or (self._body_optional and not body):
            self._from_query(arguments, details)
        elif self._raw is not None:
            arguments[self._raw.name] = bytes(body)
        elif self._rest or self._binding.takes_any:
            given = _read(body, content_type)
            self._from_body(arguments, details, given)
        if details:
            raise Unprocessable(details)
        return arguments

    def _whole_body(self) -> Parameter | None:
        """The parameter that stands for the whole body, if one does."""
        marked = [parameter for parameter in self._rest if parameter.source in _OF_BODY]
        if len(marked) == 1 and marked[0].source == "body" and not marked[0].is_embedded:
            return marked[0]
        if any(parameter.is_embedded for parameter in marked):
            return None
        if len(self._rest) == 1:
            return self._rest[0] if self._rest[0].object or self._rest[0].many else None
        objects = [parameter for parameter in self._rest if parameter.object]
        others = [parameter for parameter in self._rest if not parameter.object]
        # FastAPI's rule: beside one object, scalars come from the query.
        if len(objects) == 1 and all(not other.required or other.name in self._query for other in others):
            return objects[0]
        return None

    def _from_body(self, arguments: dict[str, Any], details: list[Detail], given: Any) -> None:
        whole = self._whole
        alone = len(self._rest) == 1
        if whole is None:
            self._from_fields(arguments, details, given)
        elif given is _NOTHING:
            if whole.name in self._query:
                self._from_fields(arguments, details, given)
                return
            if whole.required:
                details.append(Detail("missing", ("body",), "Field required", None))
            self._from_query(arguments, details, skip=whole)
        elif isinstance(given, Fields) and not whole.object:
            self._from_fields(arguments, details, given)
        elif isinstance(given, Fields):
            self._take(arguments, details, whole, given.plain())
            self._from_query(arguments, details, skip=whole)
        elif isinstance(given, dict) and alone and whole.object:
            self._from_object(arguments, details, whole, given)
        elif isinstance(given, dict) and any(parameter.name in given for parameter in self._rest):
            self._from_fields(arguments, details, given)
        else:
            self._take(arguments, details, whole, given)
            self._from_query(arguments, details, skip=whole)

    def _take(self, arguments: dict[str, Any], details: list[Detail], whole: Parameter, given: Any) -> None:
        """The body is the argument."""
        try:
            arguments[whole.name] = whole.of(given)
        except Mismatch as mismatch:
            details.extend(detail.under("body") for detail in mismatch.details)

    def _from_object(
        self, arguments: dict[str, Any], details: list[Detail], whole: Parameter, given: dict[str, Any]
    ) -> None:
        """The body is the argument, or holds it under its name where the whole would not do."""
        unfit: list[Detail] = []
        self._take(arguments, unfit, whole, given)
        if unfit and given.keys() == {whole.name}:
            unfit = []
            _fill(arguments, unfit, whole, given[whole.name], ("body",))
        details.extend(unfit)

    def _from_query(self, arguments: dict[str, Any], details: list[Detail], skip: Parameter | None = None) -> None:
        for parameter in self._rest:
            if parameter is skip:
                continue
            texts = self._query.get(parameter.key)
            if texts is not None:
                _fill(arguments, details, parameter, _from_texts(parameter, texts), ("query",))
            elif parameter.required:
                details.append(Detail("missing", ("query", parameter.key), "Field required", None))
        if self._binding.takes_any:
            for name, texts in self._query.items():
                if name not in self._binding.names:
                    arguments.setdefault(name, texts[-1])

    def _from_fields(self, arguments: dict[str, Any], details: list[Detail], given: Any) -> None:
        """The body is an object with the arguments by name; the query has what it lacks."""
        fields = given if isinstance(given, dict) else {}
        if given is not _NOTHING and not isinstance(given, dict):
            if any(field.object or field.source is not None for field in self._rest):
                # As FastAPI says it: what is no object has none of the fields, whether they are needed or not.
                details.extend(Detail("missing", ("body", field.key), "Field required", None) for field in self._rest)
                return
            if given is not None:
                words = "Input should be a valid dictionary or object to extract fields from"
                details.append(Detail("model_attributes_type", ("body",), words, given))
                return
        shown = None if given is _NOTHING else given
        for parameter in self._rest:
            key = parameter.key
            if key in fields:
                value = fields[key]
                if isinstance(given, Fields):
                    value = value if parameter.many else value[-1]
                _fill(arguments, details, parameter, value, ("body",))
            elif key in self._query and parameter.source is None:
                _fill(arguments, details, parameter, _from_texts(parameter, self._query[key]), ("query",))
            elif parameter.required:
                details.append(Detail("missing", ("body", key), "Field required", shown))
        if self._binding.takes_any:
            for name, texts in self._query.items():
                if name not in self._binding.names:
                    arguments[name] = texts[-1]
            for name, value in fields.items():
                if name not in self._binding.names:
                    arguments[name] = value[-1] if isinstance(given, Fields) else value


def _parameters(function: Callable[..., Any], skip_first: bool) -> list[tuple[str, inspect.Parameter]]:
    try:
        found = list(inspect.signature(function).parameters.items())
    except (TypeError, ValueError):  # a callable written in C without a signature
        return [("arguments", inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD))]
    return found[1:] if skip_first else found


def _of_contents(convert: Convert) -> Convert:
    """For files that are wanted as bytes, by converters that know nothing of files."""

    def of_contents(value: Any) -> Any:
        if isinstance(value, list):
            return convert([_uploads.content_of(item) for item in value])
        return convert(_uploads.content_of(value))

    return of_contents


def _fill(
    arguments: dict[str, Any], details: list[Detail], parameter: Parameter, value: Any, place: tuple[str, ...]
) -> None:
    try:
        arguments[parameter.name] = parameter.of(value)
    except Mismatch as mismatch:
        details.extend(detail.under(*place, parameter.key) for detail in mismatch.details)


def _fill_model(
    arguments: dict[str, Any], details: list[Detail], parameter: Parameter, texts: Mapping[str, list[str]], source: str
) -> None:
    """One text for each field, all of them for a list; the model says what it thinks of those that are none."""
    given: dict[str, Any] = {}
    left = dict(texts)
    shown: dict[str, str] = {}
    for name, field in parameter.model.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias or name
        key = alias.replace("_", "-").lower() if source == "header" and alias == name else alias
        shown[alias] = key
        values = left.pop(key, [])
        if values:
            given[alias] = values if _convert.takes_many(field.annotation) else values[0 if source == "header" else -1]
    if not given and not parameter.required:
        return
    given.update((name, values[0] if len(values) == 1 else values) for name, values in left.items())
    try:
        arguments[parameter.name] = parameter.of(given)
    except Mismatch as mismatch:
        for detail in mismatch.details:
            first, *rest = detail.loc or ("",)
            details.append(detail._replace(loc=(source, shown.get(first, first), *rest)))


def _from_texts(parameter: Parameter, texts: list[str]) -> Any:
    """Query values of one name: all of them for a list, else the last; an object is JSON text."""
    if parameter.many:
        return texts
    if parameter.object:
        try:
            return _loads(texts[-1].encode())
        except ValueError:
            return texts[-1]
    return texts[-1]


def _read(body: Body, content_type: str) -> Any:
    """The body's JSON value, or its form's `Fields`; `_NOTHING` if empty. Raises `Unprocessable` and `CallRefused`."""
    if not body:
        return _NOTHING
    media_type = _forms.media_type(content_type)
    if media_type == _forms.MULTIPART:
        return _forms.multipart(body, content_type)
    try:
        return _loads(body)
    except ValueError as error:
        if media_type == _forms.URLENCODED:
            return _forms.urlencoded(body)
        if media_type not in ("", "application/json") and not media_type.endswith("+json"):
            raise CallRefused(
                INVALID_BODY, 415, f"a body of type {media_type} is neither JSON nor a form, and the function takes its bytes by no parameter"
            ) from None
        at = error.pos if isinstance(error, json.JSONDecodeError) else 0
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        if isinstance(error, UnicodeDecodeError):
            raise CallRefused(INVALID_BODY, 400, f"the body is no text in UTF-8: {error}") from None
        raise Unprocessable([Detail("json_invalid", ("body", at), f"JSON decode error: {reason}", {})]) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_scan = _DECODER.scan_once


def _loads(body: Body) -> Any:
    """Strict JSON. Raises `ValueError`."""
    text = str(body, "utf-8")
    try:
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            return _DECODER.decode(text)  # white space in front, or a real error
        if end != len(text):
            return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


loads = _loads


def _place(loc: tuple[Any, ...]) -> str:
    return ".".join(map(str, loc)) or "input"
