"""Decorated classes: the class and its objects, standing in for those that live in a worker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Union

from tetra_rp import _context


class RemoteClass:
    """Stands for a decorated class under its name.

    Calling it stores the constructor's arguments and contacts nobody. Class attributes can be read, and it can be used in
    `isinstance`, in annotations and as a base class, where the class itself is meant.
    """

    def __init__(self, original: type, config: dict[str, Any]) -> None:
        functools.update_wrapper(self, original, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
        self.__flash_original__ = original
        self.__remote_config__ = config
        self._flash_signatures: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> RemoteObject:
        import inspect

        original = self.__flash_original__
        try:
            inspect.signature(original).bind(*args, **kwargs)
        except ValueError:
            pass  # a constructor written in C tells no signature
        except TypeError as error:
            raise TypeError(f"{self.__name__}(): {error}") from None
        return RemoteObject(self, args, kwargs)

    def __instancecheck__(self, instance: Any) -> bool:
        if isinstance(instance, RemoteObject):
            return issubclass(instance._flash_class.__flash_original__, self.__flash_original__)
        return isinstance(instance, self.__flash_original__)

    def __subclasscheck__(self, subclass: Any) -> bool:
        return issubclass(getattr(subclass, "__flash_original__", subclass), self.__flash_original__)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self.__flash_original__,)

    def __or__(self, other: Any) -> Any:
        return Union[self.__flash_original__, other]

    def __ror__(self, other: Any) -> Any:
        return Union[other, self.__flash_original__]

    def _flash_check(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises `TypeError` if the method cannot take these arguments."""
        signature = self._flash_signatures.get(name)
        if signature is None:
            signature = self._flash_signatures[name] = _signature(self.__flash_original__, name, f"{self.__name__}.{name}")
        signature.check(args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("__flash_original__", "__remote_config__", "__wrapped__", "_flash_signatures"):
            raise AttributeError(name)
        return getattr(self.__flash_original__, name)

    def __reduce__(self) -> str:
        return str(self.__qualname__)

    def __repr__(self) -> str:
        return f"<remote class {self.__module__}.{self.__qualname__}>"


class RemoteObject:
    """Stands for an object of a decorated class. Its public methods are awaited and run where the object lives.

    In the resource's own worker that is a real object in this process, shared with calls from outside; anywhere else each call
    names the constructor's arguments, and the worker makes the object at the first.
    """

    def __init__(self, kind: RemoteClass, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._flash_class = kind
        self._flash_args = args
        self._flash_kwargs = kwargs
        self._flash_local: Any = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kind = self.__dict__.get("_flash_class")
        if kind is None or name.startswith("_"):
            raise AttributeError(name)
        return self._flash_method(kind, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _defines_call(self._flash_class.__flash_original__):
            raise TypeError(f"objects of {self._flash_class.__name__} cannot be called: the class has no __call__")
        return self._flash_method(self._flash_class, "__call__")(*args, **kwargs)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._flash_class.__flash_original__) if not name.startswith("_")]

    def __repr__(self) -> str:
        shown = [*map(repr, self._flash_args), *(f"{name}={value!r}" for name, value in self._flash_kwargs.items())]
        return f"<remote {self._flash_class.__name__}({', '.join(shown)})>"

    def _flash_method(self, kind: RemoteClass, name: str) -> Callable[..., Any]:
        function = getattr(kind.__flash_original__, name, None)
        if function is None:
            from tetra_rp._fields import did_you_mean

            known = [known for known in dir(kind.__flash_original__) if not known.startswith("_")]
            raise AttributeError(f"{kind.__name__} has no public method {name!r}; {did_you_mean(name, known)}")
        if not callable(function):
            # A class attribute or property: the value lives with the object, elsewhere.
            raise AttributeError(f"{kind.__name__}.{name} is not a method, and only methods can be reached remotely")

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            context = _context.current()
            if kind.__name__ in context.own:
                return await self._flash_run_here(context, name, args, kwargs)
            kind._flash_check(name, args, kwargs)
            argument = {
                "args": args,
                "kwargs": kwargs,
                "method": name,
                "constructor_args": self._flash_args,
                "constructor_kwargs": self._flash_kwargs,
            }
            return await context.transport.call(kind.__name__, argument)

        return call

    async def _flash_run_here(
        self, context: _context.Context, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        from tetra_rp._remote import run_here

        original = self._flash_class.__flash_original__
        if context.construct is not None:
            local = await context.construct(self._flash_class.__name__, original, self._flash_args, self._flash_kwargs)
        else:
            if self._flash_local is None:
                self._flash_local = original(*self._flash_args, **self._flash_kwargs)
            local = self._flash_local
        return await run_here(getattr(local, name), args, kwargs)


def _defines_call(kind: type) -> bool:
    return any("__call__" in vars(base) for base in kind.__mro__[:-1])


def _signature(kind: type, name: str, shown: str) -> Any:
    """The `LazySignature` of a method as its objects have it, that is without `self`."""
    import inspect

    from tetra_rp._remote import LazySignature

    stored = inspect.getattr_static(kind, name, None)
    method = getattr(kind, name)
    if isinstance(stored, (staticmethod, classmethod)):
        return LazySignature(shown, method)
    if inspect.isfunction(stored):
        return LazySignature(shown, stored.__get__(object()))
    return LazySignature(shown, lambda *args, **kwargs: None)  # something callable of another kind; the worker knows
