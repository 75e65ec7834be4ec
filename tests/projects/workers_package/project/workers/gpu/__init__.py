from fastapi import APIRouter
from pydantic import BaseModel

from .endpoint import gpu_hello

gpu_router = APIRouter()


class MessageRequest(BaseModel):
    message: str = "Hello from GPU!"


@gpu_router.post("/hello")
async def hello(request: MessageRequest):
    return await gpu_hello({"message": request.message})
