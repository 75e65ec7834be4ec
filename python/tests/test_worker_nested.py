"""User code that calls decorated functions: own ones here, others through the gateway."""

from __future__ import annotations

from gateway import CALL, ERROR, RESULT

from tetra_rp import _payload

SOURCE = """
    import asyncio
    from tetra_rp import LiveLoadBalancer, LiveServerless, RemoteExecutionError, UnknownFunctionError, remote

    api = LiveLoadBalancer(name="api")
    model = LiveServerless(name="model")

    @remote(model)
    async def infer(text: str, *, top: int = 1): ...

    @remote(model)
    class Model:
        def __init__(self, name): ...
        def predict(self, x): ...

    @remote(api, method="POST", path="/double")
    def double(x: int):
        return x * 2

    @remote(api, method="POST", path="/own")
    async def own(x: int):
        return await double(x) + await double(x)

    @remote(api, method="POST", path="/own_from_sync")
    def own_from_sync(x: int):
        return asyncio.run(double(x))

    @remote(api, method="POST", path="/classify")
    async def classify(text: str):
        return await infer(text, top=2)

    @remote(api, method="POST", path="/classify_sync")
    def classify_sync(text: str):
        return asyncio.run(infer(text))

    @remote(api, method="POST", path="/both")
    async def both():
        return await asyncio.gather(infer("a"), infer("b"))

    @remote(api, method="POST", path="/predict")
    async def predict():
        return await Model("big").predict(3)

    @remote(api, method="POST", path="/wrong")
    async def wrong():
        return await infer()

    @remote(api, method="POST", path="/caught")
    async def caught():
        try:
            await infer("x")
        except RemoteExecutionError as error:
            return ["execution", error.remote_type, error.remote_message, error.remote_traceback]
        except UnknownFunctionError as error:
            return ["unknown", error.code, error.status, str(error)]

    @remote(api, method="POST", path="/dates")
    async def dates():
        import datetime
        return (await infer(datetime.date(2026, 1, 2))).isoformat()
"""
FUNCTIONS = [
    "double", "own", "own_from_sync", "classify", "classify_sync", "both", "predict", "wrong", "caught", "dates",
]  # fmt: skip


def begin(gateway, function, body=None):
    return gateway.begin({"form": "route", "function": function}, {} if body is None else body)


def test_own_functions_run_here(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    assert gateway.route("own", {"x": 2}).json() == 8
    assert gateway.route("own_from_sync", {"x": 2}).json() == 4


def test_other_resources_are_called_through_the_gateway(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, argument in [
        ("classify", {"args": ("hi",), "kwargs": {"top": 2}}),
        ("classify_sync", {"args": ("hi",), "kwargs": {}}),
    ]:
        outer = begin(gateway, function, {"text": "hi"})
        call = gateway.receive()
        assert (call.kind, call.header, call.value()) == (CALL, {"form": "pickle", "function": "infer"}, argument)
        gateway.send(RESULT, call.call_id, None, _payload.dump_bytes({"label": "good"}))
        answer = gateway.receive()
        assert (answer.call_id, answer.json()) == (outer, {"label": "good"})


def test_several_calls_are_under_way_at_once(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    outer = begin(gateway, "both")
    calls = [gateway.receive(), gateway.receive()]
    for call in reversed(calls):
        gateway.send(RESULT, call.call_id, None, _payload.dump_bytes(call.value()["args"][0].upper()))
    answer = gateway.receive()
    assert (answer.call_id, answer.json()) == (outer, ["A", "B"])


def test_classes_are_called_with_their_constructors_arguments(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    begin(gateway, "predict")
    call = gateway.receive()
    assert call.header["function"] == "Model"
    assert call.value() == {
        "args": (3,), "kwargs": {}, "method": "predict", "constructor_args": ("big",), "constructor_kwargs": {},
    }  # fmt: skip
    gateway.send(RESULT, call.call_id, None, _payload.dump_bytes(9))
    assert gateway.receive().json() == 9


def test_arguments_that_cannot_fit_do_not_travel(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    answer = gateway.route("wrong")
    assert answer.header["type"] == "TypeError"
    assert answer.header["message"] == "infer(): missing a required argument: 'text'"


def test_values_beyond_plain_data_cross(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    begin(gateway, "dates")
    call = gateway.receive()
    gateway.send(RESULT, call.call_id, None, call.body[:0] + _payload.dump_bytes(call.value()["args"][0]))
    assert gateway.receive().json() == "2026-01-02"


def test_remote_errors_are_raised_where_the_call_was(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for header, expected in [
        (
            {"code": "FL305", "status": 500, "type": "pkg.Broken", "message": "no", "traceback": "Traceback…\n"},
            ["execution", "pkg.Broken", "no", "Traceback…\n"],
        ),
        (
            {"code": "FL307", "status": 404, "type": "", "message": "no infer; known are: a, b", "traceback": ""},
            ["unknown", "FL307", 404, "FL307: no infer; known are: a, b"],
        ),
    ]:
        begin(gateway, "caught")
        gateway.send(ERROR, gateway.receive().call_id, header)
        assert gateway.receive().json() == expected


def test_uncaught_remote_errors_pass_through_with_both_tracebacks(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    begin(gateway, "classify", {"text": "x"})
    header = {"code": "FL305", "status": 500, "type": "ValueError", "message": "no", "traceback": "far away\n"}
    gateway.send(ERROR, gateway.receive().call_id, header)
    answer = gateway.receive()
    assert (answer.kind, answer.header["code"]) == (ERROR, "FL305")
    assert answer.header["message"] == "ValueError: no"
    assert "far away" in answer.header["traceback"]
    assert "in classify" in answer.header["traceback"]
