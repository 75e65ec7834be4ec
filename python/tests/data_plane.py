"""A small provider: jobs that end after some polls, routes that echo, tokens that are looked at. A real HTTP server."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class DataPlane:
    """Serves `/v2/{endpoint}/…` and `/lb/{endpoint}/…` of the endpoints in `queues` and `routes`, and `/manifest`.

    A job's input says what becomes of it: `{"polls": 2}` ends at the third look, `{"fail": "text"}` fails, others echo their input.
    `{"yields": [["a"], [], ["b"]]}` is what `/stream` gives, answer by answer, before the job ends.
    """

    def __init__(self, key: str, *, queues: tuple[str, ...] = (), routes: tuple[str, ...] = ()) -> None:
        self.key = key
        self.queues = queues
        self.routes = routes
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        # That many next requests are cut off without an answer.
        self.cut = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if outer.cut > 0:
                    outer.cut -= 1
                    self.close_connection = True
                    return
                address = urlsplit(self.path)
                document = json.loads(body) if body else None
                outer.requests.append((self.command, self.path, document))
                if self.headers.get("authorization") != f"Bearer {outer.key}":
                    self.reply(401, {"error": "who are you?"})
                    return
                self.reply(*outer.serve(self.command, address.path, parse_qs(address.query), document))

            def reply(self, status: int, document: Any) -> None:
                plain = isinstance(document, str)
                body = b"" if document is None else document.encode() if plain else json.dumps(document).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", outer.url)
                self.send_header("content-type", "text/html" if plain else "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def serve(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        if path == "/manifest":
            return 200, {"resources": {name: {"endpoint_id": f"ep-{name}"} for name in self.queues + self.routes}}
        _, door, endpoint, *rest = path.split("/")
        known = {"v2": self.queues, "lb": self.routes}.get(door, ())
        if endpoint not in known and endpoint not in {f"ep-{name}" for name in known}:
            return 404, {
                "code": "FL315", "status": 404, "detail": f"there is no endpoint {endpoint!r}", "hint": "there is: others",
            }  # fmt: skip
        if door == "lb":
            return self.route(method, "/" + "/".join(rest), query, document)
        return self.queue(method, rest, query, document)

    def route(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        answers: dict[str, tuple[int, Any]] = {
            "/nothing": (204, None), "/page": (200, "<p>hi</p>"), "/moved": (302, None), "/broken": (500, {"error": "boom"}),
            "/refused": (422, {"detail": [{"loc": ["body", "x"]}]}),
        }  # fmt: skip
        return answers.get(path, (200, {"method": method, "path": path, "query": query, "data": document}))

    def queue(self, method: str, rest: list[str], query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        verb = f"{method} {rest[0]}"
        if verb in ("POST run", "POST runsync"):
            job_id = f"job-{len(self.jobs) + 1}"
            job = {"id": job_id, "status": "IN_QUEUE", "input": document["input"], "polls": 0}
            self.jobs[job_id] = job
            if verb == "POST runsync":
                self.look(job)
            return 200, self.view(job)
        job = self.jobs.get(rest[1])
        if job is None:
            return 404, {"error": "no such job"}
        if verb == "POST cancel":
            job["status"] = "CANCELLED"
        elif verb == "GET stream":
            return self.stream(job)
        elif verb == "GET status":
            self.look(job)
        return 200, self.view(job)

    def stream(self, job: dict[str, Any]) -> tuple[int, Any]:
        left = job.setdefault("left", list(job["input"].get("yields", ())))
        parts = left.pop(0) if left else []
        if not left and not parts:
            self.look(job)
            if job["status"] == "CANCELLED":
                return 409, {"code": "FL401", "status": 409, "detail": "the job was cancelled"}
        return 200, {"status": job["status"], "stream": [{"output": part} for part in parts]}

    def look(self, job: dict[str, Any]) -> None:
        given = job["input"]
        job["polls"] += 1
        if job["status"] in ("IN_QUEUE", "IN_PROGRESS"):
            if job["polls"] <= given.get("polls", 0):
                job["status"] = "IN_PROGRESS"
            elif "fail" in given:
                job.update(status="FAILED", error=given["fail"])
            else:
                job.update(status="COMPLETED", output=given)

    def view(self, job: dict[str, Any]) -> dict[str, Any]:
        return {name: job[name] for name in ("id", "status", "output", "error") if name in job}
