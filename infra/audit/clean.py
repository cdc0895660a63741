"""Remove from a host what carries an instance's mark and isn't to stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from infra.audit import inventory
from infra.audit.model import Item, Scope
from infra.kvm import clone_store, host_folders, store_unit
from infra.kvm.claim import TAKE_OVER, claim_file, read_claim, unclaimed
from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import NotOurs
from infra.kvm.machines import MACHINES, owned_machines
from infra.kvm.networks import remove_network
from infra.kvm.ownership import Mark
from infra.kvm.seeds import shred
from infra.kvm.storage import find_pool, remove_pool
from infra.model.work import Work

_SECONDS: Final = 300.0


def clean_host(scope: Scope, items: Sequence[Item], say: Callable[[str], None]) -> None:
    """Remove from a host what of the instance isn't to stand there; all of it, where nothing is to.

    Args:
        scope: What is to stand there.
        items: What is left there, by mark.
        say: Takes what is done.

    Raises:
        UserError: The host doesn't answer; another state has the instance there; or its folder holds files that
            azlocal didn't make.
    """
    mark = Mark(scope.instance, scope.stack, "")
    with Hosts().session(scope.connection, Work().within(_SECONDS)) as session:
        pool = f"azlocal-{scope.instance}"
        _refuse_another_states(session, scope, pool, mark)
        for machine in owned_machines(session, pool, mark):
            if machine.name not in scope.machines:
                say(f"{scope.host}: removing machine {machine.name}")
                machine.remove()
        gone = sorted(scope.machine_names - scope.machines)
        for machine_class in {MACHINES["container"], MACHINES["vm"]}:
            machine_class.remove_traces(session, gone, mark)
        _remove_files(session, items, scope, say)
        _remove_networks(session, scope, mark, say)
        if not scope.stands:
            say(f"{scope.host}: removing {scope.directory} and its pool")
            _remove_storage(session, scope, pool, mark)


def _refuse_another_states(session: HostSession, scope: Scope, pool: str, mark: Mark) -> None:
    """Refuse what another state has made: by its claim, or as azlocal 0.1.0 left a whole instance without one."""
    claim = read_claim(session.shell, scope.directory)
    standing = find_pool(session.qemu, pool)
    if claim is None and not scope.stands and standing and mark.owns("pool", pool, standing.UUIDString()):
        claim = unclaimed(scope.instance, scope.stack)
    if claim is not None and scope.owners is not None and claim.id not in scope.owners:
        raise NotOurs(
            f"{scope.host}: {claim.made_by} made the instance there, by a state that isn't this stack's. If that "
            f"state is lost and all of it may go: {TAKE_OVER}={claim.id} azlocal audit {scope.stack} --clean"
        )


def _remove_files(session: HostSession, items: Sequence[Item], scope: Scope, say: Callable[[str], None]) -> None:
    """Remove disks and seeds in our own folder whose machines are gone; seeds are overwritten."""
    for item in items:
        if item.kind not in ("volume", "seed") or not session.shell.exists(item.name):
            continue
        say(f"{scope.host}: removing {item.name}")
        if item.kind == "seed":
            shred(session.shell, item.name)
        session.shell.remove_tree(item.name)


def _remove_networks(session: HostSession, scope: Scope, mark: Mark, say: Callable[[str], None]) -> None:
    standing = {
        network.name()
        for network in session.qemu.listAllNetworks()
        if mark.owns("network", network.name(), network.UUIDString())
    }
    # Of a network that is gone, a tunnel, a table and a hook may be left.
    for name in sorted({*standing, *scope.network_bridges} - scope.networks.keys()):
        if name in standing:
            say(f"{scope.host}: removing network {name}")
        remove_network(session, name, mark)


def _remove_storage(session: HostSession, scope: Scope, pool: str, mark: Mark) -> None:
    shell, directory = session.shell, scope.directory
    image, _ = clone_store.image_files(directory)
    if shell.exists(image):
        clone_store.ensure(shell, directory)  # only mounted it shows what it holds
    host_folders.refuse_foreign(shell, directory, scope.instance)
    remove_pool(session.qemu, pool, mark)
    host_folders.remove(shell, directory, scope.instance)
    clone_store.remove(shell, directory)
    store_unit.uninstall(shell, directory)
    shell.run(["rm", "--force", "--", claim_file(directory)])
    inventory.forget(shell, directory)
