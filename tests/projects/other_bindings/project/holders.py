from tetra_rp import FlashApp, CpuLiveServerless, LiveServerless
class Configs:
    gpu = LiveServerless(name="class-attribute")
RESOURCES = {"small": CpuLiveServerless(name="dict-entry"), "big": [LiveServerless(name="list-entry")]}
first = second = CpuLiveServerless(name="chained")
if (walrus := CpuLiveServerless(name="walrus")):
    pass
alias = first
def make():
    """One resource, whoever asks."""
    return CpuLiveServerless(name="factory")
app = FlashApp("demo")
