"""What a control plane has of the keys of its cluster's Secrets, and how it is told others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from infra.errors import UserError
from infra.guest.api_server import FOLDER
from infra.guest.encryption import FILE, encryption_file, encryption_keys_of
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import at_server
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_answering
from infra.lifecycle.key_rotation import PlaneKeys
from infra.model.encryption_keys import key_name
from infra.model.work import Work
from infra.ssh import FileMissing, Shell, read_if_there
from infra.stack.restore.planes import Plane

_PATH: Final = f"{FOLDER}/{FILE}"
_LOADED: Final = f"{FOLDER}/encryption.loaded"
"""Has the sha256 of the file that the API server was last started with, and answered since."""
_SCRIPT: Final = files("infra.kubernetes").joinpath("files", "restart-api-server.sh")
_SCRIPT_SECONDS: Final = 330.0  # it waits five minutes for kubelet by itself
_ANSWER_SECONDS: Final = 300.0


@dataclass(frozen=True)
class HeldKeys:
    """The keys that a control plane's file has, in its order.

    Attributes:
        keys: They, in base64.
        is_loaded: Whether its API server was started with that file by `tell`, and has answered since.
    """

    keys: tuple[str, ...] = field(repr=False)
    is_loaded: bool

    @property
    def names(self) -> PlaneKeys:
        """Return them by name."""
        return PlaneKeys(tuple(map(key_name, self.keys)), self.is_loaded)


def read(plane: Plane) -> HeldKeys:
    """Return what a control plane has.

    Raises:
        UserError: It can't be logged in to, or its file isn't there, or isn't as azlocal writes it.
    """
    with plane.shell() as shell:
        try:
            content = shell.read_file(_PATH)
        except FileMissing as error:
            raise UserError(f"{plane.name} has no {_PATH}, by which it would encrypt Secrets") from error
        loaded = read_if_there(shell, _LOADED) or b""
    try:
        keys = encryption_keys_of(content.decode())
    except ValueError as error:
        raise UserError(f"{plane.name}: {error}, and it is left as it is") from None
    return HeldKeys(keys, loaded.decode(errors="replace").strip() == _digest(content))


def write(shell: Shell, keys: Sequence[str]) -> bytes:
    """Write a control plane's file; return it. Its API server takes it at its next start, or within a minute.

    Raises:
        ShellError: It can't be written.
    """
    content = encryption_file(keys).encode()
    shell.write_file(_PATH, content)
    shell.run(["sync", _PATH])
    return content


def tell(plane: Plane, kubeconfig: str, keys: Sequence[str]) -> None:
    """Write a control plane's file, have its API server start with it, and wait until that answers.

    Raises:
        UserError: One of these fails; done again, it does the rest.
    """
    with plane.shell() as shell:
        content = write(shell, keys)
        shell.run(["sh", "-s"], input=_SCRIPT.read_bytes(), timeout=_SCRIPT_SECONDS)
    try:
        wait_until_answering(ClusterApi(at_server(kubeconfig, plane.address)), Work().within(_ANSWER_SECONDS))
    except NotReady as failure:
        raise UserError(
            f"{plane.name}: its API server doesn't answer again: {failure}. See `journalctl --unit kubelet` and "
            "`crictl logs` there. The other control planes are left as they are; the same command goes on"
        ) from failure
    with plane.shell() as shell:
        shell.write_file(_LOADED, f"{_digest(content)}\n".encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
