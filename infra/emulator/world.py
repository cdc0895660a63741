"""What every handler of the emulator works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.emulator.clock import Clock
from infra.emulator.faults import Faults
from infra.emulator.limits import Bodies
from infra.emulator.registry import Registry
from infra.emulator.settings import Settings
from infra.emulator.store import Store
from infra.emulator.tokens import Tokens


@dataclass(frozen=True)
class World:
    """The emulator's state and its parts.

    Attributes:
        settings: ports, addresses and ids; `settings.agent_url` is where agents reach the emulator.
        store: everything that is remembered; a handler runs inside one of its transactions.
        clock: the emulator's time; use it for all but tokens.
        ca_certificate: the emulator's CA, as PEM: what the agents have to trust.
        bodies: reads what requests bring.
    """

    settings: Settings
    store: Store
    clock: Clock
    faults: Faults
    tokens: Tokens
    registry: Registry
    ca_certificate: str
    admin_token: str = field(repr=False)
    client_secrets: Mapping[str, str] = field(repr=False)
    bodies: Bodies = field(default_factory=Bodies)
