from tetra_rp import CpuLiveServerless, remote
config = CpuLiveServerless(name="nested")
def outer():
    @remote(config)
    def in_function(): ...
if config:
    @remote(config)
    def in_if(): ...
class Holder:
    @remote(config)
    async def in_class(self): ...
try:
    @remote(config)
    class InTry: ...
finally:
    pass
if __name__ == "__main__":
    @remote(config)
    def in_script(): ...
