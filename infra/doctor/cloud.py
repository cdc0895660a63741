"""Which Azure hosts have to reach: a stack's own, be it a public cloud, one of the user's, or the emulator."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from infra.doctor.wanted import AZURE, HTTPS, SOFTWARE, Endpoint, Outside
from infra.spec import InstanceSpec
from infra.spec.arc import ArcSpec

if TYPE_CHECKING:
    from infra.arc.environment import AzureEnvironment

_NOT_YET: Final = "the emulator stands in for Azure, and it doesn't run: `up` starts it"


def outside_of(spec: InstanceSpec) -> Outside:
    """Return what the stack's hosts have to reach outside.

    Of a cloud of the user's, its Resource Manager is asked; where it doesn't answer from here, it alone is told.
    """
    arc = spec.stack.arc
    if arc is None:
        return Outside(_public(spec))
    if arc.cloud == "emulator":
        return _emulated(spec)
    authorities = _text(spec.directory / Path(arc.ca_file).expanduser()) if arc.ca_file else ""
    if arc.cloud == "custom":
        return Outside(_custom(spec, arc), authorities)
    return Outside(_public(spec) if arc.cloud == "AzureCloud" else _sovereign(spec, arc), authorities)


def _public(spec: InstanceSpec) -> tuple[Endpoint, ...]:
    names = (name.format(location=region) for name in AZURE for region in _regions(spec))
    return _once(Endpoint(name) for name in (*names, *SOFTWARE))


def _sovereign(spec: InstanceSpec, arc: ArcSpec) -> tuple[Endpoint, ...]:
    from infra.arc.environment import environment_of

    environment = environment_of(arc.cloud)
    return _once((*_needed(spec, environment), *map(Endpoint, SOFTWARE)))


def _custom(spec: InstanceSpec, arc: ArcSpec) -> tuple[Endpoint, ...]:
    from infra.arc.environment import environment_of
    from infra.errors import UserError

    manager = arc.resource_manager or ""
    ca_file = (spec.directory / arc.ca_file).resolve() if arc.ca_file else None
    try:
        return _once(_needed(spec, environment_of("custom", resource_manager=manager, ca_file=ca_file)))
    except UserError:
        parts = urlsplit(manager)  # which hosts may reach all the same
        return (Endpoint(parts.hostname, parts.port or HTTPS),) if parts.hostname else ()


def _emulated(spec: InstanceSpec) -> Outside:
    from infra.arc.emulator import daemon
    from infra.arc.emulator.errors import EmulatorError

    try:
        emulator = daemon.status(daemon.default_folder(spec.name))
    except EmulatorError:
        emulator = None
    if emulator is None or emulator.pid is None or emulator.settings.agent_address is None:
        return Outside((), reason=_NOT_YET)
    address = Endpoint(emulator.settings.agent_address, emulator.port)
    return Outside((address,), _text(emulator.ca_file))


def _needed(spec: InstanceSpec, environment: AzureEnvironment) -> Iterable[Endpoint]:
    """Return what clusters have to reach; names that a service makes up later can't be asked."""
    from infra.arc.endpoints.table import Settings, endpoints_of

    for region in _regions(spec):
        for one in endpoints_of(environment, Settings(location=region)):
            if not one.is_pattern and one.is_required:
                yield Endpoint(one.name, one.port)


def _regions(spec: InstanceSpec) -> list[str]:
    """Return the regions of the clusters, as names have them; the instance's where there are none."""
    from infra.arc.model import short_location

    written = [one.arc.location or spec.stack.location for one in spec.stack.clusters] or [spec.stack.location]
    return list(dict.fromkeys(map(short_location, written)))


def _once(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(dict.fromkeys(endpoints))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""  # what is trusted anyway has to do; the prechecks of `up` name the file
