"""The Machine kind: disk, seed and domain as one; ready when SSH answers with the machine's own key."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import libvirt

from infra.guest import (
    NO_SECRETS,
    FirstBoot,
    KubernetesNode,
    NodeSecrets,
    generate_host_key,
    render_seed,
    seed_digest,
)
from infra.kvm import machines, seeds
from infra.kvm.connection import Hosts, HostSession, libvirt_uri
from infra.kvm.domain_xml import DomainView, MachineDefinition
from infra.kvm.errors import HostError
from infra.kvm.ownership import Mark
from infra.provider.kind import Changes, InitFailed, Made
from infra.provider.kinds.base import HostedKind, mark_for, parse_id
from infra.provider.kinds.kubernetes_nodes import (
    holds_cluster,
    lost_control_plane,
    refuse_other_cluster,
)
from infra.provider.kinds.live_moves import MIGRATIONS, bring, may_take_over, migrations_of
from infra.provider.kinds.machine_state import read_state, state_of
from infra.provider.operation import Operation
from infra.provider.values import UNKNOWN
from infra.resources.changes.machine import decide, restarting
from infra.resources.contract import Fault
from infra.resources.host import MachineType
from infra.resources.machine import (
    MACHINE,
    FirstBootInputs,
    MachineInputs,
    MachineState,
    NodeInputs,
    NodeSettings,
)
from infra.ssh import HostKeyError, wait_for_host_key

if TYPE_CHECKING:
    from infra.provider.standing import Standing

_READY_SECONDS: Final[Mapping[MachineType, float]] = {"container": 180, "vm": 300, "emulated": 900}


class MachineKind(HostedKind[MachineInputs, MachineState]):
    """A VM or a system container."""

    contract = MACHINE

    def __init__(self, hosts: Hosts, standing: Standing | None = None) -> None:
        """Make the kind; `standing` is what stands of an instance that is adopted."""
        super().__init__(hosts)
        self._adopts = standing is not None
        self._migrating = threading.Lock()
        self._made: set[tuple[str, str]] = set()

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Fill in the digest of the seed, so that preview shows when a change reaches the machine through it."""
        if unknown & {"firstBoot", "name", "machineType"}:
            inputs["seedDigest"] = UNKNOWN
        else:
            first_boot = FirstBootInputs.model_validate(inputs["firstBoot"])
            inputs["seedDigest"] = seed_digest(_first_boot(inputs["name"], first_boot, inputs["machineType"]))
        if inputs["machineType"] == "container":
            inputs["secureBoot"] = inputs["tpm"] = False  # a container has no firmware
        return []

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """A disk can't shrink, a node holds data; say which changes restart the machine, which no diff shows."""
        for said in decide(state, news, changes):
            op.info(said)

    def preview(self, op: Operation, inputs: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        """A machine that is started again reports anew: what depends on that changes, too."""
        if old is None:
            return {}
        starts = inputs.get("running", True) and not old.get("running")
        restarts = any(name in inputs and inputs[name] != old.get(name) for name in restarting(old))
        return {"started": UNKNOWN} if starts or restarts else {}

    def create(self, op: Operation, inputs: MachineInputs) -> Made[MachineState]:
        """Make the machine and wait for it; take over what an interrupted run left, if it is the same machine.

        From a host that drains live it comes as it runs.
        """
        mark = mark_for(op, inputs.instance)
        has_come = bring(op, inputs, mark, self.session, self._migrating)
        op = replace(op, started=time.monotonic())  # copying a disk takes its time, and then the wait begins
        with self.session(op, inputs.connection) as session:
            domain = _wanted_domain(session, inputs, mark, whatever=self._adopts)
            if domain is None:
                domain = self._build(op, session, inputs, mark)
            elif not has_come:
                op.status("taking over the machine that stands")
            state = self._settle(op, session, domain, inputs, mark)
        made = self.made(state)
        self._made.add((state.connection, state.name))
        self._wait(op, made)
        return made

    def read(self, op: Operation, id: str, old: MachineState | None) -> MachineState | None:
        """Return the machine as it stands.

        A control plane that is gone stays in state, as one that doesn't run: forgotten, it would be made anew
        without the cluster's data, and nobody would have been told.
        """
        connection, name = parse_id(id, "local-a-cp-0")
        mark = mark_for(op, old.instance if old else op.stack)
        types: tuple[MachineType, ...] = (old.machine_type,) if old else ("container", "vm")
        with self.session(op, connection) as session:
            for machine_type in types:
                domain = machines.owned_domain(session, machine_type, name, mark)
                found = read_state(session, connection, domain, old) if domain is not None else None
                if found is not None:
                    return found
            if old is not None and old.machine_type == "container":
                # Whoever removed it by hand left them, and from now on nobody knows its name.
                machines.remove_control_groups(session, [name], mark)
        if old is not None and holds_cluster(old):
            op.warning(lost_control_plane(old))
            return old.model_copy(update={"running": False, "started": 0})
        return None

    def update(self, op: Operation, id: str, old: MachineState, inputs: MachineInputs) -> MachineState:
        """Bring processors, memory, disk and power to what is wanted, restarting only where that needs it."""
        mark = mark_for(op, inputs.instance)
        with self.session(op, inputs.connection) as session:
            domain = machines.owned_domain(session, inputs.machine_type, inputs.name, mark)
            if holds_cluster(old) and (domain is None or _is_diskless(session, inputs)):
                raise HostError(lost_control_plane(old))
            if domain is None:
                raise HostError(
                    f"{inputs.connection}: machine {inputs.name} is gone; run `pulumi refresh`, then `pulumi up`"
                )
            state = self._settle(op, session, domain, inputs, mark)
        made = Made(id, state)
        self._wait(op, made)
        return made.state

    def remove(self, op: Operation, old: MachineState) -> None:
        """Remove domain, disk, seed, NVRAM and TPM state.

        What is to be removed may be what a migration left behind, and the machine itself have come back since. Or
        a machine that may migrate was replaced by hand: the engine then makes the replacement first.
        """
        if (old.connection, old.name) in self._made:
            op.info(f"{old.name} has its replacement in its place, which stays")
            return
        mark = mark_for(op, old.instance)
        with self.session(op, old.connection) as session:
            domain = machines.owned_domain(session, old.machine_type, old.name, mark)
            if domain is not None and migrations_of(machines.persistent_view(domain)) > old.migrations:
                op.info(f"{old.name} came back to {old.connection} meanwhile, and stays")
                return
            op.status("removing")
            machines.remove_machine(session, old.pool, old.name, old.machine_type, mark)

    @staticmethod
    def _build(op: Operation, session: HostSession, inputs: MachineInputs, mark: Mark) -> libvirt.virDomain:
        """Make disk, seed and definition; on failure undo all of it and report the first error."""
        machines.remove_machine(session, inputs.pool, inputs.name, inputs.machine_type, mark)
        host_key = generate_host_key()
        try:
            op.status("copying the node image")
            machines.create_disk(
                session, inputs.pool, inputs.name, inputs.machine_type, inputs.image, inputs.disk_gib
            )
            op.status("writing the cloud-init seed")
            first_boot = _first_boot(inputs.name, inputs.first_boot, inputs.machine_type, inputs.node_settings)
            files = render_seed(first_boot, host_key, _node_secrets(inputs))
            seeds.place_seed(session, inputs.pool, inputs.name, inputs.machine_type, files)
            domain = machines.define(
                session, _definition(session, inputs, mark, {"sshHostKey": host_key.public_openssh})
            )
            op.status("starting")
            machines.start(session, domain)
        except Exception:
            machines.remove_machine(session, inputs.pool, inputs.name, inputs.machine_type, mark)
            raise
        return domain

    @staticmethod
    def _settle(
        op: Operation, session: HostSession, domain: libvirt.virDomain, inputs: MachineInputs, mark: Mark
    ) -> MachineState:
        """Bring a standing machine to its inputs with the least disturbance."""
        before = machines.persistent_view(domain)
        born = {name: before.record[name] for name in ("sshHostKey", MIGRATIONS) if name in before.record}
        wanted = _definition(session, inputs, mark, {"sshHostKey": "", **born})
        size = machines.disk_gib(session, inputs.pool, inputs.name, inputs.machine_type)
        grows = size is not None and size < inputs.disk_gib
        if not _defines(before, inputs):
            domain = machines.define(session, wanted)
        if not inputs.running or grows or _needs_restart(domain, inputs):
            machines.stop(domain, op.cancelled, op.status)
        if grows:
            op.status(f"growing the disk to {inputs.disk_gib} GiB")
            machines.grow_disk(session, inputs.pool, inputs.name, inputs.machine_type, inputs.disk_gib)
        if inputs.running:
            machines.start(session, domain)
            live = machines.live_view(domain)
            if live.memory_mib != inputs.memory_mib:
                machines.set_memory(domain, inputs.memory_mib)
            if inputs.machine_type == "container" and live.vcpus != inputs.vcpus:
                machines.set_container_cpus(domain, inputs.vcpus)
        return state_of(session, inputs.connection, domain, inputs)

    def _wait(self, op: Operation, made: Made[MachineState]) -> None:
        """Wait until SSH answers at the planned address with the machine's own key, then wipe the seed.

        By then the machine has taken what it needs from it (image/files: take-seed).

        Raises:
            InitFailed: it didn't; the machine stands, and the next `up` goes on waiting.
        """
        state = made.state
        if not state.running:
            return
        address = state.first_boot.address.partition("/")[0]
        with self.session(op, state.reached_through or state.connection) as session:
            dial = session.shell.dial
        try:
            wait_for_host_key(
                address,
                state.ssh_host_key,
                deadline=op.deadline(_READY_SECONDS[state.machine_type]),
                cancelled=op.cancelled,
                on_status=op.status,
                dial=dial,
            )
        except HostKeyError as error:
            driver = "lxc" if state.machine_type == "container" else "qemu"
            console = f"virsh -c '{libvirt_uri(state.connection, driver)}' console {state.name}"
            raise InitFailed(
                made,
                f"{state.name} was started but isn't ready: {error}. See what it does with `{console}`. "
                "The next `pulumi up` goes on waiting for it.",
            ) from error
        with self.session(op, state.connection) as session:
            domain = machines.find_domain(session, state.machine_type, state.name)
            if domain is not None:
                seeds.wipe_seed(session, state.pool, domain, state.machine_type)


def _wanted_domain(
    session: HostSession, inputs: MachineInputs, mark: Mark, *, whatever: bool
) -> libvirt.virDomain | None:
    """Return the domain that stands if it is the wanted machine; None where that is to be made.

    Args:
        session: The host.
        inputs: What is wanted.
        mark: Whose the domain has to be.
        whatever: An instance is adopted: what differs is in the state then, and the next `up` says what of it.

    Raises:
        NotOurs: a domain of that name isn't ours.
        HostError: it holds the data of another cluster, which making it anew would cost.
    """
    domain = machines.owned_domain(session, inputs.machine_type, inputs.name, mark)
    if domain is None or _is_diskless(session, inputs):
        return None
    view = machines.persistent_view(domain)
    if whatever or may_take_over(view, inputs):
        return domain
    node = inputs.first_boot.node
    refuse_other_cluster(view.record.get("firstBoot") or {}, inputs.name, node.to_wire() if node else None)
    return None


def _is_diskless(session: HostSession, inputs: MachineInputs) -> bool:
    return machines.is_disk_gone(session, inputs.pool, inputs.name, inputs.machine_type)


def _first_boot(
    name: str, inputs: FirstBootInputs, machine_type: MachineType, settings: NodeSettings | None = None
) -> FirstBoot:
    return FirstBoot(
        hostname=inputs.hostname,
        address=inputs.address,
        gateway=inputs.gateway,
        dns_servers=tuple(inputs.dns_servers),
        authorized_keys=tuple(inputs.authorized_keys),
        instance_id=name,
        node=_node(inputs.node, machine_type, settings) if inputs.node else None,
        mtu=inputs.mtu,
    )


def _node(inputs: NodeInputs, machine_type: MachineType, settings: NodeSettings | None) -> KubernetesNode:
    """Return the node; what settings don't say is as KubernetesNode has it, and so no part of a seed's digest."""
    told = settings.model_dump(exclude_none=True) if settings else {}
    fields = inputs.model_dump() | told | {"taints": tuple(inputs.taints), "peers": tuple(told.get("peers", ()))}
    return KubernetesNode(**fields, in_container=machine_type == "container", is_slow=machine_type == "emulated")


def _node_secrets(inputs: MachineInputs) -> NodeSecrets:
    return NodeSecrets(inputs.node_secrets.token, inputs.node_secrets.keys) if inputs.node_secrets else NO_SECRETS


def _definition(
    session: HostSession, inputs: MachineInputs, mark: Mark, born: Mapping[str, Any]
) -> MachineDefinition:
    place = (session, inputs.pool, inputs.name, inputs.machine_type)
    disk, seed = machines.disk_path(*place), seeds.seed_path(*place)
    return definition_of(inputs, mark, born, disk=disk, seed=seed, host_memory_mib=session.qemu.getInfo()[1])


def definition_of(
    inputs: MachineInputs,
    mark: Mark,
    born: Mapping[str, Any],
    *,
    disk: str,
    seed: str | None,
    host_memory_mib: int,
) -> MachineDefinition:
    """Return what libvirt is told of a machine. Pure.

    Args:
        inputs: What the machine is to be.
        mark: Whose it is.
        born: What its record holds that no input says.
        disk: Its disk's path on the host.
        seed: Its seed's path there; None once a VM's is wiped.
        host_memory_mib: What the host has: how far the machine can grow.
    """
    return MachineDefinition(
        name=inputs.name,
        uuid=mark.uuid("domain", inputs.name),
        machine_type=inputs.machine_type,
        vcpus=inputs.vcpus,
        memory_mib=inputs.memory_mib,
        memory_ceiling_mib=max(host_memory_mib, inputs.memory_mib),
        network=inputs.network,
        mac_address=inputs.mac_address,
        disk_path=disk,
        seed_path=seed,
        secure_boot=inputs.secure_boot,
        tpm=inputs.tpm,
        instance=mark.instance,
        stack=mark.stack,
        urn=mark.urn,
        record={
            "pool": inputs.pool,
            "image": inputs.image,
            "firstBoot": inputs.first_boot.to_wire(),
            "seedDigest": inputs.seed_digest,
            **born,
        },
    )


def _defines(view: DomainView, inputs: MachineInputs) -> bool:
    """Return whether the definition holds the wanted resources; a container's maximum is only a ceiling."""
    maximum = view.memory_maximum_mib if inputs.machine_type != "container" else inputs.memory_mib
    return (view.vcpus, view.memory_mib, maximum) == (inputs.vcpus, inputs.memory_mib, inputs.memory_mib)


def _needs_restart(domain: libvirt.virDomain, inputs: MachineInputs) -> bool:
    """A VM has its processors and its memory's maximum for one run; a container changes both while it runs."""
    if inputs.machine_type == "container" or not domain.isActive():
        return False
    live = machines.live_view(domain)
    return (live.vcpus, live.memory_maximum_mib) != (inputs.vcpus, inputs.memory_mib)
