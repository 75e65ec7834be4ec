from tetra_rp import CpuInstanceType, CpuLiveServerless, DataCenter, GpuGroup, LiveServerless, remote
a = LiveServerless(name="a", gpus=[GpuGroup.ADA_42], cudaVersions=["12.1", "99"], datacenter=DataCenter.US_GA_2)
b = CpuLiveServerless(name="b", instanceIds=["cpu3c-1-3"], scalerType="QUEUE_DELY")
@remote(a)
def one(): ...
@remote(b)
def two(): ...
