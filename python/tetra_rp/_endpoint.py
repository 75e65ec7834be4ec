"""`Endpoint`: the later dialect. One class says where code runs, decorates it, declares its routes, and calls endpoints
that exist already.

    @Endpoint(name="model", gpu=GpuGroup.ADA_24, workers=(0, 3))       queue: decorates functions and classes
    async def infer(text: str) -> dict: ...

    api = Endpoint(name="api", cpu="cpu3c-1-2")                        load-balanced: an object with routes
    @api.post("/classify")
    async def classify(text: str) -> dict: ...

    job = await Endpoint(id="abc123").run({"text": "hi"})              client: an endpoint that exists
    answer = await Endpoint(name="vllm", image="vllm/vllm-openai:v1").post("/v1/completions", {…})

Decorated code is what it is under `@remote(resource)`, so the two may be mixed. Parameters and defaults are those of
runpod_flash (REFERENCE §14.9).
"""

from __future__ import annotations

from tetra_rp import _endpoint_fields, _remote, _resources, _routes
from tetra_rp._fields import (
    boolean,
    did_you_mean,
    instance,
    integer,
    member,
    members,
    one_or_more,
    optional,
    text,
    text_map,
    texts,
)
from tetra_rp._hardware import (
    CpuInstanceType,
    CudaVersion,
    GpuGroup,
    GpuType,
    ServerlessScalerType,
)

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from typing import Any

    from tetra_rp._endpoint_client import Client
    from tetra_rp._endpoint_job import EndpointJob

PARAMETERS = (
    "name", "id", "gpu", "cpu", "workers", "idle_timeout", "dependencies", "system_dependencies", "accelerate_downloads",
    "volume", "datacenter", "env", "gpu_count", "execution_timeout_ms", "flashboot", "image", "scaler_type", "scaler_value",
    "template", "min_cuda_version", "max_concurrency",
)  # fmt: skip

CLIENT_TIMEOUT_SECONDS = 60.0


