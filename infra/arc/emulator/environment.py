"""The emulator as a cloud: what the Azure client needs to know of it."""

from __future__ import annotations

from pathlib import Path

from infra.arc.emulator.daemon import ensure_running
from infra.arc.environment import AzureEnvironment, read_environment
from infra.arc.errors import ArcError


def emulated_environment(folder: Path | None) -> AzureEnvironment:
    """Return the endpoints of the emulator in a folder, which is started unless it runs.

    Raises:
        ArcError: The folder isn't named, or what answers isn't metadata.
        AzureUnreachable: It doesn't answer.
        EmulatorError: It can't be started.
    """
    if folder is None:
        raise ArcError("emulator-folder", "the emulator's folder isn't named")
    running = ensure_running(folder)
    return read_environment("emulator", running.url, running.ca_file, folder)
