from tetra_rp import NetworkVolume
volume = NetworkVolume(name="shared", size=50)
