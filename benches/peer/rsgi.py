"""The same function on granian's own interface, without a framework."""

import json
from typing import Any

JSON = [("content-type", "application/json")]


async def app(scope: Any, protocol: Any) -> None:
    if scope.method == "POST" and scope.path == "/add":
        arguments = json.loads(await protocol())
        protocol.response_str(200, JSON, json.dumps(arguments["x"] + arguments["y"]))
    elif scope.path == "/ping":
        protocol.response_str(200, JSON, '{"status":"healthy"}')
    else:
        protocol.response_empty(404, [])
