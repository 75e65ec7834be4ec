"""For images that start Python directly: what the generated `handler_<resource>.py` of an artifact is made of.

    handler = _standalone.queue_handler(root, "model")      jobs; `serve_queue(handler)` under runpod's worker loop
    app = _standalone.application(root, "api")              an ASGI application; `serve_http(app)` under uvicorn

No gateway is involved: the process reads `flash_manifest.json` beside the handler and runs user code itself, with the worker's
own rules for arguments and results. Functions of other resources are called through the mothership that
`FLASH_MOTHERSHIP_URL` names.
"""

from tetra_rp._standalone._application import Application, application
from tetra_rp._standalone._queue import QueueHandler, queue_handler
from tetra_rp._standalone._serve import serve_http, serve_queue

__all__ = ["Application", "QueueHandler", "application", "queue_handler", "serve_http", "serve_queue"]
