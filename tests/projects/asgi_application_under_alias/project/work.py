from tetra_rp import LiveServerless, remote
web = LiveServerless(name="web")
@remote(web)
def work(): ...
