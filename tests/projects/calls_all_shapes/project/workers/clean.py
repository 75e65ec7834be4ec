import workers.config
from tetra_rp import remote


@remote(workers.config.cpu)
def clean(text: str) -> str:
    return text.strip()


@remote(workers.config.cpu)
def split(text: str) -> list[str]:
    return text.split()


@remote(workers.config.cpu)
def join(words: list[str]) -> str:
    return " ".join(words)
