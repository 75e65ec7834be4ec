from functools import wraps

from tetra_rp import CpuLiveServerless, remote

cpu = CpuLiveServerless(name="cpu")


@remote(cpu)
def defined_twice(text: str) -> str:
    return text


@remote(cpu)
def replaced(text: str) -> str:
    return text


@remote(cpu)
def imported_over(text: str) -> str:
    return text


@remote(cpu)
def deleted(text: str) -> str:
    return text


@remote(cpu)
def wrapped(text: str) -> str:
    return text


@remote(cpu)
def sometimes(text: str) -> str:
    return text


def defined_twice(text):
    return None


replaced, other = None, 1
from os import path as imported_over

del deleted
wrapped = wraps(wrapped)(wrapped)
if other > 1:
    sometimes = None
