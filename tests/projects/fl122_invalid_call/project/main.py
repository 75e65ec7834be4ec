from threading import Thread
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api")
cpu = CpuLiveServerless(name="cpu")


@remote(cpu)
def embed(text: str, /, size: int = 8, *, normalise: bool) -> list[float]:
    return [0.0] * size


@remote(cpu)
def anything(*texts, **options) -> None: ...


@remote(cpu)
class Model:
    def __init__(self, name: str) -> None: ...

    def predict(self, text: str, top_k: int = 5) -> dict: ...

    @staticmethod
    def labels(language: str) -> list[str]: ...


@remote(cpu)
class Plain:
    def run(self) -> None: ...

    def _hidden(self) -> None: ...

    def __call__(self, text: str) -> str: ...


@remote(cpu)
class FromOutside(Thread):
    pass


@remote(api, method="POST", path="/good")
async def good(text: str, more: list, options: dict) -> list:
    waiting = embed(text, normalise=True)
    await anything(1, 2, 3, a=4)
    model = Model(name="m")
    await Plain().run()
    return [
        await embed(text, 4, normalise=False),
        await embed(text, size=4, normalise=False),
        await embed(*more),
        await embed(text, **options),
        await model.predict(text, 3),
        await model.labels("en"),
        await waiting,
        await Plain()(text),
        await FromOutside().anything(1, 2),
    ]


@remote(api, method="POST", path="/bad")
async def bad(text: str, limit: int = 3) -> list:
    embed(text, normalise=True)
    first = embed(text, normalise=True)[0]
    model = Model()
    return [
        first,
        await embed(text, 1, 2, normalise=True),
        await embed(text),
        await embed(text=text, normalise=True),
        await embed(text, sise=4, normalise=True),
        await embed(text, 4, size=4, normalise=True),
        await model.predict(),
        await model.predict(text, topk=3),
        await model.labels("en", "de"),
        await Plain(1).run(),
        await Plain().rum(),
        await Plain()._hidden(),
        await Plain()(),
        await good(text, limt=limit),
    ]
