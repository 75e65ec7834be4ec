"""Calls the reference's queue handler as its client does: each argument cloudpickle → base64 → JSON, the result the same way back."""

import base64
import http.client
import json
import sys

import cloudpickle
import processor_time

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))


def call(data: bytes) -> bytes:
    args = [base64.b64encode(cloudpickle.dumps(data)).decode("utf-8")]
    job = {"input": {"function_name": "echo", "execution_type": "function", "args": args, "kwargs": {}}}
    connection.request("POST", "/runsync", json.dumps(job).encode(), {"Content-Type": "application/json"})
    output = json.loads(connection.getresponse().read())["output"]
    if not output["success"]:
        sys.exit(output["error"])
    return cloudpickle.loads(base64.b64decode(output["result"]))


processor_time.of(call)
