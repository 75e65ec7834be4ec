from tetra_rp import Endpoint, LiveServerless, remote

api = Endpoint(name="api")


@remote(LiveServerless(name="a"))
@remote(LiveServerless(name="b"))
def both() -> int:
    return 1


@api.get("/x")
@api.post("/y")
async def routes() -> int:
    return 1
