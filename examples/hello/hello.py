"""The smallest project: one function, one queue endpoint on a CPU."""

from tetra_rp import CpuLiveServerless, remote

hello_config = CpuLiveServerless(name="hello", workersMax=2)


@remote(hello_config)
async def greet(name: str = "world") -> dict:
    """Greet someone and say which Python did it."""
    import os
    import platform

    return {
        "greeting": f"Hello, {name}!",
        "python": platform.python_version(),
        "worker": os.getpid(),
    }


if __name__ == "__main__":
    import asyncio

    print(asyncio.run(greet("Ada")))
