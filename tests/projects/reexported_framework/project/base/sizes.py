from .declare import framework as f
SMALL: dict = {"workersMax": 1}
def cpu(name): return f.CpuLiveServerless(name=name, **SMALL)
