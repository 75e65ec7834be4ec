GPU = "03_gpu"
