"""Scripts on the developer's machine: a real HTTP server plays the mothership."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import tetra_rp
from tetra_rp import LiveServerless, ResourceManager, _payload, _running, remote, trace

PICKLE = "application/vnd.flash.pickle"
PROBLEM = "application/problem+json"


@remote(LiveServerless(name="gpu"))
async def infer(text: str) -> str: ...


class Mothership:
    """Answers each request with the next of `answers`: (status, content type, body)."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, bytes]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections: set[Any] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.connections.add(self.client_address)
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                status, content_type, reply = outer.answers.pop(0)
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)
                if status == 299:  # ends the connection without having said so
                    self.close_connection = True

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def result(self, value: Any) -> None:
        self.answers.append((200, PICKLE, _payload.dump_bytes(value)))

    def problem(self, status: int, document: dict[str, Any]) -> None:
        self.answers.append((status, PROBLEM, json.dumps(document).encode()))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mothership(client_context, monkeypatch):
    mothership = Mothership()
    monkeypatch.setenv("FLASH_MOTHERSHIP_URL", mothership.url)
    monkeypatch.setenv("FLASH_TOKEN", "s3cret")
    yield mothership
    mothership.close()


def test_a_call_and_its_result(mothership):
    mothership.result({"label": "good"})
    assert asyncio.run(infer("hi")) == {"label": "good"}
    ((method, path, headers, body),) = mothership.requests
    assert (method, path) == ("POST", "/api/v1/call/infer")
    assert headers["Content-Type"] == PICKLE
    assert headers["Authorization"] == "Bearer s3cret"
    assert _payload.load(body) == {"args": ("hi",), "kwargs": {}}


def test_a_script_can_be_part_of_a_trace(mothership):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    mothership.result(1)
    mothership.result(2)
    with trace.follow(parent, "a=1"):
        asyncio.run(infer("hi"))
    asyncio.run(infer("hi"))
    (_, _, inside, _), (_, _, outside, _) = mothership.requests
    assert (inside["traceparent"], inside["tracestate"]) == (parent, "a=1")
    assert not {"traceparent", "tracestate"} & set(outside)


def test_connections_are_kept(mothership):
    async def several() -> None:
        for _ in range(5):
            mothership.result(1)
            await infer("x")

    asyncio.run(several())
    assert len(mothership.requests) == 5
    assert len(mothership.connections) == 1


def test_a_connection_that_the_server_closed_is_made_again(mothership):
    from tetra_rp._transport import HttpTransport

    transport = HttpTransport()
    mothership.answers.append((299, "text/plain", b""))
    with pytest.raises(tetra_rp.CallError):
        transport._call("infer", {})
    (_, kept), = transport._kept._idle
    assert kept.sock.recv(1, socket.MSG_PEEK) == b""  # waits until the server's end has arrived
    mothership.result(5)
    assert transport._call("infer", {}) == 5


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("FL304", 502, tetra_rp.WorkerDiedError),
        ("FL306", 500, tetra_rp.SerializationError),
        ("FL307", 404, tetra_rp.UnknownFunctionError),
        ("FL308", 401, tetra_rp.UnauthorizedError),
        ("FL309", 503, tetra_rp.OverloadedError),
        ("FL310", 504, tetra_rp.RemoteTimeoutError),
        ("FL312", 503, tetra_rp.WorkerStartError),
        ("FL316", 502, tetra_rp.UnreachableError),
        ("FL318", 422, tetra_rp.ArgumentsError),
        ("FL999", 500, tetra_rp.CallError),
    ],
)
def test_problems_become_exceptions(mothership, code, status, error):
    mothership.problem(status, {"code": code, "title": "t", "status": status, "detail": "what happened", "hint": "do this"})
    with pytest.raises(tetra_rp.FlashError) as raised:
        asyncio.run(infer("x"))
    assert type(raised.value) is error
    assert (raised.value.code, raised.value.status, raised.value.detail) == (code, status, "what happened")
    assert str(raised.value) == f"{code}: what happened (hint: do this)"


def test_remote_exceptions_show_the_remote_traceback(mothership):
    exception = {"type": "ValueError", "message": "bad", "traceback": "Traceback (most recent call last):\n  there\n"}
    mothership.problem(500, {"code": "FL305", "detail": "ValueError: bad", "exception": exception})
    with pytest.raises(tetra_rp.RemoteExecutionError) as raised:
        asyncio.run(infer("x"))
    error = raised.value
    assert (error.remote_type, error.remote_message) == ("ValueError", "bad")
    assert "there" in error.remote_traceback
    assert str(error) == "ValueError: bad\n\nRemote traceback:\nTraceback (most recent call last):\n  there"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "words"),
    [
        (200, "text/html", b"<html>", "not an answer of a mothership: <html>"),
        (502, "text/plain", b"", "answered 502"),
        (500, PROBLEM, b"{", "answered 500"),
        (500, "application/json", b"[]", "answered 500"),
    ],
)
def test_answers_of_something_else(mothership, status, content_type, body, words):
    mothership.answers.append((status, content_type, body))
    with pytest.raises(tetra_rp.CallError, match=words):
        asyncio.run(infer("x"))


