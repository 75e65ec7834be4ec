import logging
import os

from fastapi import FastAPI

from workers.cpu import cpu_router
from workers.gpu import gpu_router

logger = logging.getLogger(__name__)

app = FastAPI(title="Flash Application", version="0.1.0")
app.include_router(gpu_router, prefix="/gpu", tags=["GPU Workers"])
app.include_router(cpu_router, prefix="/cpu", tags=["CPU Workers"])


@app.get("/")
def home():
    return {"message": "Flash Application", "docs": "/docs"}


@app.get("/ping")
def ping():
    return {"status": "healthy"}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host=os.getenv("FLASH_HOST", "localhost"), port=int(os.getenv("FLASH_PORT", 8888)))
