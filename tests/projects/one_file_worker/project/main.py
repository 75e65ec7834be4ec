from fastapi import FastAPI
from gpu_worker import gpu_router

app = FastAPI()
app.include_router(gpu_router)
