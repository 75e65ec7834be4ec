from tetra_rp import LiveServerless, remote
DEPENDENCIES = ["torch"]
DEPENDENCIES.append("numpy")
OPTIONS = {"workersMax": 2}
OPTIONS["workersMax"] = 3
OTHER = {"idleTimeout": 1}
OTHER.update(idleTimeout=2)
NAMES = ["a", "b"]
del NAMES[0]
COUNT = 1
COUNT += 1
config = LiveServerless(name="config")
config.workersMax = 5
config.env = {"A": "b"}
unused = LiveServerless(name="unused")
unused.workersMax = 5
@remote(config, dependencies=DEPENDENCIES)
def one(): ...
@remote(LiveServerless(name="two", **OPTIONS))
def two(): ...
@remote(LiveServerless(name="three", **OTHER))
def three(): ...
@remote(LiveServerless(name=NAMES[0]))
def four(): ...
@remote(LiveServerless(name="five", workersMax=COUNT))
def five(): ...
def inside():
    OPTIONS["x"] = 1
    config.workersMin = 1
