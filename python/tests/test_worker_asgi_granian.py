"""What is granian's own way, beside what `test_worker_asgi.py` asks of either server."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal

import pytest
import websockets.sync.client
from gateway import FAILED, STOP, Gateway
from test_worker_asgi import SOURCE

from tetra_rp._worker._terminate import EXIT_TERMINATED

GRANIAN = {"FLASH_ASGI_SERVER": "granian"}

PLAIN = """
    import asyncio, pathlib

    async def app(scope, receive, send):
        assert scope["type"] in ("http", "websocket")      # no life span
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": (await receive())["text"]})
            await send({"type": "websocket.close", "code": 1000})
            return
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-own", b"1")]})
        if scope["path"] == "/slow":
            pathlib.Path("begun").touch()
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
        if scope["path"] == "/back":
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
                await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": scope["path"].encode()})
"""


def connect(gateway: Gateway) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.first.header["port"], timeout=30))


def test_an_application_without_a_life_span_is_served_bodies_and_all(worker):
    gateway = worker(PLAIN, [], asgi="main:app", environment=GRANIAN)
    body = bytes(range(256)) * 8192
    with connect(gateway) as connection:
        for _ in range(2):
            connection.request("POST", "/back", body=body)
            answer = connection.getresponse()
            assert (answer.status, answer.headers["x-own"]) == (201, "1")
            assert answer.read() == body + b"/back"
        # A connection that nothing is under way on holds up nobody.
        gateway.send(STOP, 0)
        assert gateway.at_end()


def test_what_is_under_way_at_the_end_is_finished(worker, tmp_path):
    gateway = worker(PLAIN, [], asgi="main:app", environment=GRANIAN)
    with connect(gateway) as connection:
        connection.request("GET", "/slow")
        while not (tmp_path / "begun").exists():
            pass
        gateway.send(STOP, 0)
        (tmp_path / "go").touch()
        assert connection.getresponse().read() == b"/slow"
    assert gateway.at_end()
    assert gateway.exit_code() == 0


def test_websockets_are_spoken(worker):
    gateway = worker(PLAIN, [], asgi="main:app", environment=GRANIAN)
    with websockets.sync.client.connect(f"ws://127.0.0.1:{gateway.first.header['port']}/", proxy=None) as client:
        client.send("there and back")
        assert client.recv() == "there and back"


def test_a_failing_start_up_is_failed(project):
    source = """
        async def app(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
    """
    with Gateway(project(source), [], asgi="main:app", environment=GRANIAN) as gateway:
        assert gateway.first.kind == FAILED
        assert "start-up of main:app failed" in gateway.first.header["message"]
        assert gateway.exit_code() == 1
        assert "no database" in gateway.log.read_text()


@pytest.mark.parametrize(
    ("server", "told"),
    [("granian", "add `granian` to"), ("hypercorn", "FLASH_ASGI_SERVER is 'hypercorn'; it may be uvicorn or granian")],
)
def test_a_server_that_is_not_there_is_failed_with_a_hint(project, server, told):
    files = {"granian/__init__.py": 'raise ModuleNotFoundError("No module named \'granian\'", name="granian")'}
    folder = project("app = object()", **files)
    with Gateway(folder, [], asgi="main:app", environment={"FLASH_ASGI_SERVER": server}) as gateway:
        assert gateway.first.kind == FAILED
        assert told in json.dumps(gateway.first.header)


def test_sigterm_ends_it(worker):
    gateway = worker(SOURCE, [], asgi="main:app", environment=GRANIAN)
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.exit_code() == EXIT_TERMINATED
