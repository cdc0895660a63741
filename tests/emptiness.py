"""Proves by the product's own audit that nothing of an instance is left on a host: by mark, and by difference."""

from __future__ import annotations

from infra.audit.ask import ask, look
from infra.audit.judge import compared
from infra.audit.model import Scope
from infra.plan.host_networks import bridge_name
from infra.plan.inventory import BRIDGE_MACHINE
from infra.spec.hosts import DEFAULT_STORAGE_DIRECTORY
from infra.ssh import LocalShell, Shell

_NODES = [f"{cluster}-{role}-{number}" for cluster in "ab" for role in ("cp", "pool1") for number in range(3)]


def scope_of(instance: str, connection: str = "qemu:///system") -> Scope:
    """Return a host on which nothing of an instance is to stand, with the names that tests use."""
    return Scope(
        instance,
        instance,
        "here",
        connection,
        f"{DEFAULT_STORAGE_DIRECTORY}/{instance}",
        machine_names=frozenset(f"{instance}-{name}" for name in (BRIDGE_MACHINE, *_NODES)),
        network_bridges={f"{instance}-{name}": bridge_name(instance, name) for name in ("infrastructure", "aks")},
    )


def leftovers(instance: str) -> list[str]:
    """Return a line for each object of the instance on this machine; empty when it is proven gone."""
    for _ in range(3):
        (place,) = look([scope_of(instance)])
        if not place.unseen:
            break  # else a command had no answer in time: other tests' machines keep this one busy
    assert not place.unseen, place.unseen
    return [str(item) for item in place.of("leftover", "foreign")]


def emulators(instance: str) -> list[int]:
    """Return the processes that stand in for Azure for the instance."""
    observed = ask(LocalShell(), scope_of(instance).directory)
    processes = [thing.evidence for thing in observed.objects if thing.kind == "process"]
    return [
        int(command.split()[0])
        for command in processes
        if "infra.emulator" in command.split()
        and any(word.endswith(f"/emulator/{instance}") for word in command.split())
    ]


def traces(shell: Shell, instance: str) -> set[str]:
    """Return a line for each object of a host, whoever made it: what came with an instance must go with it."""
    observed = ask(shell, scope_of(instance).directory)
    assert not observed.unseen, observed.unseen
    return {f"{thing.kind} {thing.name}" for thing in compared(observed)}
