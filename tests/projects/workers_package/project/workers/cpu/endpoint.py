from tetra_rp import CpuInstanceType, CpuLiveServerless, remote

cpu_config = CpuLiveServerless(
    name="cpu_worker",
    instanceIds=[CpuInstanceType.CPU3G_2_8],
    workersMin=0,
    workersMax=5,
    idleTimeout=5,
)


@remote(resource_config=cpu_config)
async def cpu_hello(input_data: dict) -> dict:
    """Simple CPU worker example.

    More about it that the summary leaves out.
    """
    import platform
    from datetime import datetime

    message = input_data.get("message", "Hello from CPU worker!")
    return {"status": "success", "message": message, "python_version": platform.python_version(),
            "timestamp": datetime.now().isoformat()}


if __name__ == "__main__":
    import asyncio

    print(asyncio.run(cpu_hello({"message": "Testing CPU worker"})))
