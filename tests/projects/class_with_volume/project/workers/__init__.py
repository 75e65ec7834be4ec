from tetra_rp import NetworkVolume

volume = NetworkVolume(name="flash-05-volume", size=50)