def test_broken_results_and_arguments(mothership):
    mothership.answers.append((200, PICKLE, b"\x01\0\0\0"))
    with pytest.raises(tetra_rp.SerializationError, match="cannot be unpickled"):
        asyncio.run(infer("x"))
    with pytest.raises(tetra_rp.SerializationError, match="cannot be pickled"):
        asyncio.run(infer(threading.Lock()))


def test_nothing_listens(client_context, monkeypatch):
    mothership = Mothership()
    mothership.close()
    monkeypatch.setenv("FLASH_MOTHERSHIP_URL", mothership.url)
    with pytest.raises(tetra_rp.NotRunningError, match="start the project with `flash run`"):
        asyncio.run(infer("x"))


def test_the_resource_manager_reports_what_runs(mothership):
    manifest = {"resources": {"gpu": {"endpoint_id": "e1", "status": "ready"}}}
    for _ in range(2):
        mothership.answers.append((200, "application/json", json.dumps(manifest).encode()))
    manager = ResourceManager()
    assert manager.list_all_resources() == manifest["resources"]
    assert manager.find_resources_by_name("gpu") == [("gpu", manifest["resources"]["gpu"])]
    with pytest.raises(NotImplementedError, match="flash run"):
        asyncio.run(manager.get_or_deploy_resource(LiveServerless(name="gpu")))


class TestFinding:
    """`.flash/run/mothership.json` above the script or the working directory."""

    @pytest.fixture(autouse=True)
    def no_environment(self, monkeypatch, tmp_path):
        monkeypatch.delenv("FLASH_MOTHERSHIP_URL", raising=False)
        monkeypatch.setattr("__main__.__file__", str(tmp_path / "elsewhere" / "script.py"), raising=False)

    @pytest.fixture(autouse=True)
    def locks(self):
        with ExitStack() as self.held:
            yield

    def announce(self, folder, url):
        (folder / ".flash/run").mkdir(parents=True)
        self.lock(folder)
        document = {"url": url, "token": "t", "pid": 1, "mothership_id": "m"}
        (folder / ".flash/run/mothership.json").write_text(json.dumps(document))

    def lock(self, folder):
        lock = self.held.enter_context((folder / ".flash/run/mothership.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_nearest_project_upward(self, tmp_path, monkeypatch):
        inner = tmp_path / "project" / "workers" / "gpu"
        inner.mkdir(parents=True)
        self.announce(tmp_path / "project", "http://127.0.0.1:1/")
        monkeypatch.chdir(inner)
        found = _running.find_running()
        assert (found.url, found.token) == ("http://127.0.0.1:1", "t")

    def test_the_scripts_project_comes_first(self, tmp_path, monkeypatch):
        for name in ("mine", "other"):
            (tmp_path / name).mkdir()
            self.announce(tmp_path / name, f"http://{name}")
        monkeypatch.setattr("__main__.__file__", str(tmp_path / "mine" / "script.py"))
        monkeypatch.chdir(tmp_path / "other")
        assert _running.find_running().url == "http://mine"

    def test_none(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(tetra_rp.NotRunningError, match="no running project.*start it with `flash run`"):
            _running.find_running()

    def test_a_half_written_file_counts_as_none(self, tmp_path, monkeypatch):
        self.announce(tmp_path, "x")
        (tmp_path / ".flash/run/mothership.json").write_text("{")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(tetra_rp.NotRunningError):
            _running.find_running()

    @pytest.mark.parametrize("lock", ["kept", "removed"])
    def test_a_dead_motherships_announcement_is_not_believed(self, tmp_path, monkeypatch, lock):
        inner = tmp_path / "inner"
        inner.mkdir()
        self.announce(inner, "http://stale")
        self.held.close()
        if lock == "removed":
            (inner / ".flash/run/mothership.lock").unlink()
        monkeypatch.chdir(inner)
        with pytest.raises(tetra_rp.NotRunningError, match="no running project"):
            _running.find_running()
        self.announce(tmp_path, "http://outer")
        assert _running.find_running().url == "http://outer"
        monkeypatch.setenv("FLASH_MOTHERSHIP_URL", "http://given")
        assert _running.find_running().url == "http://given"

    def test_looking_leaves_the_lock_as_it_was(self, tmp_path, monkeypatch):
        self.announce(tmp_path, "http://mine")
        monkeypatch.chdir(tmp_path)
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        assert _running.find_running().url == "http://mine"
        self.held.close()
        with pytest.raises(tetra_rp.NotRunningError):
            _running.find_running()
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) == before - 1
        self.lock(tmp_path)  # raises if looking had kept it

    def test_a_killed_mothership_lets_go_of_its_lock(self, tmp_path, monkeypatch):
        self.announce(tmp_path, "http://mine")
        self.held.close()
        monkeypatch.chdir(tmp_path)
        source = (
            "import fcntl, sys; lock = open('.flash/run/mothership.lock', 'w'); fcntl.flock(lock, fcntl.LOCK_EX); "
            "print('locked', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"locked\n"
            assert _running.find_running().url == "http://mine"
            holder.kill()
        with pytest.raises(tetra_rp.NotRunningError):
            _running.find_running()
