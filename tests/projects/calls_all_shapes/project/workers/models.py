from tetra_rp import remote

from workers.config import gpu


class Base:
    def warm_up(self) -> None: ...


@remote(gpu)
class Model(Base):
    def __init__(self, name: str = "m") -> None:
        self.name = name

    def predict(self, text: str) -> dict:
        return self.tidy({"text": text})

    def tidy(self, answer: dict) -> dict:
        return answer


@remote(gpu)
def embed(text: str) -> list[float]:
    return []


model = Model("shared")
