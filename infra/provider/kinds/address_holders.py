"""Who holds a cluster's address: control planes learn with whom they do, and give it up before they go.

Where VRRP is spoken with named peers alone, a control plane that doesn't know of another would hold the address
beside it. New machines know from their seeds; those that stand are told, and only then is the token renewed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kinds.cluster_base import Login
from infra.resources.control_plane import Member
from infra.ssh import ShellError

_GIVE_UP_SECONDS: Final = 30.0  # a hand-over ends by itself after ten

# For a machine that isn't a node yet, in what its seed left; for one that is, in what vrrp-peers wrote there. The
# control planes of a cluster of 0.1.0, which speaks by multicast, have neither.
_TELL: Final = """
seed=/etc/azlocal/node/peers set=/etc/keepalived/peers.nft
[ ! -e "$seed" ] || { [ $# -eq 0 ] || printf '%s\\n' "$@"; } >"$seed"
[ ! -e "$set" ] || exec /usr/lib/azlocal/vrrp-peers "$@"
"""

# A node of an older image can't hand over. Whether it did or not, nobody looks for the address there again.
_GIVE_UP: Final = """
[ ! -x /usr/lib/azlocal/api-endpoint ] || /usr/lib/azlocal/api-endpoint hand-over || true
systemctl stop keepalived.service
"""


def to_tell(old: Iterable[Member], new: Iterable[Member]) -> dict[str, list[str]]:
    """Return the peers that each standing control plane has from now on; nothing where they are the same. Pure."""
    before = {member.name: member for member in old if member.role == "controlPlane"}
    after = {member.name: member for member in new if member.role == "controlPlane"}
    if {member.address for member in before.values()} == {member.address for member in after.values()}:
        return {}
    return {
        name: [other.address for other in after.values() if other.name != name]
        for name, member in after.items()
        if name in before and before[name].ssh_host_key == member.ssh_host_key
    }


def tell(op: Operation, members: Iterable[Member], peers: Mapping[str, list[str]], login: Login) -> None:
    """Tell control planes their peers.

    Raises:
        HostError: One can't be told. What follows would leave two holders of one address.
    """
    for member in members:
        if member.name not in peers:
            continue
        op.status(f"telling {member.name} of the other control planes")
        try:
            with login(member) as shell:
                shell.run(["sudo", "sh", "-c", _TELL, "vrrp-peers", *peers[member.name]])
        except ShellError as error:
            raise HostError(
                f"{member.name} can't be told which control planes the cluster has from now on: {error}. See that "
                "it runs, and that `ssh` logs in there; the next `pulumi up` goes on"
            ) from error


def give_up(op: Operation, member: Member, login: Login) -> None:
    """Have another control plane hold the cluster's address, before this one leaves the cluster.

    Where the node's image can hand over, no request fails for it: those under way end first, and who connects
    meanwhile waits for a second or two. Its API server has to run still.

    Args:
        op: The operation.
        member: The control plane that leaves; it needn't be the holder.
        login: Opens a shell on it, as somebody who may become root.

    Raises:
        HostError: The machine can't be reached.
    """
    op.status(f"{member.name} gives up the cluster's address")
    try:
        with login(member) as shell:
            shell.run(["sudo", "sh", "-c", _GIVE_UP], timeout=_GIVE_UP_SECONDS)
    except ShellError as error:
        raise HostError(
            f"{member.name} can't be told to give up the cluster's address before it goes: {error}"
        ) from error
