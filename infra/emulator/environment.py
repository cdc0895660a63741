"""The emulator as a cloud: what the Azure client needs to know of it."""

from __future__ import annotations

from pathlib import Path

from infra.arc.environment import AzureEnvironment, environment_of, read_environment
from infra.arc.errors import ArcError


def emulated_environment(folder: Path | None, *, starts: bool = True) -> AzureEnvironment:
    """Return the endpoints of the emulator in a folder.

    Args:
        folder: Its folder.
        starts: Whether it is started unless it runs.

    Raises:
        ArcError: The folder isn't named, what answers isn't metadata, or nothing runs and isn't to be started.
        AzureUnreachable: It doesn't answer.
        EmulatorError: It can't be started.
    """
    if folder is None:
        raise ArcError("emulator-folder", "the emulator's folder isn't named")
    from infra.emulator.daemon import ensure_running, status  # whoever asks a real cloud needs none of it

    running = ensure_running(folder) if starts else status(folder)
    if running is None or running.pid is None:
        raise ArcError("emulator-off", "the emulator doesn't run", "`azlocal emulator start` starts it")
    return read_environment("emulator", running.url, running.ca_file, folder)


def any_environment(
    cloud: str,
    *,
    emulator_folder: Path | None,
    resource_manager: str | None,
    ca_file: Path | None,
    starts_emulator: bool = True,
) -> AzureEnvironment:
    """Return the endpoints of a cloud, the emulator among them.

    Args:
        cloud: As stacks have it: emulator, or what `environment_of` knows.
        emulator_folder: The emulator's.
        resource_manager: ARM's URL, of a custom one.
        ca_file: Who signs for it, PEM.
        starts_emulator: Whether an emulator that doesn't run is started.

    Raises:
        ArcError: There is no such cloud, a setting is missing, or what answers isn't metadata.
        AzureUnreachable: It doesn't answer.
        EmulatorError: The emulator can't be started.
    """
    if cloud == "emulator":
        return emulated_environment(emulator_folder, starts=starts_emulator)
    return environment_of(cloud, resource_manager=resource_manager, ca_file=ca_file)
