"""Base of declarative objects: made from keywords, checked, then never changed."""

from __future__ import annotations

from tetra_rp._fields import REQUIRED, Field, did_you_mean

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Declared:
    """Subclasses declare fields as class attributes; objects are compared and hashed by class and values."""

    __slots__ = ("__dict__", "_given")
    _fields: ClassVar[dict[str, Field]] = {}
    if TYPE_CHECKING:
        _given: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fields: dict[str, Field] = {}
        for base in reversed(cls.__mro__):
            fields.update({name: value for name, value in vars(base).items() if isinstance(value, Field)})
        cls._fields = fields

    def __init__(self, **given: Any) -> None:
        kind = type(self).__name__
        for name in given:
            if name not in self._fields:
                raise TypeError(f"{kind} has no field {name!r}; {did_you_mean(name, self._fields)}")
        values = self.__dict__
        for name, field in self._fields.items():
            if name in given:
                values[name] = field.check(f"{kind}.{name}", given[name])
            elif field.default is REQUIRED:
                raise TypeError(f"{kind} needs {name}=")
            else:
                values[name] = field.make_default()
        # What the caller wrote, before it is settled; beside `__dict__`, because it is no part of the value.
        object.__setattr__(self, "_given", {name: values[name] for name in given})
        self._settle(frozenset(given))

    def _settle(self, given: frozenset[str]) -> None:
        """For rules between fields; `given` are the names that were passed. May write to `__dict__`."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"{type(self).__name__} cannot be changed once made ({name} = …): declare it with the right value"
        )

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._given)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), tuple(_frozen(value) for value in self.__dict__.values())))

    # Pickled and copied by state; without these, unpickling would go through the __setattr__ that refuses.
    def __getstate__(self) -> dict[str, Any]:
        return {"values": dict(self.__dict__), "given": self._given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "_given", state["given"])
        self.__dict__.update(state["values"])


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((name, _frozen(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    return value
