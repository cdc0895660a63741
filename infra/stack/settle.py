"""Puts a stack in order after a run that was killed, before an `up` and before a destroy. Mostly silent.

A killed engine leaves two things behind. A file backend keeps its lock: it is dropped when the
process that took it is gone. And the state lists creates that nobody saw the end of: their ids
follow from their inputs, so the engine can be told to look whether the objects stand. Where only the
plugin was killed the engine forgets the create altogether: the next `up` adopts what stands, and before a
destroy each host that state doesn't know is imported, so that removing it sweeps what carries our mark.

After a run that failed, after a host was restarted, and after a drill (`azlocal drill`), hosts, machines and
clusters are looked at before the next `up`, which then repairs what was stopped or removed meanwhile. What is
inside a cluster isn't asked for: its API server may be what failed. Nor is a host that is lost (`lost: true` in
its file): the next `up` forgets what it had.

The bare `pulumi up` continues after pending creates, which adopt what stands, but keeps them listed; it refuses
a dead lock before it asks anything of ours. There the program tells what isn't settled; `azlocal settle` does it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.stack.drills import journal
from infra.stack.environment import BACKEND
from infra.stack.messages import say
from infra.stack.state import Stack

if TYPE_CHECKING:
    from infra.kvm.claim import Claim

_OURS: Final = "azlocal:index:"
OURS: Final = f"**{_OURS}**"
"""Matches the URN of every resource of our own kinds."""
_ENDED: Final = ("Z", "X")


def settle(stack: Stack, *, before_destroy: bool = False) -> None:
    """Drop dead locks, settle pending creates, and before a destroy recover hosts that state has lost.

    Raises:
        EngineFailed: the engine can't do that.
    """
    if any(is_dead(lock) for lock in stack.locks()):
        say("the run that locked this stack is gone (killed?); dropping its lock")
        stack.cancel()
    drill = journal.find(stack.directory, stack.name)
    if drill is not None:
        journal.undo(drill)
    deployment = stack.deployment()
    left = Unsettled.of(stack, deployment, looks=not before_destroy)
    # Which hosts are lost is only asked where somebody will be looked at: the files take a while to read.
    lost = lost_hosts(stack.name) if left.reasons() else frozenset()
    left = left.without(lost)
    if left.pending:
        say(f"{left.reasons()[0]}; looking whether they stand")
        pairs = [word for pair in left.pending for part in pair for word in ("--import-pending-creates", part)]
        refresh(stack, targets(deployment, lost), pairs)
    if before_destroy:
        recover_hosts(stack)
    elif not left.pending and left.reasons():
        say(left.reasons()[0])
        say("looking what stands")
        refresh(stack, targets(deployment, lost))


@dataclass(frozen=True)
class Unsettled:
    """What runs before have left for the next one to look at.

    Attributes:
        pending: URN and id of each of our resources whose create was never answered.
        failed: whether the last run failed.
        booted: the names of hosts that were restarted since state has seen them.
        drill: the drill that broke something, and that no `up` has healed yet; empty where there is none.
    """

    pending: tuple[tuple[str, str], ...]
    failed: bool
    booted: tuple[str, ...]
    drill: str = ""

    @classmethod
    def of(
        cls, stack: Stack, deployment: Mapping[str, Any], *, looks: bool = True, asks_hosts: bool = True
    ) -> Unsettled:
        """Return what a stack's state and its hosts show.

        Args:
            stack: the stack.
            deployment: what its state has.
            looks: whether it matters that the last run failed, that hosts were restarted, or that a drill was run.
            asks_hosts: whether hosts may be asked.
        """
        has_ours = any(is_ours(resource) for resource in resources_of(deployment))
        drill = journal.find(stack.directory, stack.name) if looks and has_ours else None
        return cls(
            tuple(pending_creates(deployment)),
            looks and has_ours and stack.last_run_failed(),
            tuple(hosts_that_booted(deployment)) if looks and asks_hosts else (),
            drill.drill if drill else "",
        )

    def without(self, lost: frozenset[str]) -> Unsettled:
        """Return it without what was being made on lost hosts."""
        return replace(self, pending=tuple(pair for pair in self.pending if not is_on(lost, pair[1])))

    def reasons(self) -> list[str]:
        """Return why it isn't settled."""
        names = ", ".join(urn.rsplit("::", 1)[-1] for urn, _ in self.pending)
        return [
            *([f"a killed run was making {names}"] if names else ()),
            *([f"the drill {self.drill} broke something"] if self.drill else ()),
            *(["the last run failed"] if self.failed else ()),
            *([f"{', '.join(self.booted)} was restarted since the last run"] if self.booted else ()),
        ]


