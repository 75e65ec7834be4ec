import workers.settings
from tetra_rp import remote
@remote(workers.settings.shared)
def whole(): ...
