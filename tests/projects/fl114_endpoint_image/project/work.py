from runpod_flash import Endpoint
@Endpoint(name="own-image", image="me/mine:1", cpu="cpu3c-1-2")
def work(): ...
api = Endpoint(name="own-image-api", image="me/mine:1")
@api.get("/x")
def x(): ...
nameless = Endpoint(image="me/mine:1")
both = Endpoint(id="abc", image="me/mine:1", name="both")
known = Endpoint(id="abc")
