from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import threading
from typing import Any, Optional

import pytest

from tetra_rp import CpuLiveLoadBalancer, LiveLoadBalancer, LiveServerless, _context, remote

gpu = LiveServerless(name="gpu")
api = LiveLoadBalancer(name="api")


@remote(gpu, dependencies=["torch"], system_dependencies=["ffmpeg"])
async def infer(text: str, *, top: int = 1) -> list[str]:
    """Says what the text is."""
    return [text] * top


@remote(gpu)
def plain(x: int) -> tuple[int, str]:
    return x, threading.current_thread().name


@remote(gpu)
class Model:
    """A model."""

    size = 7

    def __init__(self, name: str) -> None:
        self.name = name

    def predict(self, x: int) -> str:
        return f"{self.name}{x}"

    async def describe(self) -> str:
        return self.name

    def __call__(self, x: int) -> int:
        return x + 1

    def _secret(self) -> None: ...


class Recording:
    """A transport that notes calls and answers with a fixed value."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answer = answer

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        self.calls.append((function, argument))
        return self.answer


@pytest.fixture
def transport(client_context):
    transport = Recording("far")
    _context.replace(_context.Context(transport))
    return transport


@pytest.fixture
def own(client_context):
    transport = Recording("far")
    _context.replace(_context.Context(transport, resource="gpu", own=frozenset(("infer", "plain", "Model"))))
    return transport


def test_a_decorated_function_keeps_its_face():
    assert infer.__name__ == "infer"
    assert infer.__doc__ == "Says what the text is."
    assert list(inspect.signature(infer).parameters) == ["text", "top"]
    assert inspect.iscoroutinefunction(infer) and inspect.iscoroutinefunction(plain)
    assert pickle.loads(pickle.dumps(infer)) is infer
    assert infer.__flash_original__ is infer.__wrapped__
    assert infer.__remote_config__ == {
        "resource_config": gpu,
        "method": None,
        "path": None,
        "dependencies": ["torch"],
        "system_dependencies": ["ffmpeg"],
    }


def test_calls_go_through_the_transport(transport):
    assert asyncio.run(infer("a", top=2)) == "far"
    assert asyncio.run(plain(1)) == "far"
    assert transport.calls == [
        ("infer", {"args": ("a",), "kwargs": {"top": 2}}),
        ("plain", {"args": (1,), "kwargs": {}}),
    ]


def test_own_functions_run_here(own):
    assert asyncio.run(infer("a", top=2)) == ["a", "a"]
    result, thread = asyncio.run(plain(3))
    assert result == 3
    assert thread != threading.current_thread().name  # a sync function does not hold up the loop
    assert own.calls == []


def test_the_place_is_decided_when_the_call_is_made(client_context):
    call = infer("a")
    _context.replace(_context.Context(Recording("later")))
    assert asyncio.run(call) == "later"


def test_arguments_are_checked_before_they_travel(transport):
    with pytest.raises(TypeError, match=r"infer\(\): got an unexpected keyword argument 'tpo'"):
        asyncio.run(infer("a", tpo=1))
    assert transport.calls == []


def test_local_returns_the_object_itself():
    def function(): ...

    class Kind: ...

    assert remote(gpu, local=True)(function) is function
    assert remote(gpu, local=True)(Kind) is Kind
    assert function.__remote_config__["resource_config"] is gpu


def test_a_decorated_class_keeps_its_face():
    assert (Model.__name__, Model.__doc__, Model.__module__, Model.size) == ("Model", "A model.", __name__, 7)
    assert isinstance(Model("a"), Model)
    assert isinstance(Model.__flash_original__("a"), Model)
    assert not isinstance(3, Model)
    assert (Model | None) == Optional[Model.__flash_original__]
    assert (None | Model) == Optional[Model.__flash_original__]
    assert pickle.loads(pickle.dumps(Model)) is Model
    assert pickle.loads(pickle.dumps(Model("a")))._flash_args == ("a",)
    assert repr(Model("a")) == "<remote Model('a')>"
    assert Model.__remote_config__["resource_config"] is gpu
    assert dir(Model("a")) == ["describe", "predict", "size"]

    class Larger(Model):
        pass

    assert Larger("x").predict(1) == "x1"
    assert issubclass(Larger, Model)


def test_methods_go_through_the_transport(transport):
    model = Model("a")
    assert asyncio.run(model.predict(1)) == "far"
    assert asyncio.run(model(2)) == "far"
    assert inspect.iscoroutinefunction(model.predict)
    constructor = {"constructor_args": ("a",), "constructor_kwargs": {}}
    assert transport.calls == [
        ("Model", {"args": (1,), "kwargs": {}, "method": "predict", **constructor}),
        ("Model", {"args": (2,), "kwargs": {}, "method": "__call__", **constructor}),
    ]


def test_arguments_of_methods_are_checked_before_they_travel(transport):
    @remote(gpu)
    class Voice:
        def speak(self, text: str, *, speed: int = 1): ...

        @staticmethod
        def languages(prefix): ...

        @classmethod
        def load(cls, name): ...

        def anything(*args, **kwargs): ...

        shout = functools.partialmethod(speak, speed=2)

    voice = Voice()
    for call, words in [
        (lambda: voice.speak(), r"Voice\.speak\(\): missing a required argument: 'text'"),
        (lambda: voice.speak("a", sped=1), r"Voice\.speak\(\): got an unexpected keyword argument 'sped'"),
        (lambda: voice.speak("a", 2), r"Voice\.speak\(\): too many positional arguments"),
        (lambda: voice.languages(), r"Voice\.languages\(\): missing a required argument: 'prefix'"),
        (lambda: voice.load("a", "b"), r"Voice\.load\(\): too many positional arguments"),
        (lambda: Model("a")(), r"Model\.__call__\(\): missing a required argument: 'x'"),
    ]:
        with pytest.raises(TypeError, match=words):
            asyncio.run(call())
    assert transport.calls == []
    for call in [
        lambda: voice.speak("a", speed=2),
        lambda: voice.languages("d"),
        lambda: voice.load("a"),
        lambda: voice.anything(1, x=2),
        lambda: voice.shout("a"),
    ]:
        assert asyncio.run(call()) == "far"
    assert len(transport.calls) == 5


def test_methods_of_own_classes_run_on_one_real_object(own):
    model = Model("a")
    assert asyncio.run(model.predict(1)) == "a1"
    assert asyncio.run(model.describe()) == "a"
    assert asyncio.run(model(1)) == 2
    assert own.calls == []


def test_what_a_class_does_not_have():
    model = Model("a")
    with pytest.raises(AttributeError, match="Model has no public method 'predcit'; did you mean 'predict'?"):
        _ = model.predcit
    with pytest.raises(AttributeError, match="Model.size is not a method"):
        _ = model.size
    with pytest.raises(AttributeError):
        _ = model._secret
    with pytest.raises(TypeError, match=r"Model\(\): missing a required argument: 'name'"):
        Model()

    @remote(gpu)
    class Silent:
        def run(self): ...

    with pytest.raises(TypeError, match="the class has no __call__"):
        Silent()()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"depndencies": ["torch"]}, TypeError, "no argument 'depndencies'; did you mean 'dependencies'?"),
        ({"dependencies": "torch"}, TypeError, "dependencies is a list of text, not 'torch'"),
        ({"resource_config": LiveServerless}, TypeError, "the class; make one with a name"),
        ({"resource_config": "gpu"}, TypeError, "resource_config is 'gpu'"),
        ({"resource_config": api}, ValueError, "needs method and path, got method=None, path=None"),
        ({"resource_config": api, "method": "POST"}, ValueError, "path=None"),
        ({"resource_config": api, "method": "post", "path": "/x"}, ValueError, "did you mean 'POST'?"),
        ({"resource_config": api, "method": "HEAD", "path": "/x"}, ValueError, "allowed: GET, POST, PUT, DELETE, PATCH"),
        ({"resource_config": api, "method": "GET", "path": "x"}, ValueError, "path is 'x'; it has to start with '/'"),
    ],
)
def test_wrong_declarations(given, error, words):
    with pytest.raises(error) as raised:

        @remote(**{"resource_config": gpu, **given})
        def function(): ...

    assert words in str(raised.value)


def test_validation_happens_when_the_decorator_is_applied():
    remote(api)  # no function yet, so nothing to refuse


def test_a_route_on_a_queue_resource_is_a_warning():
    with pytest.warns(UserWarning, match="are ignored, because LiveServerless is a queue resource"):

        @remote(gpu, method="GET", path="/x")
        def function(): ...


def test_decorating_twice_is_refused():
    with pytest.raises(TypeError, match="twice"):
        remote(gpu)(infer)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_routes(verb):
    @remote(CpuLiveLoadBalancer(name="api"), method=verb, path="/x")
    def function(): ...

    assert (function.__remote_config__["method"], function.__remote_config__["path"]) == (verb, "/x")
