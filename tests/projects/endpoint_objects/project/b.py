from shared import api as other_name
@other_name.post("/b")
def b(): ...
class Group:
    api = other_name
@Group.api.get("/c")
def c(): ...
