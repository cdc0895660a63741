"""What processes don't import that are started for each run: imports are most of what a run costs.

Each is looked at in a process of its own, as the engine or make starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.project import ROOT

_LIBRARIES = ["azure", "paramiko", "requests", "cryptography", "pycdlib", "tenacity", "kubernetes", "typer", "jwt"]
_NEEDLESS = {
    # The program, without an Azure to ask; pulumi itself brings its tracing and its automation.
    "import infra.program": [*_LIBRARIES, "libvirt", "lxml", "rich", "infra.kvm.connection", "infra.image.build"],
    # The plugin, with what it has at hand when machines and clusters are compared.
    "import infra.provider.__main__\n"
    "kinds = infra.provider.__main__.all_kinds()\n"
    "[kinds[f'azlocal:index:{name}'] for name in ('Host', 'Network', 'Image', 'Machine', 'Cluster')]": [
        *(*_LIBRARIES, "pulumi", "rich", "importlib.metadata"),
        *("infra.arc", "infra.kvm.preparation", "infra.kubernetes"),
    ],
    # The stand-in for the kubernetes plugin.
    "import infra.kubernetes_plugin.__main__": ["pulumi", "paramiko", "azure", "requests", "libvirt", "pydantic"],
    # `azlocal plan`.
    "import sys\n"
    f"sys.argv = ['azlocal', '-C', {str(ROOT)!r}, 'plan', 'lab', '--no-lock', '-o', '/dev/null']\n"
    "from infra.cli import app\n"
    "app(standalone_mode=False)": [
        *(one for one in _LIBRARIES if one != "typer"),
        *("pulumi", "grpc", "libvirt", "netaddr", "lxml", "ruamel", "jsonschema", "packaging", "starlette"),
        *(
            "infra.program",
            "infra.plugin",
            "infra.kubernetes_plugin",
            "infra.provider",
            "infra.kvm",
            "infra.image",
            "infra.kubernetes",
            "infra.arc",
        ),
        *("infra.effects", "infra.plan.report.placement", "infra.plan.addresses.diff"),
        *("infra.plan.explain", "infra.plan.sizing"),
    ],
    # What make starts, before it knows that there is anything to do.
    "import infra.stack.verbs, infra.stack.environment, infra.stack.settle, infra.image.cache, infra.kvm.daemon": [
        *(*_LIBRARIES, "pulumi", "lxml", "rich", "grpc", "pydantic", "infra.image.build"),
    ],
}


@pytest.mark.parametrize("start", _NEEDLESS)
def test_a_process_starts_without_what_it_does_not_need(start: str) -> None:
    code = f"{start}\nimport sys\nprint(*sorted({set(_NEEDLESS[start])!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_plan_builds_the_validators_of_its_files_only_and_looks_for_no_plugins() -> None:
    """Each of the other models would cost a millisecond or two, in every process that reads such files."""
    script = f"""
import importlib.metadata
importlib.metadata.entry_points = None  # reading the metadata of all that is installed takes 60 ms
from pathlib import Path
from infra.plan.instance import plan_instance
from infra.spec import load_instance
from infra.spec.types import Model
plan_instance(load_instance("lab", Path({str(ROOT)!r})))
print(*sorted(one.__name__ for one in Model.__subclasses__() if one.__pydantic_complete__))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["HostsFile", "Netplan", "StackConfig"]


def test_a_process_spends_no_time_on_garbage_that_goes_with_it() -> None:
    script = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 0, [one["collections"] for one in gc.get_stats()] == before))
import infra
before = [one["collections"] for one in gc.get_stats()]
import infra.spec
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.parametrize("module", ["infra.stack.engine", "infra.plugin.process", "infra.program"])
def test_grpc_is_told_not_to_meddle_with_forks_before_it_is_imported(module: str) -> None:
    """In a child of libvirt's, its threads end ssh before it has begun: a host then seems not to answer."""
    script = f"""
import importlib.abc, os, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "grpc":
            print("grpc", os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))
sys.meta_path.insert(0, Watch())
import {module}
"""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["grpc false"]
