"""azlocal's own plugin, in the process of the program that a run of the engine carries out.

The engine starts a process for each plugin, and ours would import anew most of what the program has imported: more
than all its work in a run that changes nothing. It also takes a plugin that is there already.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from infra import __version__

_NAME: Final = "azlocal"
_ATTACHED: Final = "PULUMI_DEBUG_PROVIDERS"
"""The engine's setting for plugins that run already: `NAME:PORT,…` on this machine."""
_FOLDER: Final = Path(__file__).resolve().parent.parent / "provider"


@contextmanager
def attached(project: Path) -> Iterator[dict[str, str]]:
    """Serve the plugin while the engine runs, and yield the environment by which the engine finds it.

    Where the project names another plugin than this checkout's, or somebody has attached one already, that one is
    the engine's to start: nothing is served and the environment is as it was.
    """
    environment = dict(os.environ)
    others = [one for one in environment.get(_ATTACHED, "").split(",") if one]
    if not _is_ours(project) or any(one.startswith(f"{_NAME}:") for one in others):
        yield environment
        return
    from infra.provider.engine import GrpcEngineLog
    from infra.provider.kinds import all_kinds
    from infra.provider.process import NoEngine, listening
    from infra.provider.servicer import Servicer

    with listening(Servicer(__version__, all_kinds(), GrpcEngineLog, NoEngine())) as port:
        yield environment | {_ATTACHED: ",".join([*others, f"{_NAME}:{port}"])}


def _is_ours(project: Path) -> bool:
    """Return whether a project's plugin is this checkout's, by the folder that its Pulumi.yaml names."""
    content: Any = yaml.safe_load((project / "Pulumi.yaml").read_text(encoding="utf-8"))
    named = content.get("plugins", {}).get("providers", ()) if isinstance(content, dict) else ()
    return any(one.get("name") == _NAME and (project / one["path"]).resolve() == _FOLDER for one in named)
