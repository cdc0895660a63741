"""The kernel's limits that containers share with their host and with each other.

All of them are root's, and a limit per user is one for all together. The kernel's own default of inotify
instances, 128, is used up by two small clusters, and then no kubelet starts any more ("too many open files").
"""

from __future__ import annotations

from typing import Final

from infra.ssh import Shell

_LEAST: Final = {"fs.inotify.max_user_instances": 8192}


def raise_shared_limits(shell: Shell) -> list[str]:
    """Raise what is too low for nodes in containers, until the next boot; return what was changed.

    Raises:
        CommandError: the host's kernel doesn't let us.
    """
    changed = []
    for name, least in _LEAST.items():
        path = f"/proc/sys/{name.replace('.', '/')}"
        value = int(shell.run(["cat", path]).stdout)
        if value < least:
            shell.run(["tee", path], input=f"{least}\n".encode())
            changed.append(f"{name} from {value} to {least}")
    return changed
