from tetra_rp import remote

def broken(:
    return 1

x = "unclosed
