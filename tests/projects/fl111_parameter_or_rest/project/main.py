from tetra_rp import CpuLiveLoadBalancer, Endpoint, remote

api = CpuLiveLoadBalancer(name="api")
other = Endpoint(name="other", cpu="cpu3c-1-2")


@remote(api, method="GET", path="/files/{name}")
def one(name: str) -> str: ...


@remote(api, method="POST", path="/files/{rest:path}")
def rest(rest: str) -> str: ...


@remote(api, method="GET", path="/files/latest")
def latest() -> str: ...


@remote(api, method="GET", path="/files/{name}/{rest:path}")
def below(name: str, rest: str) -> str: ...


@remote(api, method="GET", path="/sizes/{rest:path}/size")
def size(rest: str) -> int: ...


@other.get("/files/{rest:path}")
def elsewhere(rest: str) -> str: ...
