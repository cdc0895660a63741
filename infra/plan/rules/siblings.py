"""Stacks of one site by their files: what is to be said before a lock knows which of them came first.

`infra.plan.rules.site` refuses the second of two such stacks, once the lock has the first. These are warnings, for
the other stack may never come up; without a lock, or before the first plan, only the files can tell.
"""

from collections.abc import Iterator

from infra.plan.rules.arc import connected, resource_name
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.machine_names import machine_name
from infra.spec.neighbours import MACHINE_USES


def _unplanned(facts: Facts) -> dict[str, Facts]:
    """Return the other stacks of which none is on record; none where this one is, as theirs are then refused."""
    known = facts.locks.addresses.instances
    if facts.spec.name in known:
        return {}
    return {name: sibling for name, sibling in facts.siblings.items() if name not in known}


@rule("machine-of-two-stacks", source="azlocal", severity="warning")
def machine_of_two_stacks(facts: Facts) -> Iterator[Fault]:
    """A machine's name, `<stack>-<name>`, is made by one stack of the site."""
    others = {
        machine_name(stack, machine.owner): stack
        for stack, sibling in _unplanned(facts).items()
        for machine in sibling.inventory.everything
    }
    for claim in facts.claims if others else ():
        name = machine_name(facts.spec.name, claim.owner)
        if claim.use in MACHINE_USES and name in others:
            other = others[name]
            message = (
                f"{name} would be a machine of stack {facts.spec.name}, and Pulumi.{other}.yaml makes the same; "
                "the stack that is planned last is refused"
            )
            remedy = f"rename a stack, the cluster or the pool; {_gone(other)}"
            yield Fault("stack", claim.path, message, remedy)


@rule("gateway-of-two-stacks", source="azlocal", severity="warning")
def gateway_of_two_stacks(facts: Facts) -> Iterator[Fault]:
    """A host holds a network's gateway for one stack of the site."""
    spec = facts.spec
    others = list(_unplanned(facts))
    holders = [host for host in spec.standing_hosts if spec.holds_gateways(host)]
    if not others or not holders:
        return
    message = (
        f"stack {', '.join(others)} is of this site, too, and host {holders[0].name} holds the gateways of its "
        "networks for one stack only; the stack that is planned last is refused"
    )
    remedy = f"{site_of_its_own(spec.name)}; {_gone(others[0])}"
    yield Fault("stack", ("site",), message, remedy)


@rule("arc-name-of-two-stacks", source="arc_facts §1.10", severity="warning")
def arc_name_of_two_stacks(facts: Facts) -> Iterator[Fault]:
    """Azure has one connected cluster of a name in a resource group, whichever stack connects it."""
    others = {
        resource_name(sibling.spec, cluster).lower(): stack
        for stack, sibling in facts.siblings.items()
        if _group(sibling) == _group(facts)
        for _, cluster, _ in connected(sibling)
    }
    for path, cluster, arc in connected(facts):
        name = resource_name(facts.spec, cluster)
        other = others.get(name.lower())
        if other is not None:
            message = f"connected cluster {name} of this resource group is also one of stack {other}"
            remedy = f"give one of them another arc.name, or a resource group of its own; {_gone(other)}"
            yield Fault("stack", (*path, "name") if arc.name else path[:-1], message, remedy)


def _group(facts: Facts) -> tuple[str, str, str] | None:
    """Return the resource group of a stack: cloud, subscription and name; None where nothing is connected."""
    arc = facts.spec.stack.arc
    if arc is None:
        return None
    return arc.cloud, (arc.subscription_id or "").lower(), (arc.resource_group or facts.spec.name).lower()


def site_of_its_own(stack: str) -> str:
    """Return what to do with a stack that can't stand beside another one of its site."""
    return f"give {stack} a site of its own: hosts/SITE.yaml, and netplans/SITE.yaml with other prefixes"


def _gone(stack: str) -> str:
    return f"where stack {stack} is gone, remove Pulumi.{stack}.yaml"
