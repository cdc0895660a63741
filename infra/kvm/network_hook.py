"""A libvirt hook that puts back what hangs on a network's bridge when the network is started: at a host's boot.

libvirt calls every file of the folder when a network runs (libvirt.org: Hooks for specific system management,
since 6.5), wherever it was started from; no other service has to wait for libvirt, or even be there. libvirt looks
for hooks when its daemon starts, so one that is new counts from the host's next boot: until then its network
already has what the hook would put back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from infra.kvm.ownership import Mark
from infra.ssh import Shell, read_if_there

FOLDER: Final = "/etc/libvirt/hooks/network.d"
_END: Final = "azlocal-end-of-input"


@dataclass(frozen=True)
class HookCommand:
    """A command of a hook.

    Attributes:
        argv: its words.
        input: what it reads, lines.
        may_fail: what it does may be done already.
    """

    argv: Sequence[str]
    input: str = ""
    may_fail: bool = False


def install_hook(shell: Shell, network: str, mark: Mark, commands: Iterable[HookCommand]) -> None:
    """Have a host run commands when the network is started."""
    path, script = _path(mark, network), _script(network, commands)
    content = read_if_there(shell, path)
    if content == script:
        return
    if content is None:
        shell.make_directory(FOLDER)
    shell.write_file(path, script, mode=0o755)


def has_hook(shell: Shell, network: str, mark: Mark) -> bool:
    """Return whether a host has the network's hook, whatever it does."""
    return shell.exists(_path(mark, network))


def remove_hook(shell: Shell, network: str, mark: Mark) -> None:
    """Take the network's hook away, if there is one."""
    shell.run(["rm", "--force", "--", _path(mark, network)])


def _path(mark: Mark, network: str) -> str:
    return f"{FOLDER}/azlocal-{mark.uuid('network', network)}"


def _script(network: str, commands: Iterable[HookCommand]) -> bytes:
    lines = [
        "#!/bin/sh",
        "# azlocal: made by `up`, taken away by a destroy.",
        f'[ "$1" = {shlex.quote(network)} ] && [ "$2" = started ] || exit 0',
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    for command in commands:
        call = shlex.join(command.argv) + (" 2>/dev/null" if command.may_fail else "")
        call_lines = [f"{call} <<'{_END}'", *command.input.splitlines(), _END] if command.input else [call]
        lines += call_lines
    # Where a hook fails, libvirt takes the network down again, and with it machines that need no other host.
    return "\n".join([*lines, "exit 0", ""]).encode()
