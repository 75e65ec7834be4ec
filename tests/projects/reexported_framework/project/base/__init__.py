from .declare import *
from .declare import R as deploy_on
from . import sizes
