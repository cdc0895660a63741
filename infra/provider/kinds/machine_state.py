"""What state has of a machine, as its host shows it; what its domain is to be, and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.kvm.domain_xml import MachineDefinition
from infra.kvm.errors import HostError
from infra.kvm.machine import Machine
from infra.kvm.ownership import Mark
from infra.model.first_boot import FirstBoot
from infra.provider.kinds.live_moves import MIGRATIONS, migrations_of
from infra.resources.machine import MachineInputs, MachineState

_HISTORY: Final = ("image", "firstBoot", "seedDigest", "sshHostKey", MIGRATIONS)


def read_state(machine: Machine, known: MachineState | None) -> MachineState | None:
    """Return what stands; None where its disk is gone, so that it can't start.

    Raises:
        HostError: azlocal's metadata is gone from the domain, or nobody ever knew a disk that can't be seen.
    """
    if machine.is_disk_gone():
        return None  # what is left of it can't start; `up` replaces it
    return state_of(machine, known)


def state_of(machine: Machine, known: MachineInputs | None) -> MachineState:
    """Return what stands; `known` is what was last known or wanted, for what can't be seen now."""
    persistent, live = machine.definition, machine.live
    connection, record = machine.host.connection, persistent.record
    if not record:
        raise HostError(
            f"{connection}: domain {persistent.name} lost azlocal's metadata; restore it with "
            "`virsh metadata`, or undefine the domain and run `pulumi refresh` and `pulumi up`"
        )
    size = machine.disk_gib()
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
        first_boot=FirstBoot.model_validate(record["firstBoot"]),
        node_secrets=known.node_secrets if known else None,
        node_settings=known.node_settings if known else None,
        reached_through=known.reached_through if known else None,
        identity_files=known.identity_files if known else [],
        vcpus=_changed(live.vcpus, persistent.vcpus, known.vcpus if known else None),
        memory_mib=_changed(live.memory_mib, persistent.memory_mib, known.memory_mib if known else None),
        disk_gib=size or (known.disk_gib if known else 0),
        secure_boot=persistent.secure_boot,
        tpm=persistent.tpm,
        seed_digest=record["seedDigest"],
        running=machine.is_active,
        started=machine.started_at(),
        migrates_from=known.migrates_from if known else [],
        keeps_volumes=persistent.has_data_volume,
        migrations=migrations_of(persistent),
        uuid=persistent.uuid,
        ssh_host_key=record["sshHostKey"],
    )


def _changed(live: int, persistent: int, known: int | None) -> int:
    """Of what runs and what the next start would run, return the one that somebody changed by hand."""
    return persistent if live == known else live


def history_of(machine: Machine) -> dict[str, Any]:
    """Return what its record tells of how a machine was made, and of what has become of it since."""
    record = machine.definition.record
    return {"sshHostKey": "", **{name: record[name] for name in _HISTORY if name in record}}


def definition_of(inputs: MachineInputs, mark: Mark, beyond_inputs: Mapping[str, Any]) -> MachineDefinition:
    """Return what a machine is to be. Pure.

    Args:
        inputs: What the program says of it.
        mark: Whose it is.
        beyond_inputs: What its record holds besides, or otherwise.
    """
    return MachineDefinition(
        name=inputs.name,
        mark=mark,
        vcpus=inputs.vcpus,
        memory_mib=inputs.memory_mib,
        network=inputs.network,
        mac_address=inputs.mac_address,
        secure_boot=inputs.secure_boot,
        tpm=inputs.tpm,
        record={
            "pool": inputs.pool,
            "image": inputs.image,
            "firstBoot": inputs.first_boot.to_wire(),
            "seedDigest": inputs.seed_digest,
            **beyond_inputs,
        },
    )
