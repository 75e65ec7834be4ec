import config as configs
import tetra_rp as t
@t.remote(configs.api_config, method="GET", path="/attribute")
def attribute(): ...
