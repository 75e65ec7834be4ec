from runpod_flash import Endpoint as Service, GpuGroup, remote as R
import tetra_rp as framework
