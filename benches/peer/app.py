"""The same functions on FastAPI."""

from fastapi import Body, FastAPI

app = FastAPI()


@app.get("/ping")
async def ping() -> dict:
    return {"status": "healthy"}


@app.post("/add")
async def add(x: int = Body(embed=True), y: int = Body(embed=True)) -> int:
    return x + y


@app.post("/slow")
def slow(x: int = Body(embed=True), y: int = Body(embed=True)) -> int:
    for _ in range(200_000):
        pass
    return x + y
