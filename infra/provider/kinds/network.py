"""The Network kind: define, start, keep started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import libvirt

from infra.kvm import meshes
from infra.kvm.connection import HostSession
from infra.kvm.errors import HostError, NotOurs
from infra.kvm.machines import owned_machines
from infra.kvm.network_hook import has_hook
from infra.kvm.networks import NetworkDefinition, owned_network, remove_network
from infra.kvm.ownership import Mark
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, InitFailed, Made
from infra.provider.kinds.base import HostedKind, mark_for, parse_id
from infra.provider.kinds.host_owner import pool_name
from infra.resources.changes.network import keep_mesh
from infra.resources.contract import Fault
from infra.resources.network import NETWORK, NetworkInputs, NetworkState
from infra.ssh import ShellError


class NetworkKind(HostedKind[NetworkInputs, NetworkState]):
    """A libvirt network."""

    contract = NETWORK

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Require what each mode needs."""
        needed = {"nat": ("addressPrefix", "gateway"), "mesh": ("tunnel", "mtu"), "bridge": ()}[inputs["mode"]]
        return [
            Fault(name, f"{name}: a network of mode {inputs['mode']} needs it")
            for name in needed
            if inputs[name] is None
        ]

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """A mesh's gateway comes or goes while machines stay on the network: they are plugged in again."""
        keep_mesh(state, news, changes)

    def create(self, op: Operation, inputs: NetworkInputs) -> Made[NetworkState]:
        """Define and start the network; take over one that an interrupted run left."""
        mark = mark_for(op, inputs.instance)
        with self.session(op, inputs.connection) as session:
            network = owned_network(session.qemu, inputs.name, mark)
            if network is not None and NetworkDefinition.from_xml(network.XMLDesc()) != _definition(inputs):
                remove_network(session, inputs.name, mark)
                network = None
            if network is None:
                op.status(f"defining {inputs.mode} network on bridge {inputs.bridge}")
                network = session.qemu.networkDefineXML(
                    _definition(inputs).to_xml(mark.uuid("network", inputs.name))
                )
            try:
                self._settle(session, network, inputs, mark)
            except (libvirt.libvirtError, ShellError, HostError):
                # The start is what fails (a bridge or subnet in use): leave nothing half-made.
                remove_network(session, inputs.name, mark)
                raise
            return self.made(_state(session, network, inputs, mark))

    def read(self, op: Operation, id: str, old: NetworkState | None) -> NetworkState | None:
        """Return the network as it stands: its definition, whether it runs, whether it starts with the host."""
        connection, name = parse_id(id, "local-aks")
        instance = old.instance if old else op.stack
        with self.session(op, connection) as session:
            mark = mark_for(op, instance)
            network = owned_network(session.qemu, name, mark)
            if network is None:
                return None
            definition = NetworkDefinition.from_xml(network.XMLDesc())
            inputs = NetworkInputs(
                instance=instance,
                connection=connection,
                name=name,
                bridge=definition.bridge,
                mode=definition.mode,
                address_prefix=definition.address_prefix,
                gateway=definition.gateway,
                mtu=definition.mtu,
            )
            return _state(session, network, inputs, mark)

    def update(self, op: Operation, id: str, old: NetworkState, inputs: NetworkInputs) -> NetworkState:
        """Start or stop the network; machines that were on it when it stopped are plugged in again.

        Raises:
            InitFailed: it was stopped half-way; the next `up` goes on, whatever it wants of the network by then.
        """
        try:
            return self._bring(op, inputs)
        except NotOurs:
            raise  # nothing was touched
        except HostError as error:
            raise InitFailed(Made(id, old), str(error)) from error

    def _bring(self, op: Operation, inputs: NetworkInputs) -> NetworkState:
        mark = mark_for(op, inputs.instance)
        with self.session(op, inputs.connection) as session:
            network = owned_network(session.qemu, inputs.name, mark)
            if network is None or NetworkDefinition.from_xml(network.XMLDesc()) != _definition(inputs):
                return self.create(op, inputs).state
            self._settle(session, network, inputs, mark)
            return _state(session, network, inputs, mark)

    def remove(self, op: Operation, old: NetworkState) -> None:
        """Stop and undefine the network."""
        with self.session(op, old.connection) as session:
            remove_network(session, old.name, mark_for(op, old.instance))

    @staticmethod
    def _settle(session: HostSession, network: libvirt.virNetwork, inputs: NetworkInputs, mark: Mark) -> None:
        if inputs.active and not network.isActive():
            network.create()
            _plug_in_machines(session, inputs, mark)
        elif not inputs.active and network.isActive():
            network.destroy()
        if bool(network.autostart()) != inputs.autostart:
            network.setAutostart(inputs.autostart)
        if inputs.active and inputs.tunnel and inputs.mtu:
            meshes.ensure_tunnel(session.shell, inputs.name, mark, inputs.bridge, inputs.mtu, inputs.tunnel)
            gateway = meshes.Gateway(inputs.bridge, str(inputs.address_prefix)) if inputs.gateway else None
            if gateway:
                meshes.ensure_gateway(session.shell, inputs.name, mark, gateway)
            place = (inputs.name, mark, inputs.bridge, inputs.mtu)
            meshes.ensure_at_boot(session.shell, *place, inputs.tunnel, gateway)


def _plug_in_machines(session: HostSession, inputs: NetworkInputs, mark: Mark) -> None:
    """Put the interfaces of our running machines back on the bridge: libvirt forgets them with the old one."""
    for machine in owned_machines(
        session, pool_name(mark.instance), mark, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
    ):
        view = machine.live
        if view.network == inputs.name and view.interface_device:
            session.shell.run(["ip", "link", "set", "dev", view.interface_device, "master", inputs.bridge])


def _definition(inputs: NetworkInputs) -> NetworkDefinition:
    return NetworkDefinition(**inputs.model_dump(include={field.name for field in fields(NetworkDefinition)}))


def _state(session: HostSession, network: libvirt.virNetwork, inputs: NetworkInputs, mark: Mark) -> NetworkState:
    tunnel, active = None, bool(network.isActive())
    if inputs.mode == "mesh":
        tunnel = meshes.read_tunnel(session.shell, inputs.name, mark)
        active = active and meshes.is_guarded(session.shell, inputs.name, mark)
        active = active and has_hook(session.shell, inputs.name, mark)
        active = active and (not inputs.gateway or meshes.has_gateway(session.shell, inputs.name, mark))
    standing = {
        "tunnel": tunnel,
        "active": active,
        "autostart": bool(network.autostart()),
        "uuid": network.UUIDString(),
    }
    return NetworkState(**(inputs.model_dump() | standing))
