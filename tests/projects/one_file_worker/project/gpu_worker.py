from fastapi import APIRouter
from pydantic import BaseModel
from tetra_rp import GpuGroup, LiveServerless, remote

gpu_config = LiveServerless(name="01_01_gpu_worker", gpus=[GpuGroup.ADA_24, GpuGroup.AMPERE_24])


@remote(resource_config=gpu_config)
async def gpu_hello(input_data: dict) -> dict:
    return input_data


gpu_router = APIRouter()


class MessageRequest(BaseModel):
    message: str = "Hello"


@gpu_router.post("/hello")
async def hello(request: MessageRequest):
    return await gpu_hello({"message": request.message})
