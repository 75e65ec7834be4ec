from fastapi import FastAPI
from workers.cpu import endpoint
app = FastAPI()
