from tetra_rp import CpuInstanceType, CpuLiveServerless, remote

cpu_config = CpuLiveServerless(
    name="cpu_worker",
    instanceIds=[CpuInstanceType.ANY],
    workersMin=0,
    workersMax=5,
    idleTimeout=60,
)


@remote(resource_config=cpu_config)
async def cpu_hello(input_data: dict) -> dict:
    """Count the words of `message` and say which machine did it."""
    import platform
    from collections import Counter
    from datetime import datetime, timezone

    message = input_data.get("message", "Hello from CPU!")
    words = Counter(message.lower().split())

    return {
        "status": "success",
        "message": message,
        "worker_type": "CPU",
        "words": sum(words.values()),
        "most_common": [word for word, _ in words.most_common(3)],
        "timestamp": datetime.now(timezone.utc).isoformat(),
        "platform": platform.system(),
        "python_version": platform.python_version(),
    }
