"""`standing_run.py STACK VERB [OPTION …]`: a run of the engine in which everything that is made simply stands.

As tests/engine_run.py, with kinds that look at no host when they make something: state is then what a real `up`
leaves, written by the real engine, and all other questions of it are answered by the plugin as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from infra.plugin.operation import Operation
from infra.provider.kind import Made
from infra.provider.kinds.address_probe import AddressProbeKind
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.kinds.host import HostKind
from infra.provider.kinds.image import ImageKind
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.network import NetworkKind
from infra.stack.engine import run
from infra.stack.verbs import load_program

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWfvMo3MSA/K6q8D86mE"
LEARNT: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    HostKind: lambda inputs: {
        "pool": f"azlocal-{inputs.instance}",
        "machine_type": "vm" if inputs.requested_machine_type == "auto" else inputs.requested_machine_type,
        "machine_type_reason": "the test says so",
        "clone_store": "",
        "architecture": "x86_64",
        "cpus": 32,
        "memory_mib": 1 << 17,
        "secure_boot": True,
        "tpm": True,
    },
    ImageKind: lambda inputs: {"volume_path": f"/volumes/{inputs.volume}", "capacity": 1 << 34},
    NetworkKind: lambda _: {"uuid": "00000000-0000-8000-8000-000000000000"},
    MachineKind: lambda _: {"uuid": "00000000-0000-8000-8000-000000000000", "ssh_host_key": KEY, "started": 1},
    AddressProbeKind: lambda _: {},
    ControlPlaneKind: lambda _: {
        "version": "v1.34.4",
        "cluster_uid": "00000000-0000-4000-8000-000000000000",
        "certificates_end": "2100-01-01T00:00:00+00:00",
    },
}
"""What each kind's state says beside its inputs."""


def stand(kind: type[Any], learnt: Callable[[Any], dict[str, Any]]) -> None:
    """Have a kind make nothing, and say that it stands."""

    def create(self: Any, op: Operation, inputs: Any) -> Made[Any]:
        state = self.contract.state(**inputs.model_dump() | learnt(inputs))
        return Made(self.contract.id_of(state.to_wire()), state)

    kind.create = create


if __name__ == "__main__":
    for one, told in LEARNT.items():
        stand(one, told)
    code = run(*sys.argv[1:], load=load_program)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
