"""The control planes of a cluster that is restored: which of them stand, and what is done on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Final, Literal

from infra.errors import UserError
from infra.image.bundle.store import find_bundle_of
from infra.kvm.backups import BackupFolder
from infra.kvm.connection import Hosts
from infra.kvm.machines import MACHINES
from infra.kvm.ownership import Mark
from infra.model.work import Work
from infra.provider.kinds.cluster_base import logged_in
from infra.resources.machine import MachineState
from infra.ssh import CommandError, RootShell, Shell, ShellError
from infra.stack.clusters import StackCluster

_SCRIPT: Final = files("infra.kubernetes").joinpath("files", "restore-etcd.sh")
_SCRIPT_SECONDS: Final = 300.0
_NO_ETCDUTL: Final = 3
_FOLDER: Final = "/var/lib/etcd-restore"
_FIRST_BOOT: Final = "/etc/azlocal/node"

Standing = Literal["runs", "off", "gone"]
_GONE: Final[Standing] = "gone"


def look(cluster: StackCluster, hosts: Hosts, stack: str, work: Work) -> dict[str, Standing]:
    """Return of each control plane whether it stands, as its host says.

    So it is of the spare, which no resource has: where it stands as a control plane, it may have the data.

    Raises:
        HostUnreachable: A host doesn't answer: what is on it could come back with the data of before.
    """
    mark, standing = Mark(cluster.instance, stack, ""), dict.fromkeys(cluster.addresses, _GONE)
    there = [machine for machine in cluster.machines.values() if machine.connection in cluster.hosts]
    for machine in there:
        if machine.name in standing:
            with hosts.session(machine.connection, work) as session:
                known = MACHINES[machine.machine_type](session, machine.pool, machine.name, mark)
                if known.exists and not known.is_disk_gone():
                    standing[machine.name] = "runs" if known.is_active else "off"
    spare = cluster.placement.spare
    places = {(machine.connection, machine.machine_type): machine for machine in there} if spare else {}
    for machine in places.values():
        with hosts.session(machine.connection, work) as session:
            known = MACHINES[machine.machine_type](session, machine.pool, spare.name if spare else "", mark)
            node = (known.definition.record.get("firstBoot") or {}).get("node") or {} if known.exists else {}
            if node.get("role") == "controlPlane":
                standing[known.name] = "runs" if known.is_active else "off"
    return standing


class Plane:
    """A control plane that stands."""

    def __init__(self, cluster: StackCluster, name: str) -> None:
        """Nothing is done yet."""
        self.name = name
        self.machine: MachineState = cluster.machines[name]
        self.address = cluster.addresses[name]
        self.peer_url = f"https://{self.address}:2380"
        self._cluster = cluster

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        """Log in as root.

        Raises:
            UserError: It can't be logged in to, or what is done there fails.
        """
        try:
            with logged_in(self._cluster.member(self.name), self._cluster.placement.identity_files) as shell:
                yield RootShell(shell)
        except ShellError as error:
            raise UserError(f"{self.name}: {error}") from error

    def wait_until_booted(self, work: Work) -> None:
        """Wait until its first boot has made it a node.

        Raises:
            UserError: It doesn't in time.
        """
        with self.shell() as shell:
            while shell.exists(_FIRST_BOOT):
                if not work.remaining:
                    raise UserError(
                        f"{self.name} doesn't become a node: see `journalctl --unit azlocal-node` there"
                    )
                work.wait(1, f"{self.name} boots")

    def do(self, verb: str, *arguments: str) -> None:
        """Do one of the things that restore-etcd.sh does.

        Raises:
            UserError: It fails.
        """
        with self.shell() as shell:
            _run(shell, verb, *arguments)

    def equip(self) -> None:
        """See that it has etcdutl; a node of an image without gets the image of etcd that has it.

        Raises:
            UserError: It can't.
        """
        with self.shell() as shell:
            try:
                _run(shell, "check")
            except CommandError as error:
                if error.exit_code != _NO_ETCDUTL:
                    raise
                archive = self._archive()
                ctr = ["ctr", "--namespace", "k8s.io", "images", "import", "-"]
                shell.run(ctr, input=archive, timeout=_SCRIPT_SECONDS)
                _run(shell, "check")

    def _archive(self) -> bytes:
        version = self._cluster.version
        bundle = find_bundle_of(version)
        if bundle is None:
            raise UserError(
                f"{self.name} was made from an image without etcdutl, and the bundle of Kubernetes {version}, "
                f"which has it, isn't on this machine: run `azlocal image build --kubernetes-version {version}`"
            )
        return bundle.archive("etcd").read_bytes()

    @contextmanager
    def folder(self) -> Iterator[BackupFolder]:
        """Yield a folder on it for the snapshot, which is gone afterwards."""
        with self.shell() as shell:
            try:
                yield BackupFolder(shell, _FOLDER)
            finally:
                shell.remove_tree(_FOLDER)


def _run(shell: Shell, verb: str, *arguments: str) -> None:
    command = ["sh", "-s", "--", verb, *arguments]
    shell.run(command, input=_SCRIPT.read_bytes(), timeout=_SCRIPT_SECONDS)


def path_of(name: str) -> str:
    """Return where a snapshot of that name lies on a control plane, while it is restored."""
    return f"{_FOLDER}/{name}.db"
