"""Moves: machines stay where they are, unless people say otherwise, and then everybody sees it."""

from collections import Counter
from collections.abc import Iterator

from infra.model.machine_traits import may_run_vms
from infra.plan.placement.plan import Move
from infra.plan.placement.room import HostRoom
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath
from infra.spec.loader import FileKind


@rule("host-lost", source="azlocal", severity="warning", part="placement")
def host_lost(facts: Facts) -> Iterator[Fault]:
    """A host that is gone for good isn't asked anything, so what stands on it is for people to stop."""
    for room in facts.placement.rooms:
        if not room.lost:
            continue
        message = f"{room.name} is lost: nothing on it is asked, stopped or removed"
        remedy = (
            "make sure that it is off, for its machines' addresses go with them to other hosts; after the `up`, "
            "take it out of the file, or, when it is back, take `lost: true` away: `up` removes what it still has"
        )
        yield Fault("hosts", facts.host_path(room.name, "lost"), message, remedy)


@rule("protected-lost-host", source="azlocal", severity="warning", part="placement")
def protected_lost_host(facts: Facts) -> Iterator[Fault]:
    """A protected host isn't lost: of one that is, nothing is asked, and so nothing is removed, in any case."""
    for host in facts.spec.hosts.hosts:
        if host.lost and host.protected:
            message = (
                f"{host.name} is lost and protected: once it is back, `up` removes what it has, protected or not"
            )
            remedy = "take `protected: true` away; or `lost: true`, if what the host has is to stay"
            yield Fault("hosts", facts.host_path(host.name, "protected"), message, remedy)


@rule("live-drain-of-lost-host", source="azlocal", part="placement")
def live_drain_of_lost_host(facts: Facts) -> Iterator[Fault]:
    """Nothing migrates from a host that is gone."""
    for host in facts.spec.hosts.hosts:
        if host.lost and host.drain == "live":
            message = f"{host.name} is lost, so nothing on it runs that could migrate"
            remedy = "take `drain: live` away: its machines are replaced; or `lost: true`, if the host answers"
            yield Fault("hosts", facts.host_path(host.name, "drain"), message, remedy)


@rule("live-drain-of-containers", source="azlocal", part="placement")
def live_drain_of_containers(facts: Facts) -> Iterator[Fault]:
    """Containers can't migrate: libvirt's LXC driver has no migration (its driver page lists none)."""
    if may_run_vms(facts.spec.stack.machine_type):
        return
    for host in facts.spec.hosts.hosts:
        if host.drains_live:
            message = (
                f"{host.name} drains live, but azlocal:machineType is container: only VMs migrate as they run"
            )
            remedy = (
                "write `drain: true`: its machines are re-created on other hosts, without what is on their disks"
            )
            yield Fault("hosts", facts.host_path(host.name, "drain"), message, remedy)


@rule("machine-moves", source="azlocal", severity="warning", part="placement")
def machine_moves(facts: Facts) -> Iterator[Fault]:
    """A machine stays on its host, unless that drains, is lost or taken out of the file, or a pin says so."""
    for move in facts.placement.moves:
        file, path = _place(facts, move)
        yield Fault(file, path, str(move), _after(facts, move), "info" if move.is_recorded else None)


@rule("control-plane-moves", source="azlocal", severity="warning", part="placement")
def control_plane_moves(facts: Facts) -> Iterator[Fault]:
    """A cluster's only control plane stays where it is: etcd is on its disk, and isn't carried to another host."""
    built = {cluster.name for cluster in facts.spec.stack.clusters if cluster.provisioning == "kubernetes"}
    roles = {placed.machine.owner: placed.machine for placed in facts.placement.placed}
    planes = Counter(machine.cluster for machine in roles.values() if machine.role == "controlPlane")
    for move in facts.placement.moves:
        machine = roles[move.owner]
        if machine.role != "controlPlane" or machine.cluster not in built or move.live:
            continue
        if planes[machine.cluster] > 1:
            continue  # it leaves etcd and joins again there, one at a time
        room = _room(facts, move.source)
        file, path = _place(facts, move)
        steps = f"remove cluster {machine.cluster} from the stack's file, run `pulumi up`, and add it again"
        if room is not None and room.drain and not room.lost:
            keep = (
                "write `drain: live`, with which VMs migrate as they run; or keep it while the others leave, "
                f"azlocal:placement.pins: {{{move.owner}: {move.source}}}"
            )
            remedy = f"{keep}; or, if the cluster may go, {steps}"
        elif move.owner in facts.pins:
            remedy = f"take the pin away; or, if the cluster may go, {steps}"
        else:
            remedy = f"once the cluster's data is saved or given up, {steps}"
        message = (
            f"{move.owner} is the only control plane of cluster {machine.cluster}: if that is built, `up` refuses "
            "to move it, for the cluster keeps its data (etcd) on it"
        )
        yield Fault(file, path, message, remedy)


def _after(facts: Facts, move: Move) -> str:
    """Say what a move means for the machine, and how to avoid it."""
    room = _room(facts, move.source)
    if move.live:
        return "the next `up` migrates it with memory and disk; take the change back to keep it there"
    if room is not None and room.lost:
        return f"the next `up` replaces it, without what is on its disk; that stays on {move.source}"
    if room is None:
        return (
            f"the next `up` removes it from {move.source} and replaces it, without what is on its disk; a host "
            "that doesn't answer any more stays in the file with `lost: true` for that `up`"
        )
    return "the next `up` replaces it, without what is on its disk; take the change back to keep it there"


def _place(facts: Facts, move: Move) -> tuple[FileKind, KeyPath]:
    if move.owner in facts.pins:
        return "stack", ("placement", "pins", facts.pins[move.owner])
    room = _room(facts, move.source)
    if room is None or not room.leaving:
        return "hosts", ("hosts",)
    return "hosts", facts.host_path(move.source, "lost" if room.lost else "drain")


def _room(facts: Facts, host: str) -> HostRoom | None:
    return next((room for room in facts.placement.rooms if room.name == host), None)
