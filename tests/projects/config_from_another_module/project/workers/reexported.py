from runpod_flash import remote
from workers import shared_config
@remote(shared_config)
def reexported(): ...
