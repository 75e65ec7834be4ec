from runpod_flash import Endpoint
existing = Endpoint(id="abc123")
vllm = Endpoint(name="vllm", image="vllm/vllm:1")
@Endpoint(name="ask", cpu="cpu3c-1-2")
async def ask(prompt: str) -> dict:
    job = await existing.run({"prompt": prompt})
    return (await vllm.post("/v1/chat", {"prompt": prompt})) or job
