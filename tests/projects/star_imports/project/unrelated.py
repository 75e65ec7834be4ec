from circle_a import *
x = nothing
