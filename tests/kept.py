"""AZLOCAL_TEST_KEEP=1: leave the instance of a file's tests standing, for the next run of one of them.

    AZLOCAL_TEST_KEEP=1 .venv/bin/python -m pytest -m e2e tests/e2e/test_cluster.py -k network_policy

The first run makes the cluster; each later one takes it over by an `up` that finds nothing to do. Only one
instance is kept at a time, since all have the same name and addresses: a run of another file, or one without the
variable, first takes the kept one away.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from tests.project import Project

_FOLDER: Final = Path("/var/tmp/azlocal-tests")


def kept_folder(instance: str, folder: Path) -> Path | None:
    """Return where the instance of a file's tests is kept; None where it isn't to be.

    Args:
        instance: the name of this process's instances.
        folder: the folder of this run, as pytest made it: a name and a number.
    """
    if not os.environ.get("AZLOCAL_TEST_KEEP"):
        return None
    kept = _FOLDER / instance / re.sub(r"\d+$", "", folder.name)
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    return kept


def take_away_others(instance: str, wanted: Path | None) -> None:
    """Destroy the instance that is kept, unless it is the wanted one."""
    for folder in (_FOLDER / instance).glob("*"):
        if folder != wanted:
            project = Project(folder / "project", instance)
            project.reap()
            if not project.is_empty():
                project.settle("--before-destroy").expect()
                project.destroy().expect()
            shutil.rmtree(folder)
