"""A connection that has to be let through, and its two ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from infra.plan.addresses.numbers import range_text
from infra.spec.types import AddressRange

Protocol = Literal["tcp", "udp", "tcp, udp", "vrrp"]
"""VRRP is a protocol of IP's own, number 112: it has no ports."""

Needs = Literal["lab", "azureLocal"]
"""Who needs a connection: the lab that azlocal makes, or only the real Azure Local that it rehearses."""

Ports = tuple[int, int]
"""First and last of a run of ports."""

ANY_PORT: Final[Ports] = (1, 65535)
HTTPS_PORT: Final[Ports] = (443, 443)


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a connection.

    Attributes:
        name: What it is, as `nodes of network aks`.
        ranges: Its addresses, as far as the plan knows them.
        host: The name it is reached by, where there are no addresses; `*.` before it stands for any below it.
        network: The network of the netplan that it is in; empty for what is elsewhere.
    """

    name: str
    ranges: tuple[AddressRange, ...] = ()
    host: str = ""
    network: str = ""

    @property
    def where(self) -> str:
        """Return its addresses or its name, as firewalls are told; empty where nobody knows."""
        return ", ".join(map(range_text, self.ranges)) or self.host


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection that has to be let through. Answers to it come back by the same rule.

    Attributes:
        source: Who opens it.
        target: Who listens.
        protocol: What it speaks.
        ports: Where the target listens; none where the protocol has no ports.
        purpose: What it is for.
        rule: Where that is written: a document's code (`azure_local_facts.md` §0), or azlocal.
        needs: Who needs it.
        is_required: Whether the instance can't be made or connected without it.
    """

    source: Party
    target: Party
    protocol: Protocol
    ports: tuple[Ports, ...]
    purpose: str
    rule: str
    needs: Needs = "lab"
    is_required: bool = True

    @property
    def is_within(self) -> bool:
        """Return whether both ends are in one subnet, where only hosts' own firewalls are between them."""
        return bool(self.source.network) and self.source.network == self.target.network

    @property
    def ports_text(self) -> str:
        """Return the ports: `22`, `2379-2380`; `any` where they are the user's own choice."""
        if self.ports == (ANY_PORT,):
            return "any"
        return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ports)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "source": _end(self.source),
            "target": _end(self.target),
            "protocol": self.protocol,
            "ports": self.ports_text,
            "purpose": self.purpose,
            "rule": self.rule,
            "needs": self.needs,
            "required": self.is_required,
            "withinSubnet": self.is_within,
        }


def _end(party: Party) -> dict[str, Any]:
    return {"name": party.name, "addresses": [range_text(span) for span in party.ranges], "host": party.host}
