"""systemd's unit that starts an instance's emulator at each boot of this machine: agents in clusters need it.

Only root's units can bind the gateway of a cluster's network before anybody has logged in. For another user, and
where no systemd runs, the next `up` starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from infra.kvm import systemd
from infra.ssh import Shell

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_STATE_HOME: Final = "XDG_STATE_HOME"


def install(shell: Shell, instance: str, folder: Path) -> None:
    """Have this machine start an instance's emulator at each boot, as long as its folder is there."""
    if os.geteuid() == 0 and systemd.is_init(shell):
        systemd.install_unit(shell, _name(instance), _unit(instance, folder))


def uninstall(shell: Shell, instance: str) -> None:
    """Start it no more."""
    if os.geteuid() == 0 and systemd.is_init(shell):
        systemd.remove_unit(shell, _name(instance))


def _name(instance: str) -> str:
    return f"azlocal-emulator-{instance}.service"


def _unit(instance: str, folder: Path) -> str:
    settings = {"PYTHONPATH": str(_PACKAGE), "HOME": str(Path.home())}
    if os.environ.get(_STATE_HOME):
        settings[_STATE_HOME] = os.environ[_STATE_HOME]
    environment = " ".join(systemd.quoted(f"{name}={value}") for name, value in settings.items())
    command = [sys.executable, "-m", "infra.cli", "emulator", "start", "--instance", instance]
    # What the command starts goes on by itself; KillMode=process leaves it alone when the unit is stopped by hand.
    return f"""\
# azlocal: made by `up`, taken away by a destroy.
[Unit]
Description=What stands in for Azure for the azlocal instance {instance}
ConditionPathExists={str(folder).replace("%", "%%")}
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
Environment={environment}
ExecStart={systemd.command_line(command)}

[Install]
WantedBy=multi-user.target
"""