class Endpoint:
    """Where code runs, or an endpoint that exists. Making one contacts nobody.

    `gpu` is a `GpuGroup`, a `GpuType` or a list of them, `cpu` a `CpuInstanceType`, its text, or a list; neither means any GPU.
    `workers` is the most (`5`) or the least and the most (`(1, 5)`). `idle_timeout` is in seconds. `volume` and `datacenter`
    take one or a list. `max_concurrency` is how many calls one worker runs at a time: by default 1 from a queue, many over HTTP.

    With `id`, or with `image` and a `name`, the object is a client: it has nothing to decorate and is called with `run`,
    `runsync`, `cancel` and the HTTP verbs.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        id: str | None = None,
        gpu: Any = None,
        cpu: Any = None,
        workers: Any = None,
        idle_timeout: int = 60,
        dependencies: list[str] | None = None,
        system_dependencies: list[str] | None = None,
        accelerate_downloads: bool = True,
        volume: Any = None,
        datacenter: Any = None,
        env: dict[str, str] | None = None,
        gpu_count: int = 1,
        execution_timeout_ms: int = 0,
        flashboot: bool = True,
        image: str | None = None,
        scaler_type: ServerlessScalerType | str | None = None,
        scaler_value: int = 4,
        template: _resources.PodTemplate | None = None,
        min_cuda_version: CudaVersion | str | None = "12.8",
        max_concurrency: int | None = None,
        **unknown: Any,
    ) -> None:
        for keyword in unknown:
            raise TypeError(f"Endpoint() has no argument {keyword!r}; {did_you_mean(keyword, PARAMETERS)}")
        if callable(name):
            raise TypeError("@Endpoint is written with parentheses: @Endpoint(), or with arguments, @Endpoint(gpu=…)")
        if gpu is not None and cpu is not None:
            raise ValueError("Endpoint() has both gpu= and cpu=; an endpoint runs on one of them")
        if id is not None and image is not None:
            raise ValueError("Endpoint() has both id= and image=; id= is for an endpoint that exists, image= for a new one")
        if image is not None and name is None:
            raise ValueError('Endpoint(image=…) needs a name for the endpoint, for example Endpoint(name="vllm", image=…)')
        self.name = optional(_resources.resource_name)("Endpoint.name", name)
        self.id = optional(text(empty=False))("Endpoint.id", id)
        self.image = optional(text(empty=False))("Endpoint.image", image)
        self.gpus = optional(one_or_more(members(GpuGroup, GpuType, least=1)))("Endpoint.gpu", gpu)
        self.cpus = optional(one_or_more(members(CpuInstanceType, least=1)))("Endpoint.cpu", cpu)
        self.workers_min, self.workers_max = _endpoint_fields.worker_counts(workers)
        self.idle_timeout = integer(1, unit="seconds")("Endpoint.idle_timeout", idle_timeout)
        self.dependencies = optional(texts)("Endpoint.dependencies", dependencies)
        self.system_dependencies = optional(texts)("Endpoint.system_dependencies", system_dependencies)
        self.accelerate_downloads = boolean("Endpoint.accelerate_downloads", accelerate_downloads)
        self.volumes = _endpoint_fields.volumes(volume)
        self.datacenters = _endpoint_fields.datacenters(datacenter, self.volumes, on_cpu=cpu is not None)
        self.env = optional(text_map)("Endpoint.env", env) or {}
        self.gpu_count = integer(1, unit="GPUs")("Endpoint.gpu_count", gpu_count)
        self.execution_timeout_ms = integer(0, unit="milliseconds; 0 = no limit")(
            "Endpoint.execution_timeout_ms", execution_timeout_ms
        )
        self.flashboot = boolean("Endpoint.flashboot", flashboot)
        self.scaler_type = optional(member(ServerlessScalerType))("Endpoint.scaler_type", scaler_type)
        self.scaler_value = integer(1)("Endpoint.scaler_value", scaler_value)
        self.template = optional(instance(_resources.PodTemplate))("Endpoint.template", template)
        self.min_cuda_version = optional(member(CudaVersion))("Endpoint.min_cuda_version", min_cuda_version)
        self.max_concurrency = optional(integer(1, unit="calls"))("Endpoint.max_concurrency", max_concurrency)
        self._decorated: list[str] = []
        self._routes: dict[tuple[str, tuple[str, ...]], str] = {}
        self._client: Client | None = None

    @property
    def is_client(self) -> bool:
        """Whether it stands for an endpoint that runs other people's code, so that there is nothing to decorate."""
        return self.id is not None or self.image is not None

    def __call__(self, target: Any) -> Any:
        """Decorates a function or class to run here as a queue endpoint; without a name the endpoint is named after it."""
        _remote.check_target(target, "@Endpoint(...)")
        return self._flash_decorate(target, {"method": None, "path": None})

    def get(self, path: str, data: Any = None, timeout: float = CLIENT_TIMEOUT_SECONDS) -> Any:
        """Client: awaits the JSON answer to a GET, `data` being a dict of query parameters. Else: decorates a route."""
        return self._verb("GET", path, data, timeout)

    def post(self, path: str, data: Any = None, timeout: float = CLIENT_TIMEOUT_SECONDS) -> Any:
        """Client: awaits the JSON answer to a POST of `data` as JSON. Else: decorates a route."""
        return self._verb("POST", path, data, timeout)

    def put(self, path: str, data: Any = None, timeout: float = CLIENT_TIMEOUT_SECONDS) -> Any:
        """See `post`."""
        return self._verb("PUT", path, data, timeout)

    def delete(self, path: str, data: Any = None, timeout: float = CLIENT_TIMEOUT_SECONDS) -> Any:
        """See `post`."""
        return self._verb("DELETE", path, data, timeout)

    def patch(self, path: str, data: Any = None, timeout: float = CLIENT_TIMEOUT_SECONDS) -> Any:
        """See `post`."""
        return self._verb("PATCH", path, data, timeout)

    async def run(self, input: Any = None, webhook: str | None = None) -> EndpointJob:
        """Submits a job and returns at once. `webhook` is a URL that is told of its end. Raises `FlashError`."""
        return await self._job_client("run").run(input, webhook)

    async def runsync(self, input: Any = None, timeout: float | None = None) -> EndpointJob:
        """Submits a job and waits for its end, `timeout` seconds at most: 60, or what `execution_timeout_ms` says.

        Raises `WaitTimeoutError`, and `FlashError` like `run`. A job that failed is no exception: see its `error`.
        """
        if timeout is None:
            timeout = self.execution_timeout_ms / 1000 or CLIENT_TIMEOUT_SECONDS
        return await self._job_client("runsync").run_and_wait(input, timeout)

    async def cancel(self, job_id: str) -> EndpointJob:
        """Cancels a job by its id. Raises `FlashError`."""
        return await self._job_client("cancel").cancel(job_id)

    def __repr__(self) -> str:
        given = {"name": self.name, "id": self.id, "image": self.image}
        return f"Endpoint({', '.join(f'{name}={value!r}' for name, value in given.items() if value is not None)})"

    def _verb(self, method: str, path: str, data: Any, timeout: float) -> Any:
        if self.is_client:
            return self._make_client().request(method, path, data, timeout)
        verb = f"Endpoint.{method.lower()}()"
        if data is not None or timeout != CLIENT_TIMEOUT_SECONDS:
            raise TypeError(
                f"{verb} of {self!r} declares a route and takes only its path; "
                "to call an endpoint that exists, make a client with Endpoint(id=…)"
            )
        self._check_routes_fit(verb)
        _routes.check_path(f"{verb} path", path)

        def decorate(target: Any) -> Any:
            _remote.check_target(target, f"@….{method.lower()}({path!r})")
            return self._flash_decorate(target, {"method": method, "path": path})

        return decorate

    def _flash_decorate(self, target: Any, said: dict[str, Any], *, local: bool = False) -> Any:
        """What stands for a checked function or class that was decorated with this endpoint in one way or another.

        `said` is what the decorator itself says, as in a `__remote_config__`: `method` and `path` (None on a queue), and under
        `@remote` also dependencies, which join the endpoint's.
        """
        if self.is_client:
            raise ValueError(f"{self!r} is a client of an endpoint that exists; {target.__name__} cannot be decorated with it")
        method, path = said["method"], said["path"]
        if method is None and path is None:
            resource = self._take_as_queue(target)
        else:
            resource = self._take_as_route(target, method, path)
        record = {
            "resource_config": resource,
            "method": method,
            "path": path,
            "dependencies": _joined(self.dependencies, said.get("dependencies")),
            "system_dependencies": _joined(self.system_dependencies, said.get("system_dependencies")),
            "endpoint": self,  # knows what resources have no fields for
        }
        if local:
            target.__remote_config__ = record
            return target
        return _remote.make_remote(target, record)

    def _take_as_queue(self, target: Any) -> _resources.ServerlessResource:
        if self._routes:
            raise ValueError(
                f"{self!r} has routes ({_shown_routes(self._routes)}), so {target.__name__} needs one too; "
                f'for example @api.post("/{target.__name__}")'
            )
        if self.name is None and self._decorated:
            raise ValueError(
                f"{self!r} is named after {self._decorated[0]}; to decorate {target.__name__} with it too, give it a name"
            )
        resource = self._resource(self.name or target.__name__, load_balanced=False)
        self._decorated.append(target.__name__)
        return resource

    def _take_as_route(self, target: Any, method: str | None, path: str | None) -> _resources.ServerlessResource:
        who = f"@remote on {target.__name__}"
        self._check_routes_fit(who)
        resource = self._resource(str(self.name), load_balanced=True)
        _remote.check_route(target, resource, method, path)
        key = (str(method), _routes.shape(_routes.check_path(f"{who}: path", path)))
        if key in self._routes:
            raise ValueError(f"{self!r} has the route {method} {path} already, for {self._routes[key]}")
        self._routes[key] = target.__name__
        return resource

    def _check_routes_fit(self, who: str) -> None:
        if self.name is None:
            raise ValueError(f'{who} declares a route, and an endpoint with routes needs a name: Endpoint(name="api", …)')
        if self._decorated:
            raise ValueError(f"{self!r} decorates {self._decorated[0]} directly, so it is a queue and cannot have routes")

    def _resource(self, name: str, *, load_balanced: bool) -> _resources.ServerlessResource:
        """The resource that `@remote` would be given for the same thing."""
        fields: dict[str, Any] = {
            "name": name,
            "workersMin": self.workers_min,
            "workersMax": self.workers_max,
            "idleTimeout": self.idle_timeout,
            "executionTimeoutMs": self.execution_timeout_ms,
            "scalerValue": self.scaler_value,
            "flashboot": self.flashboot,
            "env": self.env,
            "template": self.template,
            "networkVolume": self.volumes[0] if self.volumes else None,
            "datacenter": self.volumes[0].dataCenterId if self.volumes else self.datacenters[0],
            "locations": ",".join(datacenter.value for datacenter in self.datacenters),
        }
        if self.scaler_type is not None:
            fields["scalerType"] = self.scaler_type
        kind: type[_resources.ServerlessResource]
        if self.cpus is not None:
            kind = _resources.CpuLiveLoadBalancer if load_balanced else _resources.CpuLiveServerless
            return kind(**fields, instanceIds=self.cpus)
        versions = list(CudaVersion)
        least = self.min_cuda_version
        fields["cudaVersions"] = [] if least is None else versions[versions.index(least) :]
        fields["gpus"] = self.gpus or (GpuGroup.ANY,)
        kind = _resources.LiveLoadBalancer if load_balanced else _resources.LiveServerless
        return kind(**fields, gpuCount=self.gpu_count)

    def _job_client(self, verb: str) -> Client:
        if self._routes:
            raise ValueError(f"{self!r} has routes and takes no jobs; {verb}() is for queue endpoints")
        return self._make_client()

    def _make_client(self) -> Client:
        if self._client is None:
            from tetra_rp._endpoint_client import Client

            name = self.name or (self._decorated[0] if self._decorated else None)
            if self.id is None and name is None:
                raise ValueError("Endpoint() says neither id= nor name=, so there is nothing to call")
            self._client = Client(self.id, name)
        return self._client


def _joined(own: list[str] | None, said: list[str] | None) -> list[str] | None:
    """Both lists, each text once; None if there is neither."""
    return own if said is None else list(dict.fromkeys([*(own or ()), *said]))


def _shown_routes(routes: dict[tuple[str, tuple[str, ...]], str]) -> str:
    return ", ".join(f"{method} {'/'.join(segments)}" for method, segments in routes)
