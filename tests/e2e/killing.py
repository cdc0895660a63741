"""The real plugin behind a wrapper that kills it, or the engine, at a point of its work.

A point is a call of the provider's protocol or of libvirt. The production code knows nothing of it.
"""

from __future__ import annotations

import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.project import ROOT, Project
from tests.waiting import eventually

WRAPPER = """#!/bin/sh
exec "{python}" -P "{script}" "$@"
"""


def wrap(project: Project, point: str, victim: str) -> Path:
    """Make a plugin folder whose plugin ends `victim` at `point`, once."""
    folder = project.directory / "killer"
    folder.mkdir(exist_ok=True)
    plugin = folder / "pulumi-resource-azlocal"
    script = ROOT / "tests" / "e2e" / "killer.py"
    plugin.write_text(WRAPPER.format(python=ROOT / ".venv/bin/python", script=script))
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    project.environment |= {
        "AZLOCAL_TEST_KILL_AT": point,
        "AZLOCAL_TEST_KILL": victim,
        "AZLOCAL_TEST_KILLED": str(folder / f"{point}-{victim}"),
    }
    return folder


POINTS = [
    "before Create Host",
    "after Create Host",
    "before Create Network",
    "after Create Network",
    "before Create Image",
    "after place",
    "after Create Image",
    "before Create Machine",
    "after createXMLFrom",
    "after defineXML",
    "after create",
    "after Create Machine",
]


def kill_at(project: Project, point: str, victim: str) -> None:
    """Run `up` until it is killed at the point; the stack is left as the killed run left it."""
    real, project.apart = project.plugin, True
    project.use_plugin(wrap(project, point, victim))
    marker = Path(project.environment["AZLOCAL_TEST_KILLED"])
    assert not marker.exists(), "nobody was killed there before"
    killed = project.up(timeout=180)
    assert marker.exists(), f"it was never reached:\n{killed.output}"
    # The engine ends by the signal itself; it outlives its plugin, and says that it failed.
    assert killed.code == -signal.SIGKILL if victim == "engine" else killed.code > 0, killed.output
    project.use_plugin(real)
    project.apart = False
    eventually(lambda: not plugins(project), "the plugin's end after its engine's", seconds=5)
    project.reap()


@contextmanager
def named(step: str) -> Iterator[None]:
    """Have whatever fails say at which step of a chain it did."""
    try:
        yield
    except Exception as error:
        error.add_note(step)
        raise


def plugins(project: Project) -> list[str]:
    """Return the plugin processes of this project that still run."""
    return [words for words in project.processes().values() if "killer.py" in words or "infra.provider" in words]
