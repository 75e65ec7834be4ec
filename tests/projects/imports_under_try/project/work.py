try:
    from runpod_flash import CpuLiveServerless, remote
except ImportError:
    from tetra_rp import CpuLiveServerless, remote
try:
    from local_settings import NAME
except ImportError:
    NAME = "fallback"
config = CpuLiveServerless(name="guarded")
@remote(config)
def work(): ...
