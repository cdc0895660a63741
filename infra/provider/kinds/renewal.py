"""Renewing the certificates of a cluster's control planes: one after the other, each back before the next.

Where certificates have ended, etcd's members refuse each other, and no API server comes back before most of them
have new ones. Those come first, and are waited for together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.resources import files
from typing import Final

from infra.guest import renewal_configuration
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import at_server
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_answering
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kinds.cluster_base import Login
from infra.resources.control_plane import Member
from infra.ssh import ShellError

_SCRIPT: Final = files("infra.kubernetes").joinpath("files", "renew-certificates.sh")
_SCRIPT_SECONDS: Final = 660.0  # it waits ten minutes for kubelet by itself
_BACK_SECONDS: Final = 300.0


def renew(
    op: Operation, kubeconfig: str, planes: Iterable[Member], login: Login, ended: Collection[str] = ()
) -> None:
    """Renew what kubeadm signed on control planes; the API of each is away for the seconds of its restart.

    Args:
        op: The operation.
        kubeconfig: An administrator's.
        planes: Which control planes, in which order.
        login: Opens a shell on one of them, as somebody who may become root.
        ended: Whose have ended, by name: their API servers are away already.

    Raises:
        HostError: One can't be logged in to, kubeadm refuses, or its API server doesn't come back. Those before it
            are done.
    """
    all_planes = list(planes)
    first = [member for member in all_planes if member.name in ended]
    for together in (first, *([member] for member in all_planes if member not in first)):
        for member in together:
            _renew(op, member, login)
        for member in together:
            _wait(op, kubeconfig, member)
            op.info(f"the certificates of {member.name} are renewed")


def _renew(op: Operation, member: Member, login: Login) -> None:
    op.check_cancelled()
    op.status(f"renewing the certificates of {member.name}")
    try:
        with login(member) as shell:
            version = shell.run(["kubeadm", "version", "--output", "short"]).stdout.strip()
            command = ["sudo", "sh", "-s", "--", renewal_configuration(version)]
            shell.run(command, input=_SCRIPT.read_bytes(), timeout=_SCRIPT_SECONDS)
    except ShellError as error:
        raise HostError(
            f"the certificates of {member.name} can't be renewed: {error}. See that `ssh` logs in there; or, "
            "by hand, `sudo kubeadm certs renew all` and a restart of the machine. The next `up` goes on"
        ) from error


def _wait(op: Operation, kubeconfig: str, member: Member) -> None:
    api = ClusterApi(at_server(kubeconfig, member.address))
    try:
        wait_until_answering(api, op.work().with_own_limit(_BACK_SECONDS))
    except NotReady as failure:
        raise HostError(
            f"{member.name} has new certificates, and its API server doesn't answer: {failure}. See `journalctl "
            "--unit kubelet` there. The other control planes are left as they are; the next `pulumi up` goes on"
        ) from failure
