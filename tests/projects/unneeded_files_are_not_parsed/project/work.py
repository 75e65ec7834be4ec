from tetra_rp import CpuLiveServerless, remote

import helpers

prep = CpuLiveServerless(name="prep")


@remote(prep)
def run(text: str):
    return helpers.clean(text)
