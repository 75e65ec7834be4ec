"""The user's own web application."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request

import pytest
from gateway import CALL, FAILED, READY, RESULT, STOP, Gateway

from tetra_rp import _payload
from tetra_rp._worker import _asgi, _asgi_uvicorn

SOURCE = """
    from contextlib import asynccontextmanager
    from fastapi import FastAPI
    from tetra_rp import LiveServerless, remote

    state = {}

    @asynccontextmanager
    async def lifespan(app):
        state["up"] = True
        yield
        print("went down", flush=True)

    app = FastAPI(lifespan=lifespan)

    @remote(LiveServerless(name="model"))
    def infer(x): ...

    @app.get("/")
    async def root():
        return state

    @app.get("/infer/{x}")
    async def route(x: int):
        return await infer(x)
"""


def get(gateway: Gateway, path: str) -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.first.header['port']}{path}", timeout=30) as response:
        return json.load(response)


either_server = pytest.mark.parametrize("server", _asgi.SERVERS)


@either_server
def test_an_application_is_served_on_the_port_that_ready_tells(worker, server):
    gateway = worker(SOURCE, [], asgi="main:app", environment={_asgi.SERVER_VARIABLE: server})
    assert get(gateway, "/") == {"up": True}
    gateway.send(STOP, 0)
    assert gateway.at_end()
    assert gateway.exit_code() == 0
    assert "went down" in gateway.log.read_text()


@either_server
def test_its_calls_go_through_the_gateway(worker, server):
    gateway = worker(SOURCE, [], asgi="main:app", environment={_asgi.SERVER_VARIABLE: server})

    def answer() -> None:
        call = gateway.receive()
        assert call.kind == CALL
        gateway.send(RESULT, call.call_id, None, _payload.dump_bytes({"got": call.value()["args"][0]}))

    answering = threading.Thread(target=answer)
    answering.start()
    assert get(gateway, "/infer/5") == {"got": 5}
    answering.join()


def test_a_failing_start_up_is_failed(project):
    source = """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI

        @asynccontextmanager
        async def lifespan(app):
            raise OSError("no database")
            yield

        app = FastAPI(lifespan=lifespan)
    """
    with Gateway(project(source), [], asgi="main:app") as gateway:
        assert gateway.first.kind == FAILED
        assert "start-up of main:app failed" in gateway.first.header["message"]
        assert gateway.exit_code() == 1
        assert "no database" in gateway.log.read_text()


def test_a_missing_variable_is_failed(project):
    with Gateway(project("x = 1"), [], asgi="main:app") as gateway:
        assert gateway.first.kind == FAILED
        assert "module main has no app" in gateway.first.header["message"]


def test_a_missing_uvicorn_is_failed_with_a_hint(project):
    files = {"uvicorn.py": 'raise ModuleNotFoundError("No module named \'uvicorn\'", name="uvicorn")'}
    with Gateway(project("app = object()", **files), [], asgi="main:app") as gateway:
        assert gateway.first.kind == FAILED
        assert "add `uvicorn`" in gateway.first.header["message"]


def test_the_listener_names_its_protocol():
    with _asgi_uvicorn.listen() as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_answers_on_kept_connections_are_not_held_back(worker):
    source = """
        import asyncio, gc, socket
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/")
        async def root():
            sockets = [
                found.get_extra_info("socket") for found in gc.get_objects()
                if type(found).__name__ == "_SelectorSocketTransport"
            ]
            return [
                bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                for found in sockets if found.family == socket.AF_INET
            ]
    """
    assert get(worker(source, [], asgi="main:app"), "/") == [True]


def test_applications_find_siblings_in_import_paths(project):
    files = {"nested/sibling.py": "x = 5", "nested/web.py": "from sibling import x\nasync def app(*_): ..."}
    folder = project("", **files)
    with Gateway(folder, [], asgi="nested.web:app") as gateway:
        assert gateway.first.kind == FAILED
    with Gateway(folder, [], asgi="nested.web:app", import_paths=[str(folder / "nested")]) as gateway:
        assert gateway.first.kind == READY


def handshake(gateway: Gateway) -> bytes:
    with socket.create_connection(("127.0.0.1", gateway.first.header["port"]), timeout=30) as client:
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer


def test_a_handshake_without_a_package_for_it_is_answered_and_logged_once(project):
    source = """
        async def app(scope, receive, send):
            assert scope["type"] == "lifespan"
    """
    missing = {f"{package}.py": "raise ImportError" for package in ("websockets", "wsproto")}
    with Gateway(project(source, **missing), [], asgi="main:app") as gateway:
        for _ in range(2):
            head, _, body = handshake(gateway).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 501 Not Implemented\r\n")
            problem = json.loads(body)
            assert (problem["status"], problem["code"]) == (501, "FL321")
            assert "add `websockets`" in problem["hint"]
        gateway.send(STOP, 0)
        assert gateway.exit_code() == 0
        assert gateway.log.read_text().count("add `websockets`") == 1
