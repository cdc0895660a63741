"""Container images that a newer bundle has come to the nodes that stand: their own store is all they have.

A node's store was filled when its image was built. Where the bundle names another version of an add-on since, its
pods would wait for an image that no node has, and that a site without a way out can't pull.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from infra.kubernetes.upgrade import worker_images
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kinds.cluster_base import Login
from infra.resources.control_plane import Member
from infra.ssh import ShellError

_CTR: Final = ("sudo", "ctr", "--namespace", "k8s.io", "images")
_IMPORT_SECONDS: Final = 600.0  # some ten megabytes, over whatever leads to the node


def standing(old: Iterable[Member], new: Iterable[Member]) -> list[Member]:
    """Return the machines that were there before and are the same ones still. Pure."""
    before = {member.name: member.ssh_host_key for member in old}
    return [member for member in new if before.get(member.name) == member.ssh_host_key]


def bring(op: Operation, members: Iterable[Member], archives: Mapping[str, str], login: Login) -> None:
    """Bring nodes the images that they lack.

    Args:
        op: The operation.
        members: The nodes.
        archives: Each image's OCI archive on this machine, by the image's name and tag.
        login: Opens a shell on a node, as somebody who may become root.

    Raises:
        HostError: A node can't be logged in to, or doesn't take an image. Those before it have theirs.
    """
    for member in members:
        op.check_cancelled()
        try:
            with login(member) as shell:
                there = set(shell.run([*_CTR, "list", "--quiet"]).stdout.split())
                needed = set(worker_images(archives) if member.role == "worker" else archives)
                for reference in sorted(needed - there):
                    op.status(f"bringing {reference} to {member.name}")
                    content = Path(archives[reference]).read_bytes()
                    shell.run([*_CTR, "import", "-"], input=content, timeout=_IMPORT_SECONDS)
        except ShellError as error:
            raise HostError(
                f"{member.name} can't be brought the container images of the newer bundle: {error}. See that it "
                "runs, and that `ssh` logs in there; the next `pulumi up` goes on"
            ) from error
        except FileNotFoundError as error:
            raise HostError(
                f"{error.filename} isn't there, and {member.name} lacks the container image in it; "
                "`azlocal image build` makes the bundle again"
            ) from error
