"""What a change of the files does to machines and clusters, as a plan's reports show it."""

from dataclasses import dataclass
from typing import Any, Literal

EffectKind = Literal["refused", "removed", "replaced", "moved", "restarted", "patched", "kept", "added"]
EFFECTS: tuple[EffectKind, ...] = (
    "refused",
    "removed",
    "replaced",
    "moved",
    "restarted",
    "patched",
    "kept",
    "added",
)
"""Worst first: refused stops `up`; kept stays as it is, though what was written of it changed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs.

    Attributes:
        name: Its name, as in the files where it stands there.
        before: Its value before, in words; None where there was none.
        after: Its value after.
    """

    name: str
    before: str | None
    after: str | None

    def to_json(self) -> dict[str, str | None]:
        """Return the JSON object."""
        return {"name": self.name, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        return f"{self.name} {self.before or 'none'} → {self.after or 'none'}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one machine, cluster or host.

    Attributes:
        kind: What happens to it.
        name: Its name; a machine's in the address plan.
        cluster: A machine's cluster, if it has one; a cluster itself; None for a host.
        settings: What differs of it.
        why: The reason in a sentence: the settings, or what came or went.
        then: What the user should know of it: what is lost, or why it is refused and what to do.
    """

    kind: EffectKind
    name: str
    cluster: str | None
    settings: tuple[Setting, ...]
    why: str
    then: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "cluster": self.cluster,
            "settings": [setting.to_json() for setting in self.settings],
            "why": self.why,
            "then": self.then,
        }


@dataclass(frozen=True, slots=True)
class Effects:
    """What becomes of an instance's machines, clusters and hosts, as far as it can be told.

    Attributes:
        machines: Those to which something happens.
        clusters: Likewise.
        hosts: Likewise.
        untold: Why it can't be told; empty where it can.
    """

    machines: tuple[Effect, ...] = ()
    clusters: tuple[Effect, ...] = ()
    hosts: tuple[Effect, ...] = ()
    untold: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a list of each; null where it can't be told."""
        if self.untold:
            return {"machines": None, "clusters": None, "hosts": None, "untold": self.untold}
        return {
            "machines": [machine.to_json() for machine in self.machines],
            "clusters": [cluster.to_json() for cluster in self.clusters],
            "hosts": [host.to_json() for host in self.hosts],
        }