def remind(project: Path) -> None:
    """Tell a user of the bare command, from within its run, what `azlocal up` would have settled before it.

    State in files is read there and then; other backends aren't asked while they are at work. Hosts aren't asked
    in a preview.
    """
    import pulumi

    stack = Stack(pulumi.get_stack(), project, os.environ.get(BACKEND, ""))
    if not stack.is_file():
        return
    left = Unsettled.of(stack, stack.deployment(), asks_hosts=not pulumi.runtime.is_dry_run())
    if left.reasons():
        pulumi.warn(
            f"{'; '.join(left.reasons())}. `pulumi up` relies on what state has; `azlocal settle {stack.name}` "
            f"before it looks what stands, and `azlocal up {stack.name}` does both"
        )


def hosts_that_booted(deployment: Mapping[str, Any]) -> list[str]:
    """Return the names of hosts that were restarted since state has seen them, as far as they answer."""
    known = [
        resource.get("outputs") or {}
        for resource in resources_of(deployment)
        if resource["type"] == f"{_OURS}Host"
    ]
    hosts = [host for host in known if host.get("bootId") and not host.get("lost")]
    if not hosts:
        return []
    with ThreadPoolExecutor(len(hosts)) as pool:
        boot_ids = pool.map(boot_id_of, [str(host["connection"]) for host in hosts])
        return [
            str(host["name"]) for host, now in zip(hosts, boot_ids, strict=True) if now not in ("", host["bootId"])
        ]


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
    ours = [
        resource["urn"]
        for resource in resources_of(deployment)
        if is_ours(resource) and not is_on(lost, resource.get("id", ""))
    ]
    return [word for urn in ours for word in ("--target", urn)]


def lost_hosts(stack: str) -> frozenset[str]:
    """Return the connections of hosts that the site's file says are lost."""
    from infra.spec import SpecError, load_instance

    try:
        return frozenset(host.connection for host in load_instance(stack, Path.cwd()).hosts.hosts if host.lost)
    except SpecError:
        return frozenset()  # `up` says what is wrong with the files


def is_on(hosts: frozenset[str], id: str) -> bool:
    """Return whether an id is that of something on one of the hosts."""
    return id.rpartition("#")[0] in hosts


def recover_hosts(stack: Stack) -> None:
    """Import each host of the files that state doesn't have, on which this very state has begun the instance."""
    from infra.resources.host import HOST
    from infra.spec import SpecError, load_instance

    resources = resources_of(stack.deployment())
    known = {resource.get("id") for resource in resources if resource["type"] == HOST.token}
    owners = owners_of(resources)
    try:
        hosts = load_instance(stack.name, Path.cwd()).hosts.hosts
    except SpecError:
        return  # files that can't be read now don't stop a destroy of what state knows
    for host in hosts:
        id = HOST.id_of({"connection": host.connection, "instance": stack.name})
        if id in known or host.lost:
            continue
        claim = claim_on(host.connection, host.storage_of(stack.name))
        if not is_this_states(claim, owners):
            if claim is not None:
                say(f"{host.name} is left alone: {claim.refusal()}")
        elif stack.adopt(HOST.token, host.name, id):
            say(f"{host.name} holds what a killed run left; it goes with the rest")


def owners_of(resources: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the ids by which hosts may know whose an instance is, from what its state lists."""
    from infra.resources.stack_identity import STACK_IDENTITY

    identities = (resource for resource in resources if resource["type"] == STACK_IDENTITY.token)
    return frozenset(str(identity["outputs"]["uid"]) for identity in identities if identity.get("outputs"))


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
    pid = int(lock["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Return whether a process that is listed still has ended, as proc(5) says where there is one.

    It stays listed until its parent asks for it, which the first process of many a container never does.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] in _ENDED


def resources_of(deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a stack's state lists."""
    return deployment.get("resources") or []


def is_ours(resource: dict[str, Any]) -> bool:
    """Return whether a resource is of one of our own kinds."""
    return str(resource["type"]).startswith(_OURS)


def pending_creates(deployment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return URN and id of each of our resources whose create was never answered."""
    pending = [
        operation for operation in deployment.get("pending_operations") or [] if operation["type"] == "creating"
    ]
    ours = [operation["resource"] for operation in pending if is_ours(operation["resource"])]
    if ours:
        from infra.provider.kinds import all_kinds  # only who was killed needs the contracts

        kinds = all_kinds()
        for resource in ours:
            if resource["type"] in kinds:
                yield resource["urn"], kinds[resource["type"]].contract.id_of(resource["inputs"])
