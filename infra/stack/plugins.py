"""azlocal's own plugins, in the process of the program that a run of the engine carries out.

The engine starts a process for each plugin, and ours would import again most of what the program has imported:
more than all their work in a run that changes nothing. It also takes plugins that are there already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from infra import __version__
from infra.errors import UserError

if TYPE_CHECKING:
    from infra.model.encryption_keys import EncryptionKeys
    from infra.plugin.protocol import Served
    from infra.provider.standing import Standing

_ATTACHED: Final = "PULUMI_DEBUG_PROVIDERS"
"""The engine's setting for plugins that run already: `NAME:PORT,…` on this machine."""
_CODE: Final = Path(__file__).resolve().parent.parent


@contextmanager
def attached(
    project: Path,
    standing: Standing | None = None,
    lost: Iterable[str] = (),
    refounded: Iterable[str] = (),
    rotating: Mapping[str, EncryptionKeys] | None = None,
) -> Iterator[dict[str, str]]:
    """Serve the plugins while the engine runs, and yield the environment by which the engine finds them.

    Args:
        project: The folder of Pulumi.yaml.
        standing: What stands of an instance that is adopted; only a plugin that is served here knows of it.
        lost: Connections of hosts of which nothing is asked.
        refounded: Clusters that are founded again, likewise.
        rotating: By a ClusterIdentity's id, the keys of Secrets that its state is to have, likewise.

    Where the project names another plugin than this checkout's, where the official one is there in place of the
    stand-in, or where somebody has attached one already, that one is the engine's.

    Raises:
        UserError: An instance is to be adopted, a cluster founded again, or a key rotated, and the plugin is the
            engine's.
    """
    environment = dict(os.environ)
    served = [entry for entry in environment.get(_ATTACHED, "").split(",") if entry]
    others = {entry.partition(":")[0] for entry in served}
    with ExitStack() as stack:
        plugins = _plugins(project, environment, standing, lost, refounded, rotating)
        if (standing or refounded or rotating) and ("azlocal" not in plugins or "azlocal" in others):
            raise UserError(
                "only this checkout's own plugin adopts, founds again and rotates keys, and the engine would use "
                "another"
            )
        for name, plugin in plugins.items():
            if name not in others:
                from infra.plugin.process import listening

                served.append(f"{name}:{stack.enter_context(listening(plugin))}")
        yield environment | ({_ATTACHED: ",".join(served)} if served else {})


def _plugins(
    project: Path,
    environment: dict[str, str],
    standing: Standing | None,
    lost: Iterable[str],
    refounded: Iterable[str],
    rotating: Mapping[str, EncryptionKeys] | None,
) -> dict[str, Served]:
    plugins: dict[str, Served] = {}
    if _names_ours(project):
        from infra.plugin.engine import GrpcEngineLog
        from infra.plugin.process import NoEngine
        from infra.provider.kinds import all_kinds
        from infra.provider.servicer import Servicer

        kinds = all_kinds(standing, lost, refounded, rotating)
        plugins["azlocal"] = Servicer(__version__, kinds, GrpcEngineLog, NoEngine())
    if _would_start_stand_in(environment):
        from infra.kubernetes_plugin.attached import StandIns

        plugins["kubernetes"] = StandIns()
    return plugins


def _names_ours(project: Path) -> bool:
    """Return whether a project's plugin is this checkout's, by the folder that its Pulumi.yaml names."""
    content: Any = yaml.safe_load((project / "Pulumi.yaml").read_text(encoding="utf-8"))
    named = content.get("plugins", {}).get("providers", ()) if isinstance(content, dict) else ()
    folder = _CODE / "provider"
    return any(
        plugin.get("name") == "azlocal" and (project / plugin["path"]).resolve() == folder for plugin in named
    )


def _would_start_stand_in(environment: dict[str, str]) -> bool:
    """Return whether the engine, which takes a plugin on PATH before one that it installed, would take ours."""
    name = "pulumi-resource-kubernetes"
    path = shutil.which(name, path=environment.get("PATH"))
    return path is not None and Path(path).resolve() == _CODE / "kubernetes_plugin" / name
