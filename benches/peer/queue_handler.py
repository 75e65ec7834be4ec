"""The reference's queue handler, with its serverless loop's HTTP around it: arguments and results are base64 of pickles in JSON."""

import base64
import json
import traceback
from collections.abc import Callable

import cloudpickle
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


def echo(data: bytes) -> bytes:
    return data


def create_handler(registry: dict[str, Callable]) -> Callable[[dict], dict]:
    def handler(job: dict) -> dict:
        given = job["input"]
        name = given.get("function_name")
        try:
            args = [_decode(text) for text in given.get("args", [])]
            kwargs = {key: _decode(text) for key, text in given.get("kwargs", {}).items()}
            result = registry[name](*args, **kwargs)
            return {"success": True, "result": base64.b64encode(cloudpickle.dumps(result)).decode("utf-8")}
        except Exception as error:
            return {"success": False, "error": str(error), "traceback": traceback.format_exc()}

    return handler


def _decode(text: str) -> object:
    return cloudpickle.loads(base64.b64decode(text))


app = FastAPI()
handler = create_handler({"echo": echo})


@app.get("/ping")
async def ping() -> dict:
    return {"status": "healthy"}


@app.post("/runsync")
async def runsync(request: Request) -> JSONResponse:
    job = json.loads(await request.body())
    return JSONResponse({"id": "job", "status": "COMPLETED", "output": handler(job)})
