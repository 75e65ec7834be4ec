NAME = "mixed"
