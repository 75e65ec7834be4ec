import json
DEPENDENCY = json.loads("[]")
METHOD = json.dumps(1)
def load(): return json.loads("{}")
