"""Arguments of `Endpoint` that have rules of their own: worker counts, volumes, and where it may run."""

from __future__ import annotations

from tetra_rp._fields import instance, integer, members, one_or_more
from tetra_rp._hardware import CPU_DATA_CENTERS, DataCenter
from tetra_rp._resources import NetworkVolume

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from typing import Any


def worker_counts(workers: Any) -> tuple[int, int]:
    if workers is None:
        return 0, 1
    if isinstance(workers, (tuple, list)):
        if len(workers) != 2:
            raise ValueError(f"Endpoint.workers is {workers!r}; it has to be the most, or (least, most)")
        least = integer(0, unit="workers")("Endpoint.workers[0]", workers[0])
        most = integer(1, unit="workers")("Endpoint.workers[1]", workers[1])
        if least > most:
            raise ValueError(f"Endpoint.workers is {workers!r}; the least cannot be more than the most")
        return least, most
    return 0, integer(1, unit="workers")("Endpoint.workers", workers)


def volumes(volume: Any) -> tuple[NetworkVolume, ...]:
    if volume is None:
        return ()
    volumes = tuple(volume) if isinstance(volume, (list, tuple)) else (volume,)
    if not volumes:
        raise ValueError("Endpoint.volume is an empty list; leave it out for none")
    taken: dict[DataCenter, NetworkVolume] = {}
    for at, item in enumerate(volumes):
        instance(NetworkVolume)(f"Endpoint.volume[{at}]" if len(volumes) > 1 else "Endpoint.volume", item)
        if item.dataCenterId in taken:
            other = taken[item.dataCenterId]
            raise ValueError(
                f"Endpoint.volume: {other.name or other.id!r} and {item.name or item.id!r} are both in "
                f"{item.dataCenterId.value}; a worker mounts one volume, so there can be one for each data centre"
            )
        taken[item.dataCenterId] = item
    return volumes


def datacenters(
    datacenter: Any, volumes: tuple[NetworkVolume, ...], *, on_cpu: bool
) -> tuple[DataCenter, ...]:
    """Where the endpoint may run: where it is said, else where its volumes are, else anywhere that has the hardware."""
    at_volumes = tuple(volume.dataCenterId for volume in volumes)
    if datacenter is None:
        places = at_volumes or (CPU_DATA_CENTERS if on_cpu else tuple(DataCenter))
    else:
        places = one_or_more(members(DataCenter, least=1))("Endpoint.datacenter", datacenter)
    if on_cpu:
        for place in places:
            if place not in CPU_DATA_CENTERS:
                raise ValueError(
                    f"Endpoint.datacenter is {place.value}, which has no CPU machines; "
                    f"allowed with cpu=: {', '.join(allowed.value for allowed in CPU_DATA_CENTERS)}"
                )
    for volume in volumes:
        if volume.dataCenterId not in places:
            raise ValueError(
                f"Endpoint.volume {volume.name or volume.id!r} is in {volume.dataCenterId.value}, and the endpoint in "
                f"{', '.join(place.value for place in places)}; put the volume where the endpoint is"
            )
    return places
