"""Which Azure hosts have to reach: a stack's own, be it a public cloud, one of the user's, or the emulator."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from infra.doctor.wanted import HTTPS, Endpoint, Outside
from infra.spec import InstanceSpec
from infra.spec.arc import ArcSpec
from infra.spec.reading import local_file

if TYPE_CHECKING:
    from infra.arc.endpoints.table import Settings
    from infra.arc.environment import AzureEnvironment
    from infra.plan.arc_topology import Arc, ConnectedCluster

_NOT_YET: Final = "the emulator stands in for Azure, and it doesn't run: `up` starts it"


def outside_of(spec: InstanceSpec) -> Outside:
    """Return what the stack's hosts have to reach outside.

    Of a cloud of the user's, its Resource Manager is asked; where it doesn't answer from here, it alone is told.
    """
    arc = spec.stack.arc
    if arc is None:
        return Outside(_azure(spec, "AzureCloud"))
    if arc.cloud == "emulator":
        return _emulated(spec)
    authorities = _text(local_file(spec.directory, arc.ca_file)) if arc.ca_file else ""
    if arc.cloud == "custom":
        return Outside(_custom(spec, arc), authorities)
    return Outside(_azure(spec, arc.cloud), authorities)


def _azure(spec: InstanceSpec, cloud: str) -> tuple[Endpoint, ...]:
    from infra.arc.endpoints.table import names_for_hosts
    from infra.arc.environment import environment_of

    return _once((*_needed(spec, environment_of(cloud)), *map(Endpoint, names_for_hosts(cloud))))


def _custom(spec: InstanceSpec, arc: ArcSpec) -> tuple[Endpoint, ...]:
    from infra.arc.environment import environment_of
    from infra.errors import UserError

    manager = arc.resource_manager or ""
    ca_file = local_file(spec.directory, arc.ca_file).resolve() if arc.ca_file else None
    try:
        return _once(_needed(spec, environment_of("custom", resource_manager=manager, ca_file=ca_file)))
    except UserError:
        parts = urlsplit(manager)  # which hosts may reach all the same
        return (Endpoint(parts.hostname, parts.port or HTTPS),) if parts.hostname else ()


def _emulated(spec: InstanceSpec) -> Outside:
    from infra.emulator import daemon
    from infra.emulator.errors import EmulatorError

    try:
        emulator = daemon.status(daemon.default_folder(spec.name))
    except EmulatorError:
        emulator = None
    if emulator is None or emulator.pid is None or emulator.settings.agent_address is None:
        return Outside((), reason=_NOT_YET)
    address = Endpoint(emulator.settings.agent_address, emulator.port)
    return Outside((address,), _text(emulator.ca_file))


def endpoint_settings(arc: Arc, cluster: ConnectedCluster) -> Settings:
    """Return what of a cluster's connection decides which endpoints it needs."""
    from infra.arc.endpoints.table import Settings
    from infra.model.azure_regions import short_location

    written = cluster.settings
    return Settings(
        location=short_location(cluster.location),
        cluster_connect=cluster.cluster_connect,
        azure_rbac=written.azure_rbac.enabled,
        auto_upgrade=written.agent_auto_upgrade,
        private_link=arc.spec.private_link_scope is not None,
        gateway="" if arc.spec.gateway else None,
    )


def _needed(spec: InstanceSpec, environment: AzureEnvironment) -> Iterable[Endpoint]:
    """Return what clusters have to reach; names that a service makes up later can't be asked."""
    from infra.arc.endpoints.table import Settings, endpoints_of

    for region in _regions(spec):
        for endpoint in endpoints_of(environment, Settings(location=region)):
            if not endpoint.is_pattern and endpoint.is_required:
                yield Endpoint(endpoint.name, endpoint.port)


def _regions(spec: InstanceSpec) -> list[str]:
    """Return the regions of the clusters, as names have them; the instance's where there are none."""
    from infra.model.azure_regions import short_location

    written = [cluster.arc.location or spec.stack.location for cluster in spec.stack.clusters] or [
        spec.stack.location
    ]
    return list(dict.fromkeys(map(short_location, written)))


def _once(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(dict.fromkeys(endpoints))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""  # what is trusted anyway has to do; the prechecks of `up` name the file
