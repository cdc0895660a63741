"""The AddressProbe kind: nothing is made; machines wait for its word."""

from __future__ import annotations

from collections.abc import Mapping

from infra.counting import counted
from infra.kvm.address_probe import find_holders
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kind import Made
from infra.provider.kinds.base import HostedKind
from infra.resources.address_probe import ADDRESS_PROBE, AddressProbeInputs, AddressProbeState


class AddressProbeKind(HostedKind[AddressProbeInputs, AddressProbeState]):
    """A look at who answers for planned addresses."""

    contract = ADDRESS_PROBE

    def create(self, op: Operation, inputs: AddressProbeInputs) -> Made[AddressProbeState]:
        """Probe every address."""
        self._probe(op, inputs, inputs.addresses)
        return self.made(AddressProbeState(**inputs.model_dump()))

    def read(self, op: Operation, id: str, old: AddressProbeState | None) -> AddressProbeState | None:
        """Return what was probed: it was true then, and by now the machines answer themselves."""
        return old

    def update(
        self, op: Operation, id: str, old: AddressProbeState, inputs: AddressProbeInputs
    ) -> AddressProbeState:
        """Probe what was not planned before."""
        known = old.addresses.keys()
        new = {address: owner for address, owner in inputs.addresses.items() if address not in known}
        if new:
            self._probe(op, inputs, new)
        return AddressProbeState(**inputs.model_dump())

    def remove(self, op: Operation, old: AddressProbeState) -> None:
        """Do nothing: nothing was made."""

    def _probe(self, op: Operation, inputs: AddressProbeInputs, addresses: Mapping[str, str]) -> None:
        op.status(f"asking on {inputs.network} who has {counted(len(addresses), 'planned address')}")
        with self.session(op, inputs.connection) as session:
            holders = find_holders(session, inputs.bridge, addresses, inputs.own_macs)
        if holders:
            listed = "\n".join(
                f"  {holder.address}, planned for {addresses[holder.address]}: {holder.who}" for holder in holders
            )
            raise HostError(
                f"planned addresses of network {inputs.network} are in use:\n{listed}\n"
                "Free them, or list them under `reservations` in the netplan, so that others are planned; then "
                "run the same command again. `azlocal:probeAddresses: false` in the stack's file skips this check."
            )
