"""The door to the Azure that a stack names, for commands that act without the engine."""

from __future__ import annotations

from infra.arc.azure import Azure
from infra.arc.credentials import credential_for
from infra.arc.emulator.daemon import default_folder
from infra.arc.emulator.environment import any_environment
from infra.arc.model import AzureScope
from infra.arc_topology import Arc
from infra.spec import InstanceSpec


def azure_of(spec: InstanceSpec, arc: Arc) -> Azure:
    """Return a stack's Azure; an emulator that isn't running is started.

    Raises:
        ArcError: There is no such Azure, or no credential for it.
    """
    written = arc.spec
    environment = any_environment(
        written.cloud,
        emulator_folder=default_folder(spec.name) if arc.is_emulated else None,
        resource_manager=written.resource_manager,
        ca_file=(spec.directory / written.ca_file).resolve() if written.ca_file else None,
    )
    credential = credential_for(environment, written.tenant_id)
    subscription = written.subscription_id or emulated_subscription(spec.name)
    return Azure(environment, AzureScope(subscription, arc.resource_group, written.tenant_id), credential)


def emulated_subscription(instance: str) -> str:
    """Return the subscription that an instance's emulator has."""
    from infra.arc.emulator.settings import Folder

    return Folder(default_folder(instance)).settings().subscription_id
