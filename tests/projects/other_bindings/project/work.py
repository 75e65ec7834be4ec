import functools
from tetra_rp import remote, CpuLiveServerless
import holders
from holders import Configs, alias, make, app
try:
    from missing_fast_json import loads
except ImportError:
    from json import loads
@remote(Configs.gpu)
def in_class(): ...
@remote(holders.RESOURCES["small"])
def in_dict(): ...
@functools.cache
@remote(holders.RESOURCES["big"][-1])
def in_list(): ...
@remote(alias)
@functools.wraps(in_list)
def chained(): ...
@remote(make())
def from_factory(): ...
@remote(CpuLiveServerless(name="inline"))
def inline(): ...
@app.remote(make())
def by_app(): ...
