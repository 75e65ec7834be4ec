import os
from fastapi import FastAPI
from gpu_worker import gpu_router

app = FastAPI(title="Hello")
app.include_router(gpu_router, prefix="/gpu")

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host=os.getenv("FLASH_HOST", "localhost"), port=int(os.getenv("FLASH_PORT", 8888)))
