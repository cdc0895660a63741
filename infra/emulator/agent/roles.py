"""The agents that work: what each is made of, and what it does again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from . import credential, kube, loop, wire
from .aad_proxy import AadProxy
from .clock import Clock
from .config_agent import ConfigAgent
from .data_plane import DataPlane
from .extension_manager import ExtensionManager
from .helm import Helm
from .identity_operator import IdentityOperator
from .metadata import MetadataOperator, ResourceSync
from .settings import Settings


class Agent:
    """What the roles are made of."""

    def __init__(self, role: str, settings: Settings, stopping: threading.Event) -> None:
        self.settings = settings
        self.stopping = stopping
        self.clock = Clock()
        self.api = kube.Api(settings.api_server, settings.service_account, f"azure-arc-{role}")
        self.wire = wire.Wire(wire.trust(settings.extra_ca))
        self.service = DataPlane(
            settings, self.wire, self.clock, lambda: credential.load(self.api, settings.namespace)
        )


ROLES: dict[str, Callable[[Agent], loop.Step]] = {
    "clusteridentityoperator": lambda a: IdentityOperator(a.settings, a.api, a.wire, a.clock).step,
    "cluster-metadata-operator": lambda a: MetadataOperator(a.settings, a.api).step,
    "resource-sync-agent": lambda a: ResourceSync(a.settings, a.api, a.service).step,
    "kube-aad-proxy": lambda a: AadProxy(a.settings, a.api).step,
    "config-agent": lambda a: ConfigAgent(a.settings, a.api, a.service, a.clock).step,
    "extension-manager": lambda a: (
        ExtensionManager(a.settings, a.api, a.service, Helm(a.settings, a.stopping)).step
    ),
}
