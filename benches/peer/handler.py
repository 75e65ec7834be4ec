"""A load-balanced handler as the reference generates one: its factory, a registry of routes, `/ping` and `/manifest`.

A body model is made of the signature, as its later versions do: without one, `{"x": 1, "y": 2}` does not reach `x` and `y`.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, create_model


async def add(x: int, y: int) -> int:
    return x + y


ROUTE_REGISTRY = {("POST", "/add"): add}


def create_lb_handler(route_registry: dict[tuple[str, str], Callable], lifespan: Callable) -> FastAPI:
    app = FastAPI(title="Flash Load-Balanced Handler", lifespan=lifespan)
    for (method, path), function in route_registry.items():
        app.add_api_route(path, with_body_model(function), methods=[method])
    return app


def with_body_model(function: Callable) -> Callable:
    fields = {
        name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    model: type[BaseModel] = create_model(f"{function.__name__}_body", **fields)

    async def handler(body: model):  # type: ignore[valid-type]
        return await function(**body.model_dump())

    return handler


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


app = create_lb_handler(ROUTE_REGISTRY, lifespan)


@app.get("/ping")
async def ping() -> dict:
    return {"status": "healthy"}


@app.get("/manifest")
async def manifest() -> JSONResponse:
    return JSONResponse({"error": "Only mothership serves manifest"}, 403)
