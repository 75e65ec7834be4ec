from tetra_rp import GpuGroup, LiveServerless, remote

gpu_config = LiveServerless(
    name="gpu_worker",
    gpus=[GpuGroup.ANY],
    workersMin=0,
    workersMax=3,
    idleTimeout=300,
)


# With dependencies=["torch"] the product is computed on the GPU; without torch in plain Python.
@remote(resource_config=gpu_config)
async def gpu_hello(input_data: dict) -> dict:
    """Square an identity matrix of `size` and say on which device."""
    import platform
    import time

    size = int(input_data.get("size", 32))
    started = time.perf_counter()
    try:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        matrix = torch.eye(size, device=device)
        trace = float((matrix @ matrix).trace())
        device_name = torch.cuda.get_device_name(0) if device == "cuda" else "CPU (torch)"
    except ImportError:
        rows = [[float(row == column) for column in range(size)] for row in range(size)]
        columns = list(zip(*rows))
        product = [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in rows]
        trace = sum(product[index][index] for index in range(size))
        device_name = "CPU (plain Python)"

    return {
        "status": "success",
        "message": input_data.get("message", "Hello from GPU!"),
        "worker_type": "GPU",
        "device": device_name,
        "trace": trace,
        "milliseconds": round((time.perf_counter() - started) * 1000, 2),
        "python_version": platform.python_version(),
    }


if __name__ == "__main__":
    import asyncio

    print(asyncio.run(gpu_hello({"message": "Testing the GPU worker", "size": 16})))
