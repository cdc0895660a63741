"""What Azure, or its emulator on this machine, tells of the instance's connected clusters. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from infra.arc.model import Connected
from infra.arc.onboarding import observe
from infra.doctor.azure import azure_of
from infra.emulator import daemon

if TYPE_CHECKING:
    from infra.plan.arc_topology import Arc
    from infra.spec import InstanceSpec


def is_emulator_up(instance: str) -> bool:
    """Return whether the instance's emulator runs."""
    emulator = daemon.status(daemon.default_folder(instance))
    return emulator is not None and emulator.pid is not None


def connections_of(
    spec: InstanceSpec, arc: Arc, names: Mapping[str, str]
) -> tuple[dict[str, Connected | None], datetime]:
    """Return how each connected cluster is, None where Azure has no such resource; and Azure's time.

    Args:
        spec: What people wrote.
        arc: Which Azure.
        names: Of the Azure resources, by cluster.

    Raises:
        ArcError: Azure refuses; or it is the emulator, which doesn't run.
        AzureUnreachable: It doesn't answer.
    """
    with azure_of(spec, arc, starts_emulator=False) as azure:
        seen = {cluster: observe(azure, azure.scope, name, None) for cluster, name in names.items()}
        return seen, azure.clock()
