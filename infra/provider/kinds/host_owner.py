"""The Host kind's part that asks whose the instance on a host is, before anything is done there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from infra.kvm import host_folders
from infra.kvm.claim import TAKE_OVER, Claim, read_claim, unclaimed, who_is_here
from infra.kvm.connection import HostSession
from infra.kvm.errors import NotOurs
from infra.kvm.ownership import Mark
from infra.kvm.storage import find_pool, pool_directory
from infra.plugin.operation import Operation
from infra.resources.host import HostInputs
from infra.ssh import Shell

VOLUMES = f"/{host_folders.VOLUMES}"
"""The pool's folder inside the storage directory; seeds lie beside it."""


def pool_name(instance: str) -> str:
    """Return the name of the instance's storage pool on each of its hosts."""
    return f"azlocal-{instance}"


def standing_directory(session: HostSession, mark: Mark) -> str | None:
    """Return the storage directory of an instance on a host, as its pool tells; None where it has none there."""
    name = pool_name(mark.instance)
    pool = find_pool(session.qemu, name)
    if pool is None or not mark.owns("pool", name, pool.UUIDString()):
        return None
    return pool_directory(pool).removesuffix(VOLUMES)


def check_owner(shell: Shell, inputs: HostInputs) -> bool:
    """Return whether another state has the instance on the host, and the user lets it go for this one.

    Raises:
        NotOurs: another state has it, and nobody said that it may go.
    """
    return _may_go(shell, read_claim(shell, inputs.storage_directory), inputs.owner)


@dataclass(frozen=True)
class Possession:
    """What it means that an instance on a host is this state's now.

    Attributes:
        is_new: It was nobody's.
        has_others: What stands there of it is another state's, and is to go.
    """

    is_new: bool = False
    has_others: bool = False


def take_possession(
    op: Operation, session: HostSession, inputs: HostInputs, mark: Mark, *, is_unknown: bool
) -> Possession:
    """Claim the instance on a host.

    Args:
        op: the operation.
        session: the host.
        inputs: what is wanted of it.
        mark: the instance's.
        is_unknown: whether state knows nothing of it: what stands there without a claim is then another state's.

    Raises:
        NotOurs: another state has it, and nobody said that it may go.
    """
    if inputs.owner is None:
        return Possession()
    shell, standing = session.shell, standing_directory(session, mark)
    directory = standing or inputs.storage_directory
    claim = read_claim(shell, directory)
    if claim is None and standing and is_unknown:
        claim = unclaimed(inputs.instance, mark.stack)
    ours = Claim(inputs.owner, inputs.instance, mark.stack, who_is_here())
    if _may_go(shell, claim, inputs.owner):
        op.warning(f"{TAKE_OVER} lets instance {inputs.instance!r} go that {claim.made_by if claim else ''} made")
        ours.renew(shell, directory)
        return Possession(has_others=True)
    return Possession(is_new=ours.make(shell, directory))


def check_still_ours(shell: Shell, known: HostInputs) -> str | None:
    """Return the owner that state knows where the host says the same; None where it doesn't say ours.

    Raises:
        NotOurs: another state has taken the instance since.
    """
    claim = read_claim(shell, known.storage_directory)
    if claim is not None and known.owner is not None and claim.id != known.owner:
        raise NotOurs(f"{shell.host}: {claim.refusal()}")
    return known.owner if claim is not None and claim.id == known.owner else None


def imported_owner(shell: Shell, directory: str) -> str | None:
    """Return who has the instance that a host is imported for: by that, the user takes its place."""
    claim = read_claim(shell, directory)
    return claim.id if claim else None


def check_may_remove(shell: Shell, known: HostInputs) -> None:
    """See that what is to be removed is this state's.

    Raises:
        NotOurs: it is another state's.
    """
    claim = read_claim(shell, known.storage_directory)
    if claim is not None and claim.id != known.owner:
        raise NotOurs(f"{shell.host}: {claim.refusal()}")


def give_up_possession(session: HostSession, inputs: HostInputs) -> None:
    """Take our claim away; that of another state stays."""
    claim = read_claim(session.shell, inputs.storage_directory)
    if claim is not None and claim.id == inputs.owner:
        claim.release(session.shell, inputs.storage_directory)


def _may_go(shell: Shell, claim: Claim | None, owner: str | None) -> bool:
    if claim is None or claim.id == owner:
        return False
    if os.environ.get(TAKE_OVER) == claim.id:
        return True
    raise NotOurs(f"{shell.host}: {claim.refusal()}")
