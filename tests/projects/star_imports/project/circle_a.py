from circle_b import *
