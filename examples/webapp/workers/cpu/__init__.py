from fastapi import APIRouter
from pydantic import BaseModel, Field

from .endpoint import cpu_hello

cpu_router = APIRouter()


class MessageRequest(BaseModel):
    """Request model for the CPU worker."""

    message: str = Field(default="Hello from CPU!", min_length=1, max_length=10_000)


@cpu_router.post("/hello")
async def hello(request: MessageRequest):
    """Count the words of a message on the CPU worker."""
    return await cpu_hello({"message": request.message})
