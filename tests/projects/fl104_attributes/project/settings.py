NAME = "name"
COMMON = {"workersMax": 1}
