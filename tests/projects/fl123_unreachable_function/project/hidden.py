from rebound import cpu
from tetra_rp import remote


@remote(cpu)
def behind_the_package(text: str) -> str:
    return text
