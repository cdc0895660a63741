"""What processes don't import that are started for each run: imports are most of what a run costs.

Each is looked at in a process of its own, as the engine or make starts it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_LIBRARIES = ["azure", "paramiko", "requests", "cryptography", "pycdlib", "tenacity", "kubernetes", "typer", "jwt"]
_NEEDLESS = {
    # The program, without an Azure to ask; pulumi itself brings its tracing and its automation.
    "import infra.program": [*_LIBRARIES, "libvirt", "lxml", "rich", "infra.kvm.connection", "infra.image.build"],
    # The plugin, with what it has at hand when machines and clusters are compared.
    "import infra.provider.__main__, infra.provider.servicer\n"
    "kinds = infra.provider.__main__.all_kinds()\n"
    "[kinds[f'azlocal:index:{name}'] for name in ('Host', 'Network', 'Image', 'Machine', 'Cluster')]": [
        *(*_LIBRARIES, "pulumi", "rich", "importlib.metadata"),
        *("infra.arc", "infra.kvm.preparation", "infra.kubernetes"),
    ],
    # The stand-in for the kubernetes plugin.
    "import infra.offline.__main__": ["pulumi", "paramiko", "azure", "requests", "libvirt", "pydantic"],
    # What make starts, before it knows that there is anything to do.
    "import infra.stack.__main__, infra.stack.settle, infra.image.cache, infra.kvm.daemon": [
        *(*_LIBRARIES, "pulumi", "lxml", "rich", "grpc", "pydantic", "infra.image.build"),
    ],
}


@pytest.mark.parametrize("start", _NEEDLESS)
def test_a_process_starts_without_what_it_does_not_need(start: str) -> None:
    code = f"{start}\nimport sys\nprint(*sorted({set(_NEEDLESS[start])!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["infra.stack.engine", "infra.provider.process", "infra.program"])
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
