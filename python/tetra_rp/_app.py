"""`FlashApp` and `ResourceManager` of the reference: what is left of them when a mothership does the provisioning."""

from __future__ import annotations

from tetra_rp._remote import remote
from tetra_rp._resources import ServerlessResource

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from tetra_rp._endpoint import Endpoint


class FlashApp:
    """A name for a group of functions; `app.remote(...)` is `remote(...)` and remembers the resources it was given."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"FlashApp needs a name, got {name!r}")
        self.name = name
        self.resources: dict[str, ServerlessResource | Endpoint] = {}

    def remote(self, resource_config: ServerlessResource | Endpoint, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """See `tetra_rp.remote`."""
        decorate = remote(resource_config, *args, **kwargs)
        if resource_config.name is not None:  # an Endpoint may be named after what it decorates
            self.resources[resource_config.name] = resource_config
        return decorate

    def __repr__(self) -> str:
        return f"FlashApp({self.name!r}, resources={sorted(self.resources)})"


class ResourceManager:
    """Tells which endpoints the project's mothership runs. Makes and removes none: `flash run` and `flash deploy` do."""

    def list_all_resources(self) -> dict[str, dict[str, Any]]:
        """Resource name → its entry in the mothership's manifest, with `endpoint_id`, `endpoint_url` and `status`.

        Raises `NotRunningError` when nothing runs.
        """
        from tetra_rp._transport import HttpTransport

        return dict(HttpTransport().manifest().get("resources", {}))

    def find_resources_by_name(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """The entries with exactly this name: none or one."""
        return [(found, entry) for found, entry in self.list_all_resources().items() if found == name]

    async def get_or_deploy_resource(self, config: ServerlessResource) -> NoReturn:
        _refuse(config, "provisions")

    async def undeploy_resource(self, resource_key: str, *_: Any, **__: Any) -> NoReturn:
        _refuse(resource_key, "removes")


def _refuse(what: Any, verb: str) -> NoReturn:
    raise NotImplementedError(
        f"the mothership {verb} endpoints from the project's manifest ({what!r}); declare the resource with @remote(...) "
        "and use `flash run`, `flash deploy` or `flash undeploy`"
    )
