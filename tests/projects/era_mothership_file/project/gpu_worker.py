import asyncio

from fastapi import APIRouter
from pydantic import BaseModel
from tetra_rp import (
    GpuGroup,  # the smallest
    LiveServerless,
    remote,
)

# A configuration for everything here
gpu_config = LiveServerless(
    name="01_01_gpu_worker",
    gpus=[GpuGroup.ANY],
    workersMin=0,
    workersMax=3,
    idleTimeout=5,
)


@remote(resource_config=gpu_config)
async def gpu_hello(input_data: dict) -> dict:
    """Says hello.

    With details.
    """
    import platform

    def nested_helper(text):
        return text.upper()

    return {"message": nested_helper(input_data.get("message", "")), "python": platform.python_version()}


gpu_router = APIRouter()


class MessageRequest(BaseModel):
    message: str = "Hello"


@gpu_router.post("/hello")
async def hello(request: MessageRequest):
    return await gpu_hello({"message": request.message})


if __name__ == "__main__":
    print(asyncio.run(gpu_hello({"message": "test"})))
