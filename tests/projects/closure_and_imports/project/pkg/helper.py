import scipy.stats
x = 1
