"""Puts a stack in order after a run that was killed, before an `up` and before a destroy. Mostly silent.

A killed engine leaves two things behind. A file backend keeps its lock: it is dropped when the
process that took it is gone. And the state lists creates that nobody saw the end of: their ids
follow from their inputs, so the engine can be told to look whether the objects stand. Where only the
plugin was killed the engine forgets the create altogether: the next `up` adopts what stands, and before a
destroy each host that state doesn't know is imported, so that removing it sweeps what carries our mark.

After a run that failed, and after a host was started anew, hosts, machines and clusters are looked at before the
next `up`, which then repairs what was stopped or removed meanwhile. What is inside a cluster isn't asked for: its
API server may be what failed. Nor is a host that is lost (`lost: true` in its file): the next `up` forgets what it
had.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.stack.messages import say
from infra.stack.state import Stack

if TYPE_CHECKING:
    from infra.kvm.claim import Claim

_OURS: Final = "azlocal:index:"
OURS: Final = f"**{_OURS}**"
"""Matches the URN of every resource of our own kinds."""


def settle(stack: Stack, *, before_destroy: bool = False) -> None:
    """Drop dead locks, settle pending creates, and before a destroy recover hosts that state has lost.

    Raises:
        EngineFailed: the engine can't do that.
    """
    if any(is_dead(lock) for lock in stack.locks()):
        say("the run that locked this stack is gone (killed?); dropping its lock")
        stack.cancel()
    deployment = stack.deployment()
    found = list(pending_creates(deployment))
    failed = (
        not before_destroy and any(is_ours(one) for one in resources_of(deployment)) and stack.last_run_failed()
    )
    booted = [] if before_destroy else hosts_that_booted(deployment)
    # Which hosts are lost is only asked where somebody will be looked at: the files take a while to read.
    lost = lost_hosts(stack.name) if found or failed or booted else frozenset()
    found = [(urn, id) for urn, id in found if not is_on(lost, id)]
    if found:
        names = ", ".join(urn.rsplit("::", 1)[-1] for urn, _ in found)
        say(f"a killed run was making {names}; looking whether they stand")
        pairs = [
            word for urn, id in found for word in ("--import-pending-creates", urn, "--import-pending-creates", id)
        ]
        refresh(stack, targets(deployment, lost), pairs)
    if before_destroy:
        recover_hosts(stack)
    elif not found and (failed or booted):
        say("the last run failed" if failed else f"{', '.join(booted)} was started anew since the last run")
        say("looking what stands")
        refresh(stack, targets(deployment, lost))


def hosts_that_booted(deployment: Mapping[str, Any]) -> list[str]:
    """Return the names of hosts that were started anew since state has seen them, as far as they answer."""
    known = [one.get("outputs") or {} for one in resources_of(deployment) if one["type"] == f"{_OURS}Host"]
    asked = [one for one in known if one.get("bootId") and not one.get("lost")]
    if not asked:
        return []
    with ThreadPoolExecutor(len(asked)) as pool:
        found = pool.map(boot_id_of, [str(one["connection"]) for one in asked])
        return [str(one["name"]) for one, now in zip(asked, found, strict=True) if now not in ("", one["bootId"])]


def boot_id_of(connection: str) -> str:
    """Return the boot id of a host, empty where it doesn't answer: then `up` says so."""
    from infra.kvm.boot import boot_id
    from infra.ssh import ShellError, shell_for

    try:
        with closing(shell_for(connection)) as shell:
            return boot_id(shell)
    except ShellError:
        return ""


def refresh(stack: Stack, targets: Sequence[str], options: Sequence[str] = ()) -> None:
    """Bring state to what hosts and machines say; without a target everybody would be asked."""
    if targets:
        stack.refresh(*targets, *options)


def targets(deployment: Mapping[str, Any], lost: frozenset[str]) -> list[str]:
    """Return the options by which only our own resources are asked for, and none of a lost host."""
    if not lost:
        return ["--target", OURS]
    ours = [one["urn"] for one in resources_of(deployment) if is_ours(one) and not is_on(lost, one.get("id", ""))]
    return [word for urn in ours for word in ("--target", urn)]


def lost_hosts(stack: str) -> frozenset[str]:
    """Return the connections of hosts that the site's file says are lost."""
    from infra.spec import SpecError, load_instance

    try:
        return frozenset(one.connection for one in load_instance(stack, Path.cwd()).hosts.hosts if one.lost)
    except SpecError:
        return frozenset()  # `up` says what is wrong with the files


def is_on(hosts: frozenset[str], id: str) -> bool:
    """Return whether an id is that of something on one of the hosts."""
    return id.rpartition("#")[0] in hosts


def recover_hosts(stack: Stack) -> None:
    """Import each host of the files that state doesn't have, on which this very state has begun the instance."""
    from infra.resources.host import HOST
    from infra.resources.stack_identity import STACK_IDENTITY
    from infra.spec import SpecError, load_instance

    resources = resources_of(stack.deployment())
    known = {one.get("id") for one in resources if one["type"] == HOST.token}
    owners = {str(one.get("outputs", {}).get("uid")) for one in resources if one["type"] == STACK_IDENTITY.token}
    try:
        hosts = load_instance(stack.name, Path.cwd()).hosts.hosts
    except SpecError:
        return  # files that can't be read now don't stop a destroy of what state knows
    for one in hosts:
        id = HOST.id_of({"connection": one.connection, "instance": stack.name})
        if id in known or one.lost:
            continue
        claim = claim_on(one.connection, one.storage_of(stack.name))
        if not is_this_states(claim, owners):
            if claim is not None:
                say(f"{one.name} is left alone: {claim.refusal()}")
        elif stack.adopt(HOST.token, one.name, id):
            say(f"{one.name} holds what a killed run left; it goes with the rest")


def is_this_states(claim: Claim | None, owners: Container[str]) -> bool:
    """Return whether what stands on a host that state doesn't know is what a killed run of this state left.

    Args:
        claim: who has the instance there.
        owners: the ids that this state has had; none where azlocal 0.1.0 began it, which claimed nothing.
    """
    return claim.id in owners if claim is not None else not owners


def claim_on(connection: str, directory: str) -> Claim | None:
    """Return who has an instance on a host; None where nobody has, and where the host can't be asked.

    Raises:
        NotOurs: the claim can't be read.
    """
    from infra.kvm.claim import read_claim
    from infra.ssh import ShellError, root_shell

    try:
        with closing(root_shell(connection)) as shell:
            return read_claim(shell, directory)
    except ShellError:
        return None


def is_dead(lock: dict[str, Any]) -> bool:
    """Return whether the lock's process ran on this machine and is no more; another machine's can't be judged."""
    if lock.get("hostname") != socket.gethostname():
        return False
    try:
        os.kill(int(lock["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def resources_of(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a stack's state lists."""
    return deployment.get("resources") or []


def is_ours(resource: dict[str, Any]) -> bool:
    """Return whether a resource is of one of our own kinds."""
    return str(resource["type"]).startswith(_OURS)


def pending_creates(deployment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return URN and id of each of our resources whose create was never answered."""
    pending = [one for one in deployment.get("pending_operations") or [] if one["type"] == "creating"]
    ours = [one["resource"] for one in pending if is_ours(one["resource"])]
    if ours:
        from infra.provider.kinds import all_kinds  # only who was killed needs the contracts

        kinds = all_kinds()
        for resource in ours:
            if resource["type"] in kinds:
                yield resource["urn"], kinds[resource["type"]].contract.id_of(resource["inputs"])
