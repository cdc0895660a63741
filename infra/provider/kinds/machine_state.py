"""What state has of a machine, as its host shows it."""

from __future__ import annotations

import libvirt

from infra.kvm import machines
from infra.kvm.connection import HostSession
from infra.kvm.errors import HostError
from infra.provider.kinds.live_moves import migrations_of
from infra.resources.machine import FirstBootInputs, MachineInputs, MachineState


def read_state(
    session: HostSession, connection: str, domain: libvirt.virDomain, old: MachineState | None
) -> MachineState | None:
    """Return what stands; None where its disk is gone, so that it can't start.

    Raises:
        HostError: azlocal's metadata is gone from the domain, or nobody ever knew a disk that can't be seen.
    """
    view = machines.persistent_view(domain)
    if machines.is_disk_gone(session, view.record.get("pool", ""), view.name, view.machine_type):
        return None  # what is left of it can't start; `up` makes it anew
    return state_of(session, connection, domain, old)


def state_of(
    session: HostSession, connection: str, domain: libvirt.virDomain, known: MachineInputs | None
) -> MachineState:
    """Return what stands; `known` is what was last known or wanted, for what can't be seen now."""
    persistent, live = machines.persistent_view(domain), machines.live_view(domain)
    record = persistent.record
    if not record:
        raise HostError(
            f"{connection}: domain {persistent.name} lost azlocal's metadata; restore it with "
            "`virsh metadata`, or undefine the domain and run `pulumi refresh` and `pulumi up`"
        )
    size = machines.disk_gib(session, record["pool"], persistent.name, persistent.machine_type)
    if size is None and known is None:
        raise HostError(
            f"{connection}: the disk of {persistent.name} can't be seen: pool {record['pool']!r} isn't started"
        )
    return MachineState(
        instance=persistent.instance,
        connection=connection,
        pool=record["pool"],
        name=persistent.name,
        machine_type=persistent.machine_type,
        image=record["image"],
        network=persistent.network,
        mac_address=persistent.mac_address,
        first_boot=FirstBootInputs.model_validate(record["firstBoot"]),
        node_secrets=known.node_secrets if known else None,
        node_settings=known.node_settings if known else None,
        reached_through=known.reached_through if known else None,
        vcpus=_changed(live.vcpus, persistent.vcpus, known.vcpus if known else None),
        memory_mib=_changed(live.memory_mib, persistent.memory_mib, known.memory_mib if known else None),
        disk_gib=size or (known.disk_gib if known else 0),
        secure_boot=persistent.secure_boot,
        tpm=persistent.tpm,
        seed_digest=record["seedDigest"],
        running=bool(domain.isActive()),
        started=machines.started_at(session, domain, persistent.machine_type),
        migrates_from=known.migrates_from if known else [],
        migrations=migrations_of(persistent),
        uuid=persistent.uuid,
        ssh_host_key=record["sshHostKey"],
    )


def _changed(live: int, persistent: int, known: int | None) -> int:
    """Of what runs and what the next start would run, return the one that somebody changed by hand."""
    return persistent if live == known else live
