"""What the rules of placement look at, and the register of all of them."""

from dataclasses import dataclass
from functools import cached_property

from infra.placement.demand import Demand
from infra.placement.plan import Placement
from infra.placement.room import HostRoom, Ledger
from infra.spec.findings import Finding, KeyPath
from infra.spec.loader import InstanceSpec
from infra.spec.machine_names import plan_name
from infra.spec.rules import Register


@dataclass(frozen=True)
class Facts:
    """All that a rule can look at.

    Attributes:
        spec: What people wrote.
        placement: Where machines are, without findings.
        ledger: What machines leave of the hosts; less the reserve, if that is a rule.
        demands: Everything that needs room, held room too.
    """

    spec: InstanceSpec
    placement: Placement
    ledger: Ledger
    demands: list[Demand]

    @cached_property
    def pins(self) -> dict[str, str]:
        """Return the pinned machines by the plan's names, each with the name that people wrote."""
        owners = {one.owner for one in self.demands}
        found: dict[str, str] = {}
        for name in self.spec.stack.placement.pins:
            found.setdefault(plan_name(name, self.spec.name, owners) or name, name)
        return found

    @cached_property
    def taking(self) -> list[HostRoom]:
        """Return the hosts that take machines."""
        return [one for one in self.placement.rooms if one.takes]

    @cached_property
    def memory(self) -> list[int]:
        """Return the memory of each host that takes machines, less other instances'; nothing unless all is known.

        In MiB, and smallest first.
        """
        known = [one.memory_mib - one.others_mib for one in self.taking if one.memory_mib is not None]
        return sorted(known) if len(known) == len(self.taking) else []

    @cached_property
    def needed(self) -> int:
        """Return what everything takes in MiB: machines at their most, and what upgrades add."""
        return sum(one.memory_mib for one in self.demands)

    @cached_property
    def is_short(self) -> bool:
        """Tell whether all hosts but the largest, or the only one, have too little memory in sum."""
        if not self.memory:
            return False
        return self.needed > (sum(self.memory[:-1]) if len(self.memory) > 1 else self.memory[0])

    def host_path(self, name: str, *keys: str) -> KeyPath:
        """Return where a host stands in hosts/<site>.yaml, or a key of it."""
        for index, host in enumerate(self.spec.hosts.hosts):
            if host.name == name:
                return "hosts", index, *keys
        return ("hosts",)


RULES: Register[Facts] = Register()
rule = RULES.rule


def check_all(facts: Facts) -> list[Finding]:
    """Return every fault of every rule, errors first."""
    return RULES.check_all(facts, facts.spec.sources)
