from circle_a import *
