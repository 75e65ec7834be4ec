from fastapi import APIRouter
from pydantic import BaseModel, Field

from .endpoint import gpu_hello

gpu_router = APIRouter()


class MatrixRequest(BaseModel):
    """Request model for the GPU worker."""

    message: str = "Hello from GPU!"
    size: int = Field(default=32, ge=1, le=128, description="rows and columns of the matrix")


@gpu_router.post("/hello")
async def hello(request: MatrixRequest):
    """Multiply a matrix on the GPU worker."""
    return await gpu_hello(request.model_dump())
