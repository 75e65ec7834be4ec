import os
import sys
DEBUG = False
STAGE = os.environ.get("STAGE", "dev")
if DEBUG:
    WORKERS = 1
else:
    WORKERS = 4
if STAGE == "prod":
    TIMEOUT = 60
elif STAGE in ("dev", "test"):
    TIMEOUT = 5
else:
    TIMEOUT = 10
NAME = "plain"
if STAGE == "prod":
    NAME = "prod"
if not DEBUG and WORKERS > 2:
    if TIMEOUT < 60:
        NESTED = "inner"
    else:
        NESTED = "outer"
if DEBUG:
    ONLY_IN_DEBUG = 1
REGION = os.getenv("REGION") or "EU-RO-1"
