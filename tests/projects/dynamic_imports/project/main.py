import importlib

from fastapi import FastAPI

app = FastAPI()
app.include_router(importlib.import_module("plugins.old").router)
