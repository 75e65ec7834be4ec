from runpod_flash import Endpoint
api = Endpoint(name="shared-api", cpu="cpu3c-1-2")
worker = Endpoint(name="shared-worker", cpu="cpu3c-1-2")
def make(name, **options):
    return Endpoint(name=name, cpu="cpu3c-1-2", **options)
made = make("made", workers=(0, 7))
