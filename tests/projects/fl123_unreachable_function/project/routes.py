from tetra_rp import CpuLiveLoadBalancer, remote

api = CpuLiveLoadBalancer(name="api")


@remote(api, method="GET", path="/my%20labels")
def labels() -> list[str]:
    return []


@remote(api, method="GET", path="/100%/{label}")
def share(label: str) -> float:
    return 1.0


@remote(api, method="POST", path="/model")
class Model:
    def predict(self, text: str) -> str:
        return text

    def explain(self, text: str) -> str:
        return text


@remote(api, method="POST", path="/single")
class Single:
    def predict(self, text: str) -> str:
        return text

    def _helper(self) -> None: ...

    @property
    def size(self) -> int:
        return 1
