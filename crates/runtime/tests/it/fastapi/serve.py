"""Serves `main:app` as FastAPI does, and writes where that is and which function has which route."""

import inspect
import json
import os
import socket

import uvicorn
from fastapi.routing import APIRoute
from main import app

# Named, so that asyncio sends small answers at once.
listener = socket.socket(proto=socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen()
routes = [
    {
        "name": route.endpoint.__name__,
        "is_async": inspect.iscoroutinefunction(route.endpoint),
        "method": method,
        "path": route.path,
    }
    for route in app.routes
    if isinstance(route, APIRoute)
    for method in route.methods
]
with open("served.json.new", "w") as file:
    json.dump({"port": listener.getsockname()[1], "routes": routes}, file)
os.replace("served.json.new", "served.json")
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
