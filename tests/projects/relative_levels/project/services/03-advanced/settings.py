LIMITS = {"workersMax": 2}
