from tetra_rp import *
from tetra_rp.core.resources import ServerlessScalerType
a = LiveServerless(name="a", workersMin=5, workersMax=1, gpuCount=0, idleTimeout=-1, executionTimeoutMs=-5, scalerValue=0)
b = LiveServerless(name="b", workersMin=9, gpus=GpuGroup.ADA_24, flashboot="yes", env={"A": 1}, type="LB")
c = CpuLiveServerless(name="c", template=PodTemplate(containerDiskInGb=50), instanceIds=[CpuInstanceType.CPU3C_1_2], gpus=[GpuGroup.ANY])
d = LiveLoadBalancer(name="d", scalerType=ServerlessScalerType.QUEUE_DELAY, workersMax=99999999999)
e = LiveServerless(name="e", networkVolume=NetworkVolume(name="v", size=0, dataCenterId="US-KS-2"), template="t", workersMax="3")
f = LiveServerless(name="f", gpus=[CpuInstanceType.CPU3C_1_2], workersMax=0)
@remote(a)
def one(): ...
@remote(b, dependencies="torch")
def two(): ...
@remote(c, system_dependencies=[1])
def three(): ...
@remote(d, method="GET", path="/")
def four(): ...
@remote(e, local="no")
def five(): ...
@remote(f)
def six(): ...
