"""Making a host ready for machines: facts → the steps still missing → the steps run, each proven afterwards.

Reading facts changes nothing, planning is pure, and only `prepare` and `withdraw` touch a host. What changes the
host's network runs under a guard on the host itself, which takes the change back unless we reach the host again
and confirm it (guard.py).
"""

from infra.kvm.preparation.facts import PreparationFacts, read_facts
from infra.kvm.preparation.guard import NetworkRolledBack, difference
from infra.kvm.preparation.run import PreparationError, prepare, withdraw
from infra.kvm.preparation.steps import Plan, Step, plan
from infra.kvm.preparation.wanted import Wanted

__all__ = [
    "NetworkRolledBack",
    "Plan",
    "PreparationError",
    "PreparationFacts",
    "Step",
    "Wanted",
    "difference",
    "plan",
    "prepare",
    "read_facts",
    "withdraw",
]
