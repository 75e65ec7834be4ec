APP = "shop"
STAGE: str = "dev"
SCALE, (LOW, HIGH) = 2, (1, 3)
GPU_POOLS = ["ADA_24"]
NAMES = {"gpu": f"{APP}-{STAGE}-gpu"}
LIMITS = dict(workersMin=LOW, workersMax=HIGH * SCALE)
