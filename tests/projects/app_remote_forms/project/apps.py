from tetra_rp import FlashApp
app = FlashApp("shop")
