import six
from tetra_rp import LiveServerless, remote

gpu = LiveServerless(name="gpu")


@remote(gpu, dependencies=["six>=1.16", "torch"])
def infer(text: str) -> str:
    import torch

    return six.ensure_str(text) + torch.__version__
