import tetra_rp
shared = tetra_rp.CpuServerlessEndpoint(name="shared", imageName="img:1")
