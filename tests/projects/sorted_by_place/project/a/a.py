from tetra_rp import remote
def broken(:
