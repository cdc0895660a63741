"""Control planes that hold their cluster's address by VRRPv2, as an earlier azlocal made them, change to VRRPv3.

A router of one version doesn't understand the other, and would hold the address beside it. So no machine
changes alone: all get the files first, which have no effect yet; then all but the holder are silenced; the
holder changes, which takes the address away for two seconds; and the others speak again. An interrupted change
leaves one holder, and a machine that boots meanwhile stays silent; the next run goes on.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from infra.guest.keepalived import FOLDER, ApiServerAddress, keepalived_files
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kinds.cluster_base import Login
from infra.resources.control_plane import VRRP_VERSION, Member
from infra.ssh import Shell, ShellError

# Parts of the node image that those which were made from an older one lack.
_OF_THE_IMAGE: Final = (
    "usr/lib/azlocal/api-endpoint",
    "usr/lib/azlocal/vrrp-peers",
    "usr/lib/systemd/system/azlocal-api-endpoint.service",
    "etc/systemd/system/keepalived.service.d/10-azlocal.conf",
)
_CONF: Final = f"{FOLDER}/keepalived.conf"
_NEW_CONF: Final = f"{_CONF}.new"
# A boot in between finds the service disabled.
_SILENCE: Final = "systemctl disable --now keepalived.service"
_CHANGE: Final = f"""
/usr/lib/azlocal/vrrp-peers "$@"
mv {_NEW_CONF} {_CONF}
systemctl daemon-reload
"""
_RESTART: Final = "systemctl restart keepalived.service"
_SPEAK: Final = "systemctl enable --now keepalived.service"


@dataclass(frozen=True)
class _Plane:
    """A control plane that stands.

    Attributes:
        member: the machine.
        old: the address as it holds it by VRRPv2; None where it speaks version 3, or nothing yet.
        holds: whether it has the address.
    """

    member: Member
    old: ApiServerAddress | None
    holds: bool


def change_protocol(op: Operation, standing: Iterable[Member], planes: Iterable[Member], login: Login) -> None:
    """Have all control planes of a cluster hold its address by VRRPv3.

    Args:
        op: The operation.
        standing: The control planes that may speak VRRPv2.
        planes: All that there are to be: new ones speak version 3.
        login: Opens a shell on one of them, as somebody who may become root.

    Raises:
        HostError: One can't be changed. The address is held by one of those that stand.
    """
    addresses = {plane.name: plane.address for plane in planes}
    peers = {name: [other for key, other in addresses.items() if key != name] for name in addresses}
    seen = [_seen(member, login) for member in standing]
    late = []
    for plane in seen:
        if plane.old is not None:
            op.check_cancelled()
            op.status(f"bringing {plane.member.name} what it speaks VRRPv3 with")
            _bring(plane.member, plane.old, login)
            late.append(plane)
    op.check_cancelled()
    holders = [plane for plane in late if plane.holds] or (late if len(late) == len(seen) else [])
    for plane in (plane for plane in late if plane not in holders[:1]):
        _run(plane.member, f"{_SILENCE}\n{_CHANGE}", peers, login)
    for plane in holders[:1]:
        op.status(f"{plane.member.name} holds the address by VRRPv3")
        _run(plane.member, f"{_CHANGE}{_RESTART}", peers, login)
    for plane in seen:
        _run(plane.member, _SPEAK, peers, login)
    if late:
        op.info(f"{', '.join(plane.member.name for plane in late)}: the address is held by VRRPv3")


def _seen(member: Member, login: Login) -> _Plane:
    try:
        with login(member) as shell:
            conf = shell.run(["sudo", "cat", _CONF], check=False)
            if conf.exit_code or f"vrrp_version {VRRP_VERSION}" in conf.stdout:
                return _Plane(member, None, holds=False)
            old = ApiServerAddress.of_version_2(conf.stdout, member.address, is_slow=_is_emulated(shell))
            holds = shell.run(["ip", "-oneline", "address", "show", "to", f"{old.address}/32"]).stdout
            return _Plane(member, old, holds=bool(holds.strip()))
    except (ShellError, ValueError) as error:
        raise _refused(member, error) from error


def _is_emulated(shell: Shell) -> bool:
    return shell.run(["systemd-detect-virt"], check=False).stdout.strip() == "qemu"  # with KVM it says kvm


def _bring(member: Member, old: ApiServerAddress, login: Login) -> None:
    root = files("infra.image").joinpath("files", "root")
    content = {path: root.joinpath(path).read_bytes() for path in _OF_THE_IMAGE}
    for name, text in keepalived_files(old).items():
        path = _NEW_CONF if name == "keepalived.conf" else f"{FOLDER}/{name}"
        content[path.lstrip("/")] = text.encode()
    try:
        with login(member) as shell:
            shell.run(["sudo", "tar", "--extract", "--directory=/", "--file=-"], input=_tar(content))
    except ShellError as error:
        raise _refused(member, error) from error


def _tar(content: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in content.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o755 if data.startswith(b"#!") else 0o644, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _run(member: Member, script: str, peers: Mapping[str, list[str]], login: Login) -> None:
    try:
        with login(member) as shell:
            shell.run(["sudo", "sh", "-euc", script, "change-protocol", *peers[member.name]])
    except ShellError as error:
        raise _refused(member, error) from error


def _refused(member: Member, error: Exception) -> HostError:
    return HostError(
        f"{member.name} can't be told to hold the cluster's address by VRRPv3: {error}. See that it runs, and "
        "that `ssh` logs in there; the next `pulumi up` goes on"
    )
